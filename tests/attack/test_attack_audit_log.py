"""Whoever holds the database can't make the audit log say something else without being found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit_world import execute, write
from fakes.counted_entropy import CountedEntropy
from fakes.settable_time import SettableClock
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.audit_store import SqlAuditStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.domain.audit.note import BadNoteError, Checkpoint, Verifier, open_checkpoint, sign
from liftlock.domain.audit.verification import verify
from liftlock.services.sequence_audit import LogSigner, SequenceAudit
from task_builders import NOW

EDIT = "UPDATE audit SET actor = 'people/eve' WHERE seq = 2"


class World:
    """A log with six rows, and its key."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        entropy = CountedEntropy()
        self.engine = engine
        self.store = SqlAuditStore(engine)
        sealer = KeyFileSealer.open(directory / "keys.json", entropy)
        self.signer = LogSigner(self.store, sealer, entropy, "host/audit")
        clock = SettableClock(NOW)
        self.sequence = SequenceAudit(self.store, self.signer, SqlLeases(engine), clock, "holder")

    async def checkpoints(self) -> list[Checkpoint]:
        verifier = await self.signer.verifier()
        return [open_checkpoint(each.note, verifier) for each in await self.store.checkpoints(0, 99)]

    async def rewrite(self) -> None:
        """Edit a row and make places, hashes and tree anew, as if it had always been so."""
        await execute(
            self.engine,
            EDIT,
            "UPDATE audit SET seq = NULL",
            "DELETE FROM audit_tile",
            "UPDATE audit_tree SET size = 0",
        )
        await self.store.sequence(100)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> World:
    made = World(engine, tmp_path)
    for number in range(6):
        await write(engine, number)
    await made.sequence.step()
    return made


async def test_an_edit_with_all_hashes_made_anew_contradicts_the_signed_checkpoint(world: World) -> None:
    await world.rewrite()
    assert verify(await world.store.entries(0, 99), ()).ok
    report = verify(await world.store.entries(0, 99), await world.checkpoints())
    assert [(each.kind, each.seq, each.until) for each in report.findings] == [("rewritten", 0, 6)]


async def test_a_log_rewritten_with_its_own_key_contradicts_the_witness(world: World) -> None:
    witnessed = await world.checkpoints()
    await world.rewrite()
    await execute(world.engine, "DELETE FROM audit_checkpoint")
    await world.sequence.step()
    signed_anew = await world.checkpoints()
    entries = await world.store.entries(0, 99)
    assert verify(entries, signed_anew).ok
    report = verify(entries, [*signed_anew, *witnessed])
    assert [(each.kind, each.seq, each.until) for each in report.findings] == [("rewritten", 0, 6)]


async def test_rows_cut_off_at_the_end_are_missed(world: World) -> None:
    await execute(world.engine, "DELETE FROM audit WHERE seq >= 4", "UPDATE audit_tree SET size = 4")
    report = verify(await world.store.entries(0, 99), await world.checkpoints())
    assert [(each.kind, each.seq, each.until) for each in report.findings] == [("truncated", 4, 6)]


async def test_a_checkpoint_signed_by_another_key_does_not_count(world: World) -> None:
    ours = await world.signer.verifier()
    entropy = CountedEntropy()
    for _ in range(9):
        entropy.token_bytes(32)
    other = LogSigner(_Empty(world.store), _Open(), entropy, ours.name)  # type: ignore[arg-type]
    theirs = await other.verifier()
    note = await other.sign(6, bytes(32))
    assert open_checkpoint(note, theirs).size == 6
    with pytest.raises(BadNoteError, match=r"checkpoint of size 6: not signed by host/audit\+"):
        open_checkpoint(note, ours)
    relabelled = sign(
        Checkpoint(ours.name, 6, bytes(32)), Verifier(ours.name, ours.public), lambda _: bytes(64)
    )
    with pytest.raises(BadNoteError, match=r"checkpoint of size 6: not signed by host/audit\+"):
        open_checkpoint(relabelled, ours)


class _Open:
    """Seals nothing: the key that somebody makes for himself."""

    def seal(self, secret: bytes, *, identity: str) -> str:
        return secret.hex()

    def unseal(self, sealed: str, *, identity: str) -> bytes:
        return bytes.fromhex(sealed)


class _Empty:
    """A store of the forger's own, which has no key yet."""

    def __init__(self, store: SqlAuditStore) -> None:
        self.store = store

    async def key(self, fresh: object) -> object:
        return fresh


@pytest.mark.parametrize(
    ("tampering", "finding"),
    [
        ("UPDATE audit SET actor = 'people/eve' WHERE seq = 3", ("edited", 3)),
        ("UPDATE audit SET details = '{}' WHERE seq = 0", ("edited", 0)),
        ("DELETE FROM audit WHERE seq = 4", ("removed", 4)),
    ],
)
async def test_a_row_edited_or_removed_in_the_database_is_named(
    engine: Engine, tampering: str, finding: tuple[str, int]
) -> None:
    store = SqlAuditStore(engine)
    for number in range(6):
        await write(engine, number)
    await store.sequence(100)
    await execute(engine, tampering)
    report = verify(await store.entries(0, 100), ())
    assert [(each.kind, each.seq) for each in report.findings] == [finding]


async def test_rows_exchanged_in_the_database_are_named(engine: Engine) -> None:
    store = SqlAuditStore(engine)
    for number in range(6):
        await write(engine, number)
    await store.sequence(100)
    exchange = [f"UPDATE audit SET seq = {new} WHERE seq = {old}" for old, new in ((1, 99), (5, 1), (99, 5))]
    await execute(engine, *exchange)
    report = verify(await store.entries(0, 100), ())
    assert [(each.kind, each.seq) for each in report.findings] == [("reordered", 1), ("reordered", 5)]
