"""Signatures that `ssh-keygen -Y sign` makes, verified: Ed25519, ECDSA, RSA with SHA-2, and Ed25519 on a security key.

Source: PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from liftlock.errors import InputValidationError

NAMESPACE: Final = "liftlock-approval"
MAX_SIGNATURE_CHARS: Final = 16_384
MIN_RSA_BITS: Final = 2048
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_MAGIC: Final = b"SSHSIG"
_SECURITY_KEY: Final = b"sk-ssh-ed25519@openssh.com"
_USER_PRESENT: Final = 0x01
_HASHES: Final = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_CURVES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_RSA: Final[dict[bytes, hashes.HashAlgorithm]] = {
    b"rsa-sha2-256": hashes.SHA256(),
    b"rsa-sha2-512": hashes.SHA512(),
}


class SshKey(msgspec.Struct, frozen=True):
    """A public key: its type, the bytes of its wire form, and the line that it was read from."""

    kind: bytes
    blob: bytes
    line: str

    @property
    def fingerprint(self) -> str:
        """Return the key's fingerprint as `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


class _Signature(msgspec.Struct, frozen=True):
    public_key: bytes
    hash_name: bytes
    reserved: bytes
    blob: bytes


class _Reader:
    """Reads length-prefixed strings of the wire form."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        if count > len(self._data):
            raise InputValidationError("an SSH signature: it ends too early")
        found, self._data = self._data[:count], self._data[count:]
        return found

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))

    def number(self) -> int:
        return int.from_bytes(self.string(), "big")

    def done(self) -> None:
        if self._data:
            raise InputValidationError("an SSH signature: bytes follow its end")


def parse_ssh_key(line: str) -> SshKey:
    """Return the public key of a line `<type> <base64> [comment]`; InputValidationError: it is none that counts here."""
    parts = line.split()
    try:
        blob = base64.b64decode(parts[1], validate=True) if len(parts) >= 2 else b""
    except (binascii.Error, ValueError):
        blob = b""
    if len(blob) < 4 or _Reader(blob).string() != parts[0].encode():
        raise InputValidationError("an SSH public key: expected a line `<type> <base64>`")
    key = SshKey(parts[0].encode(), blob, " ".join(parts[:2]))
    if key.kind != _SECURITY_KEY:
        _loaded(key)
    return key


def verify_ssh(key: SshKey, armored: str, message: bytes) -> None:
    """Return if `armored` is the key's signature over `message` in the namespace of approvals.

    Raises:
        InputValidationError: it is malformed, another key's, of another namespace, or over other bytes.
    """
    signature = _parsed(armored)
    if signature.public_key != key.blob:
        raise InputValidationError("the SSH signature is by another key")
    digest = _HASHES[signature.hash_name](message).digest()
    signed = _MAGIC + b"".join(
        _string(part) for part in (NAMESPACE.encode(), signature.reserved, signature.hash_name, digest)
    )
    try:
        _verify(key, signature.blob, signed)
    except InvalidSignature as error:
        raise InputValidationError(
            f"the SSH signature by {key.fingerprint} is not over these bytes"
        ) from error


def _parsed(armored: str) -> _Signature:
    text = armored.strip()
    if len(text) > MAX_SIGNATURE_CHARS or not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise InputValidationError(f"an SSH signature: expected text between {_BEGIN} and {_END}")
    try:
        raw = base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputValidationError("an SSH signature: expected base64") from error
    reader = _Reader(raw)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.take(4) != b"\0\0\0\1":
        raise InputValidationError("an SSH signature: expected version 1")
    public_key, namespace, reserved, hash_name, blob = (reader.string() for _ in range(5))
    reader.done()
    if namespace != NAMESPACE.encode():
        raise InputValidationError(
            f"an SSH signature: expected the namespace {NAMESPACE} (ssh-keygen -Y sign -n {NAMESPACE}),"
            f" got {namespace[:40]!r}"
        )
    if hash_name not in _HASHES:
        raise InputValidationError(f"an SSH signature: expected sha256 or sha512, got {hash_name[:40]!r}")
    return _Signature(public_key, hash_name, reserved, blob)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _loaded(key: SshKey) -> Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        public = load_ssh_public_key(key.line.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputValidationError(f"an SSH public key: {error}") from error
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < MIN_RSA_BITS:
        raise InputValidationError(f"an SSH public key: expected RSA of at least {MIN_RSA_BITS} bits")
    if isinstance(public, Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return public
    raise InputValidationError(f"an SSH public key: {key.kind.decode()[:40]} is not supported")


def _verify(key: SshKey, blob: bytes, signed: bytes) -> None:
    reader = _Reader(blob)
    scheme, raw = reader.string(), reader.string()
    if key.kind == _SECURITY_KEY:
        _verify_security_key(key, scheme, raw, reader, signed)
        return
    reader.done()
    public = _loaded(key)
    if isinstance(public, rsa.RSAPublicKey):
        if scheme not in _RSA:
            raise InputValidationError(f"an SSH signature: expected RSA with SHA-2, got {scheme[:40]!r}")
        public.verify(raw, signed, padding.PKCS1v15(), _RSA[scheme])
        return
    if scheme != key.kind:
        raise InputValidationError(f"an SSH signature: expected {key.kind.decode()}, got {scheme[:40]!r}")
    if isinstance(public, Ed25519PublicKey):
        public.verify(raw, signed)
        return
    inner = _Reader(raw)
    pair = encode_dss_signature(inner.number(), inner.number())
    public.verify(pair, signed, ec.ECDSA(_CURVES[public.curve.name]))


def _verify_security_key(key: SshKey, scheme: bytes, raw: bytes, rest: _Reader, signed: bytes) -> None:
    """Verify what a security key signed; it must have been touched."""
    flags, counter = rest.take(1), rest.take(4)
    rest.done()
    wire = _Reader(key.blob)
    _, public, application = wire.string(), wire.string(), wire.string()
    if scheme != _SECURITY_KEY:
        raise InputValidationError(
            f"an SSH signature: expected {_SECURITY_KEY.decode()}, got {scheme[:40]!r}"
        )
    if not flags[0] & _USER_PRESENT:
        raise InputValidationError("an SSH signature: the security key was not touched")
    said = hashlib.sha256(application).digest() + flags + counter + hashlib.sha256(signed).digest()
    Ed25519PublicKey.from_public_bytes(public).verify(raw, said)
