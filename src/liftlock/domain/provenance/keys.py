"""Public Ed25519 keys: their ids, and whether a signature is theirs.

A key's id is the one that securesystemslib computes for it, so that its tools find the right key by themselves.

Source: docs/reference/provenance.md#keys
"""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from liftlock.errors import LiftlockError
from liftlock.values.json import digest

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class UntrustedError(LiftlockError):
    """Something claims to be signed and is not, or not by who must have signed it; the message says what differs."""

    code = "Untrusted"


def key_id(public_key: bytes) -> str:
    """Return 64 hexadecimal digits: the sha256 of the key's canonical JSON."""
    return digest({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public_key.hex()}})


def is_signed(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether `signature` (64 bytes) is the key's over exactly `data`."""
    if len(signature) != SIGNATURE_BYTES or len(public_key) != KEY_BYTES:
        return False
    try:
        _key(public_key).verify(signature, data)
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=256)
def _key(public_key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key)


def to_text(data: bytes) -> str:
    """Return standard base64, padded."""
    return base64.b64encode(data).decode("ascii")


def from_text(text: object, *, what: str, size: int | None = None) -> bytes:
    """Return the bytes that standard base64 says; UntrustedError if it is none, or not of `size` bytes."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or (size is not None and len(data) != size):
        wanted = "base64" if size is None else f"base64 of {size} bytes"
        raise UntrustedError(f"{what}: expected {wanted}")
    return data


def member(document: Any, key: str, kind: type, what: str) -> Any:
    """Return `document[key]` of type `kind`; UntrustedError names `what` and the path otherwise."""
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
        raise UntrustedError(f"{what}: {key} is missing or is no {kind.__name__}")
    return value
