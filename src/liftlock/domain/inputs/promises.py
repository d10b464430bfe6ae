"""What a task promises of an input's bytes: digests, size, a signature by a key that the pool's policy names.

Source: docs/reference/inputs.md#promises
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from liftlock.domain.inputs.fields import Fields, size, text
from liftlock.errors import InputValidationError

MAX_SIZE = 1 << 40
MAX_SIGNATURE_CHARS = 64 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
_SHA512 = re.compile(r"[0-9a-f]{128}\Z", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f<>\"\\]{1,2000}\Z")

Scheme = Literal["minisign", "openpgp", "sigstore"]
SCHEMES: tuple[Scheme, ...] = ("minisign", "openpgp", "sigstore")


class Promise(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the bytes must measure; None: not promised."""

    sha256: str | None = None
    sha512: str | None = None
    size: int | None = None

    @property
    def has_digest(self) -> bool:
        """Tell whether a digest is promised."""
        return self.sha256 is not None or self.sha512 is not None


class Signature(msgspec.Struct, frozen=True):
    """A detached signature: `key` is a name of the pool's policy; `url` where it lies, or its own `content`."""

    scheme: Scheme
    key: str
    url: str | None = None
    content: str | None = None


NOTHING = Promise()


def url(value: object, path: str) -> str:
    """Read an http(s) address."""
    return text(expected="an http(s) address", most=2100, fits=_URL.match)(value, path)


def sha256(value: object, path: str) -> str:
    """Read a sha256."""
    return text(expected="64 lower-case hexadecimal digits", fits=_SHA256.match)(value, path)


def sha512(value: object, path: str) -> str:
    """Read a sha512."""
    return text(expected="128 lower-case hexadecimal digits", fits=_SHA512.match)(value, path)


def promise(fields: Fields) -> Promise:
    """Read `sha256`, `sha512` and `size` of an object, each of which may be absent."""
    return Promise(
        fields.get("sha256", sha256, None),
        fields.get("sha512", sha512, None),
        fields.get("size", size(MAX_SIZE), None),
    )


def signature(value: object, path: str) -> Signature:
    """Read `{minisign: {key, signature}}`, `{openpgp: {key, signature}}` or `{sigstore: {key, bundle}}`."""
    fields = Fields(value, path)
    present = [scheme for scheme in SCHEMES if fields.has(scheme)]
    if len(present) != 1:
        raise InputValidationError(f"{path}: expected exactly one of {', '.join(SCHEMES)}", path=path)
    [scheme] = present
    found = fields.take(scheme, lambda inner, at: _detached(inner, at, scheme))
    fields.done()
    return found


def _detached(value: object, path: str, scheme: Scheme) -> Signature:
    fields = Fields(value, path)
    key = fields.take("key", text(expected="the name of a key of the pool's policy", fits=_KEY.match))
    if fields.has("content"):
        content = fields.take("content", text(most=MAX_SIGNATURE_CHARS))
        fields.done()
        return Signature(scheme, key, content=content)
    where = fields.take("bundle" if scheme == "sigstore" else "signature", url)
    fields.done()
    return Signature(scheme, key, url=where)
