"""Keys of pools and workers in files: private, certified over a socket, rotated, revoked."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from liftlock.adapters.keys.pool_keys import PoolKeys, read_published
from liftlock.adapters.keys.private_files import read_private, replace_file
from liftlock.adapters.keys.published_keys import PublishedKeys
from liftlock.adapters.keys.worker_key import WorkerKey
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.provenance.certificates import LIFETIME, read_certificate, read_issued
from liftlock.domain.provenance.keys import UntrustedError, is_signed
from liftlock.errors import InputInvalidError, NotFoundError, StorageError
from liftlock.ports.signer import UncertifiedError
from liftlock.processes.certifying import Certifier

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POOL = "local/unprivileged"


class SetClock:
    """A clock that stands."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        """The set instant."""
        return self.at


def keys(tmp_path: Path) -> PoolKeys:
    made = PoolKeys(tmp_path / "keys", SystemEntropy())
    made.ensure(POOL, level=3, now=NOW)
    return made


def test_private_keys_are_for_their_owner_alone_and_public_ones_for_everybody(tmp_path: Path) -> None:
    keys(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert modes == {"lock": 0o600, "pools.json": 0o600, "published.json": 0o644}
    secret = (tmp_path / "keys" / "pools.json").read_text().split('"seed":"')[1][:40]
    assert secret not in (tmp_path / "keys" / "published.json").read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    replace_file(path, b"x" * 32)
    path.chmod(mode)
    with pytest.raises(StorageError, match="expected a regular file of mode 0600"):
        read_private(path)


def test_a_private_key_behind_a_link_is_refused(tmp_path: Path) -> None:
    replace_file(tmp_path / "key", b"x" * 32)
    (tmp_path / "link").symlink_to(tmp_path / "key")
    with pytest.raises(StorageError):
        read_private(tmp_path / "link")


def test_after_a_rotation_the_new_key_certifies_and_the_old_one_still_counts(tmp_path: Path) -> None:
    held = keys(tmp_path)
    before = held.certify(POOL, "g", "w", b"k" * 32, now=NOW)
    new = held.rotate(POOL, now=NOW)
    after = held.certify(POOL, "g", "w", b"k" * 32, now=NOW)
    published = read_published(held.published_path)
    assert [each.state for each in published.pools] == ["retired", "current"]
    pools = PublishedKeys(held.published_path).current().valid_pools
    assert [read_certificate(each, pools)[1].id for each in (before, after)] == [
        published.pools[0].key_id,
        new,
    ]


def test_a_revoked_pool_key_certifies_nothing_that_counts(tmp_path: Path) -> None:
    held = keys(tmp_path)
    envelope = held.certify(POOL, "g", "w", b"k" * 32, now=NOW)
    [old] = read_published(held.published_path).pools
    with pytest.raises(InputInvalidError, match="rotate it first"):
        held.revoke(old.key_id, "lost", now=NOW)
    held.rotate(POOL, now=NOW)
    trusted = PublishedKeys(held.published_path)
    assert read_certificate(envelope, trusted.current().valid_pools)
    held.revoke(old.key_id, "lost", now=NOW)
    with pytest.raises(UntrustedError, match="no trusted key of a pool"):
        read_certificate(envelope, trusted.current().valid_pools)


def test_a_key_that_nobody_knows_is_not_revoked(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        keys(tmp_path).revoke("0" * 64, "why", now=NOW)


def test_a_pool_that_there_is_not_is_not_rotated(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there are: local/unprivileged"):
        keys(tmp_path).rotate("x/y", now=NOW)


def test_without_published_keys_nobody_is_trusted(tmp_path: Path) -> None:
    assert PublishedKeys(tmp_path / "absent.json").current().pools == ()
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(StorageError):
        PublishedKeys(tmp_path / "broken.json").current()


def test_a_pools_key_stays_from_start_to_start(tmp_path: Path) -> None:
    keys(tmp_path)
    first = (tmp_path / "keys" / "pools.json").read_bytes()
    keys(tmp_path)
    assert (tmp_path / "keys" / "pools.json").read_bytes() == first


@asynccontextmanager
async def certified(tmp_path: Path, clock: SetClock) -> AsyncIterator[tuple[WorkerKey, Certifier]]:
    """A worker's key, and who certifies it."""
    certifier = Certifier(tmp_path, POOL, 3, clock, SystemEntropy())
    channel = socket.socket(fileno=os.dup(certifier.channel("local", "w")))
    certifier.attend()
    key = WorkerKey.open(tmp_path, channel, clock, SystemEntropy())
    try:
        yield key, certifier
    finally:
        key.close()
        certifier.close()


async def test_a_worker_is_certified_as_who_it_is(tmp_path: Path) -> None:
    async with certified(tmp_path, SetClock()) as (key, certifier):
        found, envelope = await key.certificate()
        trusted = PublishedKeys(certifier.published_path).current()
        assert read_certificate(envelope, trusted.valid_pools)[0] == found
        assert (found.worker_group, found.worker_id, found.pool, found.level) == ("local", "w", POOL, 3)
        assert is_signed(found.public_key, key.sign(b"data"), b"data")
        assert (tmp_path / "signing-key").stat().st_mode & 0o777 == 0o600


async def test_a_certificate_is_renewed_when_half_of_its_time_is_over(tmp_path: Path) -> None:
    clock = SetClock()
    async with certified(tmp_path, clock) as (key, certifier):
        first, _ = await key.certificate()
        clock.at += LIFETIME / 2 - timedelta(seconds=1)
        assert (await key.certificate())[0] == first
        clock.at += timedelta(seconds=2)
        second, _ = await key.certificate()
        assert second.not_after == clock.at + LIFETIME
        assert second.public_key == first.public_key
        published = read_published(certifier.published_path).certificates
        assert [read_issued(each).not_after for each in published] == [first.not_after, second.not_after]


async def test_without_an_answer_a_worker_signs_until_its_certificate_ends(tmp_path: Path) -> None:
    clock = SetClock()
    async with certified(tmp_path, clock) as (key, certifier):
        first, _ = await key.certificate()
        certifier.close()
        clock.at = first.not_after - timedelta(milliseconds=1)
        assert (await key.certificate())[0] == first
        clock.at = first.not_after
        with pytest.raises(UncertifiedError, match="the pool's key gave no certificate"):
            await key.certificate()


@pytest.mark.parametrize("request_bytes", [b"x", b"x" * 31, b"x" * 33, b"x" * 1000])
async def test_a_request_that_is_no_key_is_not_answered(tmp_path: Path, request_bytes: bytes) -> None:
    certifier = Certifier(tmp_path, POOL, 3, SetClock(), SystemEntropy())
    with socket.socket(fileno=os.dup(certifier.channel("local", "w"))) as channel:
        channel.setblocking(False)
        certifier.attend()
        channel.send(request_bytes)
        channel.send(b"k" * 32)
        answer = await asyncio.get_running_loop().sock_recv(channel, 1 << 16)
        assert read_issued(json.loads(answer)).public_key == b"k" * 32
        certifier.close()
