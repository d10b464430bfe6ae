"""Minisign signatures: the file's, legacy or of its BLAKE2b digest, and the one over the trusted comment.

Source: the file formats of minisign.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from liftlock.errors import InputValidationError

MAX_LEGACY_BYTES = 64 << 20
"""A legacy signature is over the file itself, which then has to be in memory."""
_TRUSTED = "trusted comment: "


class MinisignKey(msgspec.Struct, frozen=True):
    """A public key and its id."""

    key_id: bytes
    public: bytes

    @property
    def shown_id(self) -> str:
        """Return the id as minisign prints it."""
        return self.key_id[::-1].hex().upper()


class MinisignSignature(msgspec.Struct, frozen=True):
    """A parsed signature file; `prehashed`: over the file's BLAKE2b-512."""

    prehashed: bool
    key_id: bytes
    signature: bytes
    comment: str
    global_signature: bytes


def parse_key(text: str) -> MinisignKey:
    """Return the key of a public key file, or of its last line alone; InputValidationError: it is none."""
    lines = text.strip().splitlines()
    raw = _base64(lines[-1] if lines else "", "a minisign public key")
    if len(raw) != 42 or raw[:2] != b"Ed":
        raise InputValidationError("a minisign public key: expected 42 bytes that begin with Ed")
    return MinisignKey(raw[2:10], raw[10:])


def parse_signature(text: str) -> MinisignSignature:
    """Return what a .minisig file holds; InputValidationError: it is none."""
    lines = text.splitlines()
    if len(lines) < 4 or not lines[2].startswith(_TRUSTED):
        raise InputValidationError("a minisign signature: expected four lines, the third a trusted comment")
    raw = _base64(lines[1], "a minisign signature")
    if len(raw) != 74 or raw[:2] not in (b"Ed", b"ED"):
        raise InputValidationError("a minisign signature: expected 74 bytes that begin with Ed or ED")
    outer = _base64(lines[3], "a minisign signature")
    return MinisignSignature(raw[:2] == b"ED", raw[2:10], raw[10:], lines[2][len(_TRUSTED) :], outer)


def verify(key: MinisignKey, signature: MinisignSignature, signed: bytes) -> None:
    """Return if `signature` is by `key`. `signed`: the BLAKE2b-512 of the file, or for a legacy one the file.

    Raises:
        InputValidationError: another key's, over other bytes, or with a changed comment; the message says which.
    """
    if signature.key_id != key.key_id:
        other = MinisignKey(signature.key_id, b"").shown_id
        raise InputValidationError(f"signed by the minisign key {other}, expected {key.shown_id}")
    public = Ed25519PublicKey.from_public_bytes(key.public)
    try:
        public.verify(signature.signature, signed)
    except InvalidSignature as error:
        raise InputValidationError(
            f"the minisign signature by {key.shown_id} is not over these bytes"
        ) from error
    try:
        public.verify(signature.global_signature, signature.signature + signature.comment.encode())
    except InvalidSignature as error:
        raise InputValidationError("the trusted comment of the minisign signature was changed") from error


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputValidationError(f"{what}: expected base64") from error
