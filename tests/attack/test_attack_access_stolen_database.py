"""Whoever takes a copy of the database can sign nothing with it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from access_world import ROOT, World
from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import AuthenticationFailedError, StorageError
from liftlock.ports.envelope import Envelope
from liftlock.services.access_snapshot import identity_of


def database_files(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.glob("liftlock.db*"))


async def test_no_file_of_the_database_holds_a_token(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    alice = await world.make_client("people/alice", "x")
    content = database_files(tmp_path)
    record = await world.store.client("people/alice")
    assert record is not None
    for secret in (alice.access_token, ROOT.access_token):
        assert secret not in repr(record)
        assert secret.encode() not in content
        assert secret not in repr(await world.store.history("client/people/alice", before=2**60, limit=10))
    if content:
        assert b"people/alice" in content


async def test_a_sealed_token_is_not_usable_as_a_token(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    await world.make_client("people/alice", "x")
    record = await world.store.client("people/alice")
    assert record is not None
    with pytest.raises(AuthenticationFailedError):
        await world.caller(Credentials("people/alice", record.sealed_token))


async def test_without_the_key_file_nothing_is_unsealed(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    await world.make_client("people/alice", "x")
    record = await world.store.client("people/alice")
    assert record is not None
    entropy = CountedEntropy()
    entropy.token_bytes(1000)
    thief = KeyFileSealer.open(tmp_path / "own.json", entropy)
    with pytest.raises(StorageError):
        thief.unseal(record.sealed_token, identity=identity_of("people/alice"))


async def test_a_token_copied_to_a_stronger_clients_row_is_worth_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    """Whoever may write the database but lacks the key can not give a client a token that he knows."""
    world = World(engine, tmp_path)
    weak = await world.make_client("people/weak", "x")
    await world.make_client("people/strong", "*")
    known, strong = await world.store.client("people/weak"), await world.store.client("people/strong")
    assert known is not None
    assert strong is not None
    forged = msgspec.structs.replace(strong, sealed_token=known.sealed_token)
    present = (await world.access.current(world.now)).version
    await world.store.put_client(forged, Envelope(world.now, access_version=present), create=False)
    world.access.expire()
    with pytest.raises(StorageError, match="belongs to another row"):
        await world.caller(Credentials("people/strong", weak.access_token))
