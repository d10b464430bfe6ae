"""Secrets that only the privileged worker opens: sealed to its public key, for one name and one operation.

X25519 with a key used once, HKDF-SHA256, AES-256-GCM; the name and the operation are bound in, so that a sealed secret can't
be put in another's place. Whoever stores or carries it learns its length.

Source: docs/reference/operations.md#secrets; RFC 9180 for the construction
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from liftlock.errors import InputValidationError

KEY_BYTES: Final = 32
MAX_SECRET_BYTES: Final = 16 << 10
KEY_PREFIX: Final = "liftlock-privileged-1:"
SEALED_PREFIX: Final = "liftlock-sealed-1:"
_NONCE: Final = bytes(12)
"""Each key is used for one message only."""


def public_key_text(seed: bytes) -> str:
    """Return the public key of the private key `seed` (32 bytes), as people copy it."""
    public = X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return KEY_PREFIX + base64.urlsafe_b64encode(public).decode().rstrip("=")


def seal(public_key: str, once: bytes, operation: str, name: str, secret: bytes) -> str:
    """Return `secret`, sealed for the holder of the private key.

    Args:
        once: 32 random bytes, used for this call only.
    Raises:
        InputValidationError: `public_key` is none, or the secret is empty or larger than `MAX_SECRET_BYTES`.
    """
    if not 1 <= len(secret) <= MAX_SECRET_BYTES:
        raise InputValidationError(f"secret: expected 1 to {MAX_SECRET_BYTES} bytes, got {len(secret)}")
    theirs = _decoded(public_key.strip(), KEY_PREFIX, "public key")
    ours = X25519PrivateKey.from_private_bytes(once)
    public = ours.public_key().public_bytes_raw()
    try:
        shared = ours.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError as error:
        raise InputValidationError("public key: expected one of a privileged worker") from error
    key = _derived(shared, public, theirs)
    sealed = AESGCM(key).encrypt(_NONCE, secret, _bound(operation, name))
    return SEALED_PREFIX + base64.urlsafe_b64encode(public + sealed).decode().rstrip("=")


def unseal(seed: bytes, operation: str, name: str, sealed: str) -> bytes:
    """Return the secret that was sealed for this key, operation and name; InputValidationError: it was not."""
    raw = _decoded(sealed.strip(), SEALED_PREFIX, f"sealed secret {name}", least=KEY_BYTES + 17)
    private = X25519PrivateKey.from_private_bytes(seed)
    public, ours = raw[:KEY_BYTES], private.public_key().public_bytes_raw()
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(public))
        return AESGCM(_derived(shared, public, ours)).decrypt(
            _NONCE, raw[KEY_BYTES:], _bound(operation, name)
        )
    except (InvalidTag, ValueError) as error:
        raise InputValidationError(
            f"sealed secret {name}: it was not sealed to this worker for {operation}"
        ) from error


def _derived(shared: bytes, once: bytes, recipient: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=once + recipient, info=b"liftlock sealed secret 1").derive(shared)


def _bound(operation: str, name: str) -> bytes:
    return f"liftlock-sealed-1\n{operation}\n{name}".encode()


def _decoded(text: str, prefix: str, what: str, least: int = KEY_BYTES) -> bytes:
    body = text.removeprefix(prefix)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    exact = prefix == KEY_PREFIX
    if not text.startswith(prefix) or len(raw) < least or (exact and len(raw) != KEY_BYTES):
        raise InputValidationError(f"{what}: expected text that begins with {prefix}")
    return raw
