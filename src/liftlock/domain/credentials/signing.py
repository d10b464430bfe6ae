"""The caller's side: signing requests and links. Pure: time and nonce are arguments.

Source: docs/reference/access.md#hawk
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.hawk import Attributes, Target, payload_hash, signature
from liftlock.values.json import decode

_PORTS: Final = {"https": 443, "http": 80}


def target_of(method: str, url: str) -> Target:
    """Return what a signature covers of a request for the absolute `url`."""
    parts = urlsplit(url)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(method.upper(), resource, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80))


def make_extension(credentials: Credentials, authorized_scopes: Sequence[str] | None = None) -> str:
    """Return `ext`: base64url of JSON with the certificate and the scopes to be limited to; empty when there is neither."""
    said: dict[str, Any] = {}
    if credentials.certificate is not None:
        said["certificate"] = decode(credentials.certificate, what="certificate")
    if authorized_scopes is not None:
        said["authorizedScopes"] = list(authorized_scopes)
    return base64.urlsafe_b64encode(msgspec.json.encode(said)).decode() if said else ""


def sign_request(
    credentials: Credentials,
    method: str,
    url: str,
    *,
    ts: int,
    nonce: str,
    body: bytes | None = None,
    content_type: str = "",
    authorized_scopes: Sequence[str] | None = None,
) -> str:
    """Return the Authorization header for a request.

    Args:
        url: Absolute, exactly as it will be sent (percent-encoding included).
        ts: Seconds since 1970.
        nonce: Unguessable and never used before, up to 128 characters of base64url.
        body: Signed too when given, together with `content_type`; None leaves the body unsigned (streams).
        authorized_scopes: Limits the request to these.
    """
    said = Attributes(
        id=credentials.client_id,
        ts=ts,
        nonce=nonce,
        mac="",
        hash="" if body is None else payload_hash(content_type, body),
        ext=make_extension(credentials, authorized_scopes),
    )
    mac = signature("header", said, target_of(method, url), credentials.access_token.encode())
    optional = "".join(
        f', {name}="{value}"' for name, value in (("hash", said.hash), ("ext", said.ext)) if value
    )
    return f'Hawk id="{said.id}", ts="{said.ts}", nonce="{said.nonce}"{optional}, mac="{mac}"'


def make_bewit(
    credentials: Credentials, url: str, *, expires: int, authorized_scopes: Sequence[str] | None = None
) -> str:
    """Return `url` with a bewit: whoever has the link may GET it until `expires` (seconds since 1970)."""
    said = Attributes(
        id=credentials.client_id,
        ts=expires,
        nonce="",
        mac="",
        ext=make_extension(credentials, authorized_scopes),
    )
    mac = signature("bewit", said, target_of("GET", url), credentials.access_token.encode())
    text = f"{said.id}\\{said.ts}\\{mac}\\{said.ext}"
    bewit = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return f"{url}{'&' if urlsplit(url).query else '?'}bewit={bewit}"
