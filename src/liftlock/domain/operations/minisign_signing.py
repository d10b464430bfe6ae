"""Minisign signatures, made: with a secret key file that has no password, prehashed, with a trusted comment.

Source: the file formats of minisign
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from liftlock.domain.inputs.minisign import MinisignKey
from liftlock.errors import InputValidationError

_KEY_BYTES: Final = 158
_UNENCRYPTED: Final = b"Ed\0\0B2"
"""Ed25519, no key derivation, a BLAKE2b checksum; which is zero as minisign writes such keys."""
_WHAT: Final = "a minisign secret key"


class SigningKey(msgspec.Struct, frozen=True):
    """A secret key and its id. It does not print."""

    key_id: bytes
    seed: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.public.shown_id})"

    @property
    def public(self) -> MinisignKey:
        """The public key that belongs to it."""
        return MinisignKey(self.key_id, self._private().public_key().public_bytes_raw())

    def sign(self, content: bytes, name: str, comment: str) -> str:
        """Return the text of a .minisig file over `content`; `name` stands in its untrusted comment.

        Args:
            comment: Signed as well; one line.
        """
        private = self._private()
        signature = private.sign(hashlib.blake2b(content, digest_size=64).digest())
        outer = private.sign(signature + comment.encode())
        return (
            f"untrusted comment: signature of {name} by liftlock\n"
            f"{_text(b'ED' + self.key_id + signature)}\n"
            f"trusted comment: {comment}\n"
            f"{_text(outer)}\n"
        )

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def parse_secret_key(text: str) -> SigningKey:
    """Return the key of a secret key file that `minisign -G -W` wrote, or of its last line.

    Raises:
        InputValidationError: it is none, is damaged, or has a password; nothing of the key is in the message.
    """
    lines = text.strip().splitlines()
    try:
        raw = base64.b64decode(lines[-1].strip() if lines else "", validate=True)
    except (binascii.Error, ValueError):
        raise InputValidationError(f"{_WHAT}: expected base64") from None
    if len(raw) != _KEY_BYTES or raw[:2] != b"Ed":
        raise InputValidationError(f"{_WHAT}: expected {_KEY_BYTES} bytes that begin with Ed")
    if raw[:6] != _UNENCRYPTED:
        raise InputValidationError(f"{_WHAT}: it has a password; make one with minisign -G -W")
    key_id, secret, checksum = raw[54:62], raw[62:126], raw[126:]
    if checksum not in (bytes(32), hashlib.blake2b(b"Ed" + key_id + secret, digest_size=32).digest()):
        raise InputValidationError(f"{_WHAT}: its checksum differs: it is damaged")
    found = SigningKey(key_id, secret[:32])
    if found.public.public != secret[32:]:
        raise InputValidationError(f"{_WHAT}: its two halves belong to different keys")
    return found


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
