"""Hawk: the signature over a request, in a header or (for links) in the query.

Source: docs/reference/access.md#hawk
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final, Literal, NamedTuple

from liftlock.domain.credentials.endpoint import spellings
from liftlock.domain.credentials.keyed_hash import keyed_hash
from liftlock.errors import AuthenticationFailedError

MAX_HEADER_CHARS: Final = 32 * 1024
"""Characters of an Authorization header; certificates with many scopes are long."""
MAX_SKEW_S: Final = 15 * 60
"""Seconds by which a caller's clock may differ from ours, either way."""
MAX_NONCE_CHARS: Final = 128

_ATTRIBUTE: Final = re.compile(r'([a-z]{2,5})="([ !#-\[\]-~]*)"(?:[ \t]*,[ \t]*|[ \t]*\Z)', re.ASCII)
_KNOWN: Final = frozenset({"id", "ts", "nonce", "hash", "ext", "mac", "app", "dlg"})
_SECONDS: Final = re.compile(r"[0-9]{1,12}\Z", re.ASCII)
_BEWIT: Final = re.compile(r"[A-Za-z0-9_-]{1,32768}\Z", re.ASCII)
_NO_MATCH: Final = (
    "the signature does not match: the client does not exist, the access token is another one, or what was signed "
    "(method, path, query, host, port) is not what arrived; behind a proxy see x-forwarded-port"
)


class Attributes(NamedTuple):
    """What a Hawk header or a bewit says; absent attributes are empty. `ts` is seconds: of signing, or of a bewit's end."""

    id: str
    ts: int
    nonce: str
    mac: str
    hash: str = ""
    ext: str = ""
    app: str = ""
    dlg: str = ""


class Target(NamedTuple):
    """What a signature covers of a request; `resource` is the raw path and query."""

    method: str
    resource: str
    host: str
    port: int


def parse_header(header: str) -> Attributes:
    """Return the attributes of an Authorization header.

    Raises:
        AuthenticationFailedError: it is no well-formed Hawk header; the message says what is wrong.
    """
    if header[:5].lower() != "hawk ":
        raise AuthenticationFailedError("Authorization header: expected the scheme Hawk")
    if len(header) > MAX_HEADER_CHARS:
        raise AuthenticationFailedError(f"Authorization header: more than {MAX_HEADER_CHARS} characters")
    found: dict[str, str] = {}
    at = 5
    for match in iter(_ATTRIBUTE.scanner(header, at).match, None):  # type: ignore[attr-defined] # typeshed lacks it
        name, value = match.groups()
        if name not in _KNOWN or name in found:
            raise AuthenticationFailedError(f"Authorization header: {name!r} is unknown or stands twice")
        found[name] = value
        at = match.end()
    if at < len(header):
        raise AuthenticationFailedError(f'Authorization header: expected name="value", … at character {at}')
    return _checked(found)


def _checked(found: dict[str, str]) -> Attributes:
    for name in ("id", "ts", "nonce", "mac"):
        if not found.get(name):
            raise AuthenticationFailedError(f"Authorization header: {name!r} is missing")
    if _SECONDS.match(found["ts"]) is None:
        raise AuthenticationFailedError("Authorization header: ts: expected whole seconds since 1970")
    if len(found["nonce"]) > MAX_NONCE_CHARS:
        raise AuthenticationFailedError(
            f"Authorization header: nonce: more than {MAX_NONCE_CHARS} characters"
        )
    optional = (found.get(name, "") for name in ("hash", "ext", "app", "dlg"))
    return Attributes(found["id"], int(found["ts"]), found["nonce"], found["mac"], *optional)


def signature(
    kind: Literal["header", "bewit"], said: Attributes, target: Target, key: bytes, *, host: str | None = None
) -> str:
    """Return the base64 HMAC-SHA256 that `key` makes of `said` and `target`; `host` replaces the target's."""
    text = (
        f"hawk.1.{kind}\n{said.ts}\n{said.nonce}\n{target.method.upper()}\n{target.resource}\n"
        f"{target.host if host is None else host}\n{target.port}\n{said.hash}\n{said.ext}\n"
    )
    if said.app:
        text += f"{said.app}\n{said.dlg}\n"
    return base64.b64encode(keyed_hash(key, text.encode("utf-8", "replace"))).decode()


