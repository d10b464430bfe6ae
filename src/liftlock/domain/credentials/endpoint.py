"""For which host and port a request was signed, as the server can know it, behind a proxy too.

The port is `x-forwarded-port`; else 443 if `x-forwarded-proto` is `https`; else the Host header's; else 80. A caller
that lies in these headers only makes its own signature fail.

Source: docs/reference/access.md#hawk
"""

from __future__ import annotations

import re
from typing import Final

from liftlock.errors import AuthenticationFailedError

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?\Z", re.ASCII)
_PORT: Final = re.compile(r"[0-9]{1,5}\Z", re.ASCII)


def signed_endpoint(host: str, *, forwarded_port: str | None, forwarded_proto: str | None) -> tuple[str, int]:
    """Return the host, lower-case and without its port, and the port.

    Raises:
        AuthenticationFailedError: the Host header or `x-forwarded-port` is malformed.
    """
    match = _HOST.match(host)
    if match is None:
        raise AuthenticationFailedError("Host header: expected <name> or <name>:<port>")
    name = match[1].lower()
    if forwarded_port:
        if _PORT.match(forwarded_port) is None:
            raise AuthenticationFailedError("x-forwarded-port: expected a port number")
        return name, int(forwarded_port)
    if forwarded_proto == "https":
        return name, 443
    return name, int(match[2] or 80)


def spellings(host: str) -> tuple[str, ...]:
    """Return how clients may write `host` when they sign: an IPv6 address with and without brackets."""
    return (host, host[1:-1]) if host.startswith("[") else (host,)
