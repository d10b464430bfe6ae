"""Pools' keys: kept by the operator's process, which certifies workers with them; their public halves are published.

`pools.json` (mode 0600) holds the private keys; `published.json` (mode 0644) what everybody may know. Both are
replaced as a whole, under one lock, so that a rotation beside a running system loses nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from liftlock.adapters.keys.private_files import read_private, replace_file
from liftlock.domain.provenance.certificates import (
    BACKDATED,
    CERTIFICATE_TYPE,
    LIFETIME,
    WorkerCertificate,
    certificate_payload,
    read_issued,
)
from liftlock.domain.provenance.envelope import enveloped, signed_bytes
from liftlock.domain.provenance.keys import UntrustedError, key_id, to_text
from liftlock.domain.provenance.published import (
    PUBLISHED_FORMAT,
    Published,
    PublishedKey,
    Revoked,
    parse_published,
)
from liftlock.errors import InputInvalidError, MalformedPayloadError, NotFoundError, StorageError
from liftlock.ports.entropy import Entropy
from liftlock.values.instants import format_instant
from liftlock.values.json import decode_as

PRIVATE_FILE: Final = "pools.json"
PUBLISHED_FILE: Final = "published.json"
FORMAT: Final = "liftlock-pool-keys-1"
MAX_PUBLISHED_CERTIFICATES: Final = 2_000
_SEED_BYTES: Final = 32


class _Key(msgspec.Struct, forbid_unknown_fields=True):
    seed: bytes
    created: str


class _Pool(msgspec.Struct, forbid_unknown_fields=True):
    level: int
    current: str
    keys: dict[str, _Key]


class _PrivateFile(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    pools: dict[str, _Pool]


class PoolKeys:
    """The pools' keys in `directory`, which is its owner's alone but for passing through."""

    def __init__(self, directory: Path, entropy: Entropy) -> None:
        self._directory = directory
        self._entropy = entropy

    @property
    def published_path(self) -> Path:
        """Where the public halves are."""
        return self._directory / PUBLISHED_FILE

    def ensure(self, pool: str, *, level: int, now: datetime) -> None:
        """Make the pool's key if it has none, and let its level be `level`; publish.

        Raises:
            StorageError: the files can't be read or written.
        """
        with self._changing() as file:
            found = file.pools.get(pool)
            if found is None:
                file.pools[pool] = found = _Pool(level, "", {})
                self._add(found, now)
            found.level = level

    def rotate(self, pool: str, *, now: datetime) -> str:
        """Make a new key, certify with it from now on, and return its id; the old one stays published as retired.

        Raises:
            NotFoundError: there is no such pool.
            StorageError: the files can't be read or written.
        """
        with self._changing() as file:
            found = file.pools.get(pool)
            if found is None:
                raise NotFoundError(
                    f"there is no pool {pool}; there are: {', '.join(sorted(file.pools)) or 'none'}"
                )
            return self._add(found, now)

    def certify(
        self, pool: str, worker_group: str, worker_id: str, public_key: bytes, *, now: datetime
    ) -> dict[str, Any]:
        """Return the envelope of a certificate for the worker's key, by the pool's current key; it is published."""
        with self._locked():
            file = self._read()
            held = file.pools[pool]
            private = Ed25519PrivateKey.from_private_bytes(held.keys[held.current].seed)
            certificate = WorkerCertificate(
                pool, held.level, worker_group, worker_id, public_key, now - BACKDATED, now + LIFETIME
            )
            payload = certificate_payload(certificate)
            signature = private.sign(signed_bytes(CERTIFICATE_TYPE, payload))
            envelope = enveloped(CERTIFICATE_TYPE, payload, held.current, signature)
            kept = [
                one for one in self._published().certificates if read_issued(one).not_after > now - LIFETIME
            ]
            self._publish(file, certificates=(*kept, envelope)[-MAX_PUBLISHED_CERTIFICATES:])
            return envelope

    def revoke(self, key_id: str, reason: str, *, now: datetime) -> None:
        """Let a key, of a pool or a worker, count no more; doing it again changes nothing.

        Raises:
            NotFoundError: nothing published has that key.
            InputInvalidError: it is the current key of a pool, which has to be rotated first.
        """
        with self._locked():
            file, held = self._read(), self._published()
            if any(pool.current == key_id for pool in file.pools.values()):
                raise InputInvalidError(f"{key_id} is the current key of its pool: rotate it first")
            known = {each.key_id for each in held.pools}
            known |= {read_issued(each).key_id for each in held.certificates}
            if key_id not in known:
                raise NotFoundError(f"no pool and no worker has the key {key_id[:100]}")
            if all(each.key_id != key_id for each in held.revoked):
                self._publish(file, revoked=(*held.revoked, Revoked(key_id, format_instant(now), reason)))

    def _add(self, pool: _Pool, now: datetime) -> str:
        seed = self._entropy.token_bytes(_SEED_BYTES)
        made = key_id(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())
        pool.keys[made] = _Key(seed, format_instant(now))
        pool.current = made
        return made

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_PrivateFile]:
        """Yield the private file's content, and write what became of it."""
        with self._locked():
            file = self._read()
            yield file
            replace_file(self._directory / PRIVATE_FILE, msgspec.json.encode(file))
            self._publish(file)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._directory.mkdir(mode=0o711, exist_ok=True)
            lock = os.open(
                self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise StorageError(f"keys in {self._directory}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> _PrivateFile:
        path = self._directory / PRIVATE_FILE
        content = read_private(path)
        if content is None:
            return _PrivateFile(FORMAT, {})
        try:
            found = decode_as(content, _PrivateFile, what=f"key file {path}")
        except MalformedPayloadError as error:
            raise StorageError(error.message) from error
        sound = all(
            pool.current in pool.keys and all(len(key.seed) == _SEED_BYTES for key in pool.keys.values())
            for pool in found.pools.values()
        )
        if found.format != FORMAT or not sound:
            raise StorageError(f"key file {path}: expected format {FORMAT}, with a current key in each pool")
        return found

    def _published(self) -> Published:
        try:
            return read_published(self.published_path)
        except FileNotFoundError:
            return Published(PUBLISHED_FORMAT, (), ())

    def _publish(self, file: _PrivateFile, **changes: Any) -> None:
        pools = tuple(
            PublishedKey(
                name,
                pool.level,
                each,
                _public(key),
                "current" if each == pool.current else "retired",
                key.created,
            )
            for name, pool in sorted(file.pools.items())
            for each, key in pool.keys.items()
        )
        content = msgspec.json.encode(msgspec.structs.replace(self._published(), pools=pools, **changes))
        replace_file(self.published_path, content, mode=0o644)


def read_published(path: Path) -> Published:
    """Return what is published at `path`; FileNotFoundError if nothing is, StorageError if it is malformed."""
    try:
        return parse_published(path.read_bytes())
    except UntrustedError as error:
        raise StorageError(f"{path}: {error.message}") from error


def _public(key: _Key) -> str:
    return to_text(Ed25519PrivateKey.from_private_bytes(key.seed).public_key().public_bytes_raw())
