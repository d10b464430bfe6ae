"""Readiness means that a write would last, and a database that was full becomes small again."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.housekeeping import FREE_PAGES_KEPT, READY_FOR_S, SqlHousekeeping
from liftlock.adapters.sql.migrate import migrate_sqlite
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.errors import StorageError


class CountingEngine:
    """An engine that counts the writes that pass through it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)

    async def write(self, script: object, envelope: object) -> object:
        self.writes += 1
        return await self.engine.write(script, envelope)  # type: ignore[arg-type]


async def test_a_database_that_takes_writes_is_ready(engine: Engine) -> None:
    await SqlHousekeeping(engine).ready()


async def test_who_asks_often_causes_few_writes(engine: Engine) -> None:
    counting = CountingEngine(engine)
    kept = SqlHousekeeping(counting)  # type: ignore[arg-type]
    for _ in range(20):
        await kept.ready()
    assert counting.writes == 1


async def test_a_full_disk_is_not_ready_though_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftlock.adapters.sql.housekeeping.READY_FOR_S", 0.0)
    path = tmp_path / "liftlock.db"
    await migrate_sqlite(path)
    engine = SqliteEngine(path, InProcessWakeups())
    kept = SqlHousekeeping(engine)
    await kept.ready()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What the kernel refuses beyond this size stands for what a full disk refuses.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(StorageError):
            await kept.ready()
        assert len(await engine.read(_versions)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await kept.ready()
    await engine.close()


def test_an_answer_holds_for_seconds_only() -> None:
    assert 0 < READY_FOR_S <= 10


def _versions() -> Script[list[tuple[int]]]:
    return (yield Sql("SELECT version FROM access_version"))  # type: ignore[return-value]


async def test_the_space_of_what_was_deleted_goes_back_to_the_disk(
    tmp_path: Path,
) -> None:
    path = tmp_path / "liftlock.db"
    await migrate_sqlite(path)
    engine = SqliteEngine(path, InProcessWakeups())

    def fill() -> Script[None]:
        for start in range(100):
            yield Sql(
                "INSERT INTO live_log(task_id, run_id, name, start, data, at) VALUES ('t', 0, 'log', $1, $2, 1)",
                (start, bytes(100_000)),
            )

    def empty() -> Script[None]:
        yield Sql("DELETE FROM live_log")

    def pages() -> Script[tuple[int, int]]:
        [(count,)] = yield Sql("PRAGMA page_count")
        [(free,)] = yield Sql("PRAGMA freelist_count")
        return count, free

    await engine.write(fill, None)
    full, _ = await engine.read(pages)
    await engine.write(empty, None)
    assert (await engine.read(pages))[0] == full
    await SqlHousekeeping(engine).give_back_space()
    count, free = await engine.read(pages)
    assert free <= FREE_PAGES_KEPT
    assert count < full / 3
    await engine.close()


async def test_giving_back_space_does_no_harm_where_there_is_none(engine: Engine) -> None:
    await SqlHousekeeping(engine).give_back_space()
    await SqlHousekeeping(engine).ready()
