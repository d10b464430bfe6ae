"""Who is at the other end of a unix socket: the kernel says so, not the peer."""

from __future__ import annotations

import asyncio
from typing import Final

from liftlock.errors import AuthenticationFailedError

# Numbers of Linux, written out so that gated need not load the module of sockets for them. Source: socket(7), unix(7).
_SOL_SOCKET: Final = 1
_SO_PEERCRED: Final = 17
_UCRED_BYTES: Final = 12


def peer_uid(transport: asyncio.BaseTransport) -> int:
    """Return the user that connected; raises AuthenticationFailedError if the kernel does not tell."""
    connection = transport.get_extra_info("socket")
    try:
        credentials = connection.getsockopt(_SOL_SOCKET, _SO_PEERCRED, _UCRED_BYTES)
    except (OSError, AttributeError) as error:
        raise AuthenticationFailedError("gate: the peer is not known") from error
    return int.from_bytes(credentials[4:8], "little")
