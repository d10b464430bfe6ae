"""Secrets at rest: AES-256-GCM, bound to key and row; the keys are in one file beside, never in, the database.

The file is JSON of mode 0600: `{"format": "liftlock-keys-1", "current": "<id>", "keys": {"<id>": "<base64, 32 bytes>"}}`.
A new key is added and made current; older ones stay for what they sealed.

Source: docs/reference/access.md#tokens-at-rest
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from liftlock.errors import MalformedPayloadError, StorageError
from liftlock.ports.entropy import Entropy
from liftlock.values.json import decode_as

FORMAT: Final = "liftlock-keys-1"
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_SEALED: Final = re.compile(r"1\.([0-9a-f]{16})\.([A-Za-z0-9_-]+)\Z", re.ASCII)


class _KeyFile(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    current: str
    keys: dict[str, bytes]


class KeyFileSealer:
    """Implements `ports.sealing.Sealer` with the keys of one file."""

    def __init__(self, keys: dict[str, bytes], current: str, entropy: Entropy) -> None:
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = current
        self._entropy = entropy

    @classmethod
    def open(cls, path: Path, entropy: Entropy) -> KeyFileSealer:
        """Return a sealer with the keys of the file, which is made (mode 0600, durable) if there is none.

        Raises:
            StorageError: the file is not a regular one that only its owner may read, or is malformed.
        """
        try:
            found = _read(path)
        except FileNotFoundError:
            _create(path, _new_file(entropy))
            found = _read(path)
        return cls(found.keys, found.current, entropy)

    @staticmethod
    def key_ids(path: Path) -> frozenset[str]:
        """Return the ids of the file's keys, none if there is no file; raises as `open`."""
        try:
            return frozenset(_read(path).keys)
        except FileNotFoundError:
            return frozenset()

    @staticmethod
    def add_key(path: Path, entropy: Entropy) -> str:
        """Add a key to the file, make it the one to seal with, and return its id; sealers must be opened anew."""
        found = _read(path)
        key_id = entropy.token_bytes(8).hex()
        found.keys[key_id] = entropy.token_bytes(KEY_BYTES)
        found.current = key_id
        beside = path.with_name(path.name + ".new")
        beside.unlink(missing_ok=True)
        _create(beside, found)
        os.replace(beside, path)
        _sync_directory(path.parent)
        return key_id

    def seal(self, secret: bytes, *, identity: str) -> str:
        nonce = self._entropy.token_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, secret, _bound_to(self._current, identity))
        return f"1.{self._current}.{base64.urlsafe_b64encode(nonce + sealed).rstrip(b'=').decode()}"

    def unseal(self, sealed: str, *, identity: str) -> bytes:
        match = _SEALED.match(sealed)
        if match is None:
            raise StorageError(f"the sealed secret of {identity} is malformed")
        cipher = self._ciphers.get(match[1])
        if cipher is None:
            raise StorageError(
                f"the secret of {identity} was sealed with key {match[1]}, which the key file lacks"
            )
        try:
            data = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound_to(match[1], identity))
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise StorageError(
                f"the sealed secret of {identity} was changed or belongs to another row"
            ) from error


def _bound_to(key_id: str, identity: str) -> bytes:
    return f"{FORMAT}\0{key_id}\0{identity}".encode()


def _new_file(entropy: Entropy) -> _KeyFile:
    key_id = entropy.token_bytes(8).hex()
    return _KeyFile(FORMAT, key_id, {key_id: entropy.token_bytes(KEY_BYTES)})


def _read(path: Path) -> _KeyFile:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(f"key file {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o077:
            raise StorageError(
                f"key file {path}: expected a regular file of mode 0600, got {stat.filemode(mode)}"
            )
        data = file.read()
    try:
        found = decode_as(data, _KeyFile, what=f"key file {path}")
    except MalformedPayloadError as error:
        raise StorageError(error.message) from error
    sizes_fit = all(len(key) == KEY_BYTES for key in found.keys.values())
    if found.format != FORMAT or found.current not in found.keys or not sizes_fit:
        raise StorageError(
            f"key file {path}: expected format {FORMAT}, a current key, {KEY_BYTES} bytes a key"
        )
    return found


def _create(path: Path, content: _KeyFile) -> None:
    """Write a new file durably; if another process was first, leave its file alone."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(content))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
