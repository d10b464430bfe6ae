"""The audit log keeps its promises on both databases: places without gaps, whoever gives them and whatever commits meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from audit_world import execute, write
from fakes.counted_entropy import CountedEntropy
from fakes.settable_time import SettableClock
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.audit_store import SqlAuditStore
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.migrate import migrate_sqlite, migrations
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.sqlite_engine import SqliteEngine, connect
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.audit.note import open_checkpoint
from liftlock.domain.audit.tree import is_consistent, is_included, root_of
from liftlock.domain.audit.verification import verify
from liftlock.errors import StorageError
from liftlock.ports.audit_store import AuditFilter, LogKey, StoredCheckpoint
from liftlock.ports.envelope import AuditRecord, Envelope
from liftlock.services.sequence_audit import CHECKPOINT_EVERY, LogSigner, SequenceAudit
from task_builders import NOW

NEVER = 2**62


async def test_rows_are_shown_without_a_place_until_they_are_sequenced(engine: Engine) -> None:
    store = SqlAuditStore(engine)
    await write(engine, 1)
    [before] = await store.rows(AuditFilter(), before=NEVER, limit=9)
    assert (before.seq, before.row.actor, before.row.details) == (None, "people/ada", '{"n":1}')
    assert (
        before.row.authority == '{"needed":["secrets:get:x"],"through":["assume:readers"],"accessVersion":3}'
    )
    assert await store.sequence(100) == 1
    assert await store.sequence(100) == 0
    [after] = await store.rows(AuditFilter(), before=NEVER, limit=9)
    assert (after.seq, after.row) == (0, before.row)


async def test_sequencers_at_once_leave_no_gap_while_others_commit(engine: Engine) -> None:
    store, other = SqlAuditStore(engine), SqlAuditStore(engine)

    async def writer(base: int) -> None:
        for number in range(20):
            await write(engine, base + number)

    async def sequencer(which: SqlAuditStore) -> int:
        total = 0
        for _ in range(30):
            total += await which.sequence(3)
            await asyncio.sleep(0)
        return total

    counts = await asyncio.gather(writer(0), writer(100), sequencer(store), sequencer(other))
    total = sum(count for count in counts if count is not None)
    while left := await store.sequence(7):
        total += left
    assert total == 40 == await store.size()
    entries = await store.entries(0, 100)
    assert [each.seq for each in entries] == list(range(40))
    assert len({each.row.id for each in entries if each.row is not None}) == 40
    assert verify(entries, ()).ok
    assert await store.root(40) == root_of(each.leaf for each in entries)


async def test_proofs_from_the_store_verify(engine: Engine) -> None:
    store = SqlAuditStore(engine)
    records = tuple(AuditRecord("a", "b", f"c/{n}", "changed") for n in range(300))

    def script() -> Script[None]:
        yield Sql("SELECT 1")

    await engine.write(script, Envelope(NOW, audit=records))
    while await store.sequence(128):
        pass
    entries = await store.entries(0, 1000)
    for size, seq in ((300, 0), (300, 299), (257, 256), (1, 0)):
        path = await store.inclusion(seq, size)
        assert is_included(entries[seq].leaf, seq, size, path, await store.root(size))
    for old, new in ((1, 300), (256, 257), (255, 300)):
        proof = await store.consistency(old, new)
        assert is_consistent(old, await store.root(old), new, await store.root(new), proof)
    assert [each.seq for each in await store.entries(298, 50)] == [298, 299]
    assert await store.entries(300, 5) == []


async def test_rows_are_filtered_and_come_newest_first(engine: Engine) -> None:
    store = SqlAuditStore(engine)
    await write(engine, 1)
    await write(engine, 2, actor="people/bo", action="hooks.fire", subject="hook/a/b", verdict="refused")
    await write(engine, 3)

    async def subjects(**wanted: str) -> list[str]:
        found = await store.rows(AuditFilter(**wanted), before=NEVER, limit=9)
        return [each.row.subject for each in found]

    assert await subjects() == ["secret/3", "hook/a/b", "secret/1"]
    assert await subjects(actor="people/ada") == ["secret/3", "secret/1"]
    assert await subjects(actor="people/a") == []
    assert await subjects(action="hooks.") == ["hook/a/b"]
    assert await subjects(subject="secret/1", verdict="allowed") == ["secret/1"]
    assert await subjects(subject="secret/1", verdict="refused") == []
    newest = (await store.rows(AuditFilter(), before=NEVER, limit=1))[0]
    older = await store.rows(AuditFilter(), before=newest.row.id, limit=1)
    assert older[0].row.subject == "hook/a/b"


async def test_a_tree_that_lost_hashes_takes_no_more_rows_and_says_so(engine: Engine) -> None:
    store = SqlAuditStore(engine)
    await write(engine, 1)
    await store.sequence(100)
    await execute(engine, "DELETE FROM audit_tile")
    await write(engine, 2)
    with pytest.raises(StorageError, match="the audit log's stored tree is damaged: tile 0/0 lacks hashes"):
        await store.sequence(100)
    assert await store.size() == 1
    assert (await store.entries(0, 9))[0].leaf == b""


async def test_the_key_is_made_once_for_all_control_planes(engine: Engine) -> None:
    store = SqlAuditStore(engine)
    first = LogKey("a/audit", b"\x01" * 32, "1.0123456789abcdef.x")
    assert await store.key(first) == first
    assert await store.key(LogKey("b/audit", b"\x02" * 32, "other")) == first


async def test_checkpoints_are_kept_by_size_and_thinned_to_the_last_of_an_hour(engine: Engine) -> None:
    store = SqlAuditStore(engine)
    hour = 3_600_000
    made = [
        StoredCheckpoint(size, at, f"note {size}")
        for size, at in ((1, 5), (2, hour - 1), (3, hour), (9, hour + 7))
    ]
    for each in made:
        await store.put_checkpoint(each)
    await store.put_checkpoint(StoredCheckpoint(9, 0, "another"))
    assert await store.checkpoints(0, 99) == made
    assert await store.checkpoints(2, 1) == [made[2]]
    assert (await store.checkpoint(None), await store.checkpoint(2)) == (made[3], made[1])
    assert await store.checkpoint(4) is None
    assert await store.thin(hour + 7) == 2
    assert [each.size for each in await store.checkpoints(0, 99)] == [2, 9]


async def test_the_step_sequences_and_signs_at_most_every_two_seconds(engine: Engine, tmp_path: Path) -> None:
    entropy, clock, store = CountedEntropy(), SettableClock(NOW), SqlAuditStore(engine)
    sealer = KeyFileSealer.open(tmp_path / "keys.json", entropy)
    signers = [LogSigner(store, sealer, entropy, f"host{n}/audit") for n in range(2)]
    steps = [
        SequenceAudit(store, each, SqlLeases(engine), clock, f"holder {n}") for n, each in enumerate(signers)
    ]
    assert await steps[0].step() == 0
    assert await store.checkpoint(None) is None
    for number in range(3):
        await write(engine, number)
    assert await steps[1].step() == 0  # the first one holds the lease
    assert await steps[0].step() == 3
    first = await store.checkpoint(None)
    assert first is not None
    verifier = await signers[1].verifier()
    assert verifier == await signers[0].verifier()
    assert open_checkpoint(first.note, verifier).size == 3
    await write(engine, 4)
    clock.present = NOW + CHECKPOINT_EVERY - timedelta(milliseconds=1)
    assert await steps[0].step() == 1
    assert await store.checkpoint(None) == first
    clock.present = NOW + CHECKPOINT_EVERY
    await steps[0].step()
    second = await store.checkpoint(None)
    assert second is not None
    opened = open_checkpoint(second.note, verifier)
    assert (opened.size, opened.root) == (4, await store.root(4))


async def test_rows_from_before_the_tree_get_their_places_after_the_migration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    old = tuple(each for each in migrations("sqlite") if each.number < 13)
    with monkeypatch.context() as patch:
        patch.setattr("liftlock.adapters.sql.migrate._MIGRATIONS", {"sqlite": old, "postgresql": ()})
        await migrate_sqlite(path)
    connection = connect(path)
    for number in range(5):
        connection.execute(
            "INSERT INTO audit(at, actor, action, subject, verdict, details) VALUES (?, 'a', 'b', 'c', 'changed', '{}')",
            (number,),
        )
    connection.close()
    await migrate_sqlite(path)
    engine = SqliteEngine(path, InProcessWakeups())
    store = SqlAuditStore(engine)
    assert await store.sequence(100) == 5
    entries = await store.entries(0, 10)
    assert [each.row.at for each in entries if each.row is not None] == list(range(5))
    assert [each.row.authority for each in entries if each.row is not None] == ["{}"] * 5
    assert verify(entries, ()).ok
    await engine.close()


def test_a_place_is_given_to_one_row_only(tmp_path: Path) -> None:
    asyncio.run(migrate_sqlite(tmp_path / "liftlock.db"))
    connection = connect(tmp_path / "liftlock.db")
    insert = "INSERT INTO audit(at, actor, action, subject, verdict, details, seq) VALUES (1, 'a', 'b', 'c', 'd', '{}', 1)"
    connection.execute(insert)
    with pytest.raises(apsw.ConstraintError):
        connection.execute(insert)
    connection.close()


async def test_a_place_that_is_missing_among_rows_outside_the_tree_is_closed_by_the_next_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "liftlock.db"
    await migrate_sqlite(path)
    engine = SqliteEngine(path, InProcessWakeups())
    store = SqlAuditStore(engine)
    for number in range(2):
        await write(engine, number)
    assert await store.sequence(100) == 2
    for number in range(2, 6):
        await write(engine, number)
    rows = await store.rows(AuditFilter(), before=1 << 60, limit=10)
    assert [each.seq for each in rows] == [None, None, None, None, 1, 0]
    connection = connect(path)
    connection.execute("DELETE FROM audit WHERE id = ?", (rows[2].row.id,)).fetchall()
    connection.close()
    assert await store.sequence(2) == 2
    await write(engine, 6)
    assert await store.sequence(100) == 2
    assert await store.sequence(100) == 0
    entries = await store.entries(0, 10)
    assert [each.seq for each in entries] == list(range(6))
    assert verify(entries, ()).ok
    await engine.close()