def verify_signature(kind: Literal["header", "bewit"], said: Attributes, target: Target, key: bytes) -> None:
    """Return if `said.mac` is the signature by `key`.

    Raises:
        AuthenticationFailedError: it is not; one message for unknown clients, wrong keys and changed requests.
    """
    claimed = said.mac.encode("utf-8", "replace")
    for host in spellings(target.host):
        expected = signature(kind, said, target, key, host=host).encode()
        if hmac.compare_digest(expected, claimed):
            return
    raise AuthenticationFailedError(_NO_MATCH)


def verify_time(said: Attributes, now_s: float) -> None:
    """Return if a header was signed within `MAX_SKEW_S` of `now_s`.

    Raises:
        AuthenticationFailedError: earlier or later; the message tells both clocks.
    """
    if abs(now_s - said.ts) > MAX_SKEW_S:
        raise AuthenticationFailedError(
            f"signed at {said.ts}, here it is {int(now_s)}: more than {MAX_SKEW_S} s apart; set the caller's clock"
        )


def payload_hash(content_type: str, body: bytes) -> str:
    """Return the base64 hash that a header's `hash` states of a body."""
    whole = hashlib.sha256(b"%b%b\n" % (_payload_start(content_type), body))
    return base64.b64encode(whole.digest()).decode()


def _payload_start(content_type: str) -> bytes:
    plain = content_type.split(";", 1)[0].strip().lower()
    return b"hawk.1.payload\n%b\n" % plain.encode("utf-8", "replace")


class PayloadHasher:
    """The payload hash of a body that arrives in pieces."""

    __slots__ = ("_digest",)

    def __init__(self, content_type: str) -> None:
        self._digest = hashlib.sha256(_payload_start(content_type))

    def update(self, piece: bytes) -> None:
        """Take the next bytes of the body."""
        self._digest.update(piece)

    def finish(self) -> str:
        """Return the base64 hash; to be called once."""
        self._digest.update(b"\n")
        return base64.b64encode(self._digest.digest()).decode()


def verify_payload_hash(claimed: str, found: str) -> None:
    """Return if the body is the one that was signed.

    Raises:
        AuthenticationFailedError: the hashes differ.
    """
    if not hmac.compare_digest(claimed.encode("utf-8", "replace"), found.encode()):
        raise AuthenticationFailedError(
            "the body or its content type is not the one that was signed (payload hash)"
        )


def take_bewit(resource: str) -> tuple[str, str] | None:
    """Return a raw path and query without its bewit, and the bewit; None when it has none.

    Raises:
        AuthenticationFailedError: there is more than one.
    """
    if "bewit=" not in resource:
        return None
    path, _, query = resource.partition("?")
    options = query.split("&")
    bewits = [option for option in options if option.startswith("bewit=")]
    if not bewits:
        return None
    if len(bewits) > 1:
        raise AuthenticationFailedError("bewit: stands more than once")
    rest = "&".join(option for option in options if option is not bewits[0])
    return (f"{path}?{rest}" if rest else path), bewits[0].removeprefix("bewit=")


def parse_bewit(bewit: str) -> Attributes:
    r"""Return the attributes of a bewit: base64url of `id\exp\mac\ext`, with or without padding.

    Raises:
        AuthenticationFailedError: it is malformed.
    """
    bare = bewit.rstrip("=").removesuffix("%3D").removesuffix("%3D")
    if _BEWIT.match(bare) is None:
        raise AuthenticationFailedError("bewit: expected base64url")
    try:
        parts = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4)).decode("ascii").split("\\")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise AuthenticationFailedError("bewit: expected base64url of ASCII text") from error
    if len(parts) != 4 or not parts[0] or _SECONDS.match(parts[1]) is None or "\n" in parts[3]:
        raise AuthenticationFailedError(r"bewit: expected id\exp\mac\ext")
    return Attributes(id=parts[0], ts=int(parts[1]), nonce="", mac=parts[2], ext=parts[3])
