"""The Authorization header of one request: Hawk, with the payload's hash and Taskcluster's `ext`.

Source: spec of the Hawk scheme (header version 1); `ext` as the queue's clients send it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from liftlock.cli.failures import UsageError
from liftlock.cli.profiles import Profile


@dataclass(frozen=True, slots=True)
class Moment:
    """What makes two equal requests differ: `ts` in seconds since 1970, and a nonce that is used once."""

    ts: int
    nonce: str


def authorization(
    profile: Profile,
    moment: Moment,
    method: str,
    url: str,
    body: bytes | None,
    *,
    authorized_scopes: Sequence[str] | None = None,
) -> str | None:
    """Return the header's value, or None if the profile is anonymous.

    Args:
        url: Absolute, encoded as it is sent.
        authorized_scopes: What the request may use of the client's scopes; None means all of them.
    Raises:
        UsageError: there is a client id without a token, or the certificate is no JSON.
    """
    if profile.client_id is None:
        if authorized_scopes is not None:
            raise UsageError("this request limits its scopes, so it needs credentials, and there are none")
        return None
    if profile.access_token is None:
        raise UsageError(f"there is no access token for the client {profile.client_id}")
    ext = _ext(profile.certificate, authorized_scopes)
    digest = "" if body is None else _payload_hash(body)
    text = "\n".join(
        ["hawk.1.header", str(moment.ts), moment.nonce, method.upper(), *_place(url), digest, ext or "", ""]
    )
    mac = _base64(hmac.new(profile.access_token.encode(), text.encode(), hashlib.sha256).digest())
    fields = {
        "id": profile.client_id,
        "ts": str(moment.ts),
        "nonce": moment.nonce,
        "hash": digest,
        "ext": ext,
        "mac": mac,
    }
    return "Hawk " + ", ".join(f'{name}="{value}"' for name, value in fields.items() if value)


def _ext(certificate: str | None, authorized_scopes: Sequence[str] | None) -> str | None:
    content: dict[str, object] = {}
    if certificate is not None:
        try:
            content["certificate"] = json.loads(certificate)
        except ValueError as error:
            raise UsageError(f"the certificate of the credentials is no JSON: {error}") from error
    if authorized_scopes is not None:
        content["authorizedScopes"] = list(authorized_scopes)
    return _base64(json.dumps(content, separators=(",", ":")).encode()) if content else None


def _place(url: str) -> tuple[str, str, str]:
    """Return resource, host and port of `url`, as they are signed."""
    parts = urlsplit(url)
    resource = parts.path + (f"?{parts.query}" if parts.query else "")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return resource, (parts.hostname or "").lower(), str(port)


def _payload_hash(body: bytes) -> str:
    return _base64(hashlib.sha256(b"hawk.1.payload\napplication/json\n" + body + b"\n").digest())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
