"""The store of events from the forge on both databases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.records import record_script
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import ConflictError, StaleSnapshotError
from liftlock.ports.envelope import Envelope
from liftlock.ports.forge_store import Delivery, PullDecision, Watch, Work
from liftlock.values.instants import to_ms
from liftlock.values.json import decode, encode

_WATCH: Final = "operation_id, repository, number, revision, check_run, told, ended, kind"
_PULL: Final = "repository, number, revision, attempt, project, task_id, decision, reason"


class SqlForgeStore:
    """Implements `ports.forge_store.ForgeStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def receive(self, delivery: Delivery, works: Sequence[Work], envelope: Envelope) -> None:
        at = to_ms(envelope.now)

        def script() -> Script[None]:
            fresh = yield Sql(
                "INSERT INTO forge_delivery(delivery_id, at, event) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING 1",
                (delivery.delivery_id, at, delivery.event),
            )
            if not fresh:
                raise ConflictError(
                    f"delivery {delivery.delivery_id}: it was received before; nothing follows from it"
                )
            yield from _add(works, at)

        await self._engine.write(script, envelope)

    async def due(self, now_ms: int, limit: int) -> list[Work]:
        def script() -> Script[list[Work]]:
            rows = yield Sql(
                "SELECT id, repository, kind, body, attempts FROM forge_work WHERE due <= $1 ORDER BY due, id LIMIT $2",
                (now_ms, limit),
            )
            return [_work(row) for row in rows]

        return await self._engine.read(script)

    async def finish(self, work_id: str, outcome: str, works: Sequence[Work], envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql("UPDATE forge_work SET due = NULL, outcome = $2 WHERE id = $1", (work_id, outcome))
            yield from _add(works, to_ms(envelope.now))

        await self._engine.write(script, envelope)

    async def put_off(self, work_id: str, due_ms: int, outcome: str) -> None:
        def script() -> Script[None]:
            yield Sql(
                "UPDATE forge_work SET due = $2, outcome = $3, attempts = attempts + 1 WHERE id = $1 AND due IS NOT NULL",
                (work_id, due_ms, outcome),
            )

        await self._engine.write(script, None)

    async def watch(self, watch: Watch, works: Sequence[Work], envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql(
                f"INSERT INTO forge_watch({_WATCH}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"  # noqa: S608 -- constant columns
                " ON CONFLICT (operation_id) DO UPDATE SET"
                " check_run = COALESCE(excluded.check_run, forge_watch.check_run), told = excluded.told,"
                " ended = excluded.ended",
                (
                    watch.operation_id,
                    watch.repository,
                    watch.number,
                    watch.revision,
                    watch.check_run,
                    watch.told,
                    int(watch.ended),
                    watch.kind,
                ),
            )
            yield from _add(works, to_ms(envelope.now))

        await self._engine.write(script, envelope)

    async def watched(self, operation_id: str) -> Watch | None:
        found = await self._watches("operation_id = $1", operation_id)
        return found[0] if found else None

    async def open_watches(self, limit: int) -> list[Watch]:
        return (await self._watches("ended = 0"))[:limit]

    async def watches_of(self, repository: int, number: int) -> list[Watch]:
        return await self._watches("repository = $1 AND number = $2", repository, number)

    async def watch_of_check(self, repository: int, check_run: int) -> Watch | None:
        found = await self._watches("repository = $1 AND check_run = $2", repository, check_run)
        return found[0] if found else None

    async def _watches(self, where: str, *args: Any) -> list[Watch]:
        def script() -> Script[list[Watch]]:
            rows = yield Sql(
                f"SELECT {_WATCH} FROM forge_watch WHERE {where} ORDER BY operation_id",  # noqa: S608 -- constants
                args,
            )
            return [_watch(row) for row in rows]

        return await self._engine.read(script)

    async def pull_decision(self, repository: int, number: int) -> PullDecision | None:
        def script() -> Script[PullDecision | None]:
            rows = yield Sql(
                f"SELECT {_PULL} FROM forge_pull WHERE repository = $1 AND number = $2 ORDER BY attempt DESC LIMIT 1",  # noqa: S608 -- constants
                (repository, number),
            )
            return None if not rows else PullDecision(**dict(zip(_PULL.split(", "), rows[0], strict=True)))

        return await self._engine.read(script)

    async def forget(self, before_ms: int) -> int:
        def script() -> Script[int]:
            old = yield Sql("DELETE FROM forge_delivery WHERE at < $1 RETURNING 1", (before_ms,))
            done = yield Sql("DELETE FROM forge_work WHERE due IS NULL AND at < $1 RETURNING 1", (before_ms,))
            return len(old) + len(done)

        return await self._engine.write(script, None)

    async def decide(self, decision: PullDecision, envelope: Envelope) -> None:
        await self._engine.write(lambda: insert_decision(decision), envelope)


@record_script(PullDecision)
def insert_decision(decision: PullDecision) -> Script[None]:
    """Insert the decision, unless there is one of that revision and attempt; a task is started for one alone."""
    fresh = yield Sql(
        f"INSERT INTO forge_pull({_PULL}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING 1",  # noqa: S608 -- constants
        tuple(getattr(decision, name) for name in _PULL.split(", ")),
    )
    if not fresh and decision.decision == "started":
        raise StaleSnapshotError("the pull request was decided meanwhile")


def _add(works: Sequence[Work], at: int) -> Script[None]:
    for work in works:
        yield Sql(
            "INSERT INTO forge_work(id, repository, kind, body, at, attempts, due, outcome)"
            " VALUES ($1, $2, $3, $4, $5, 0, $5, '') ON CONFLICT DO NOTHING",
            (work.id, work.repository, work.kind, encode(work.body).decode(), at),
        )


def _work(row: tuple[Any, ...]) -> Work:
    body = decode(row[3], what="work")
    return Work(id=row[0], repository=row[1], kind=row[2], body=body, attempts=row[4])


def _watch(row: tuple[Any, ...]) -> Watch:
    return Watch(
        operation_id=row[0],
        repository=row[1],
        number=row[2],
        revision=row[3],
        check_run=row[4],
        told=row[5],
        ended=bool(row[6]),
        kind=row[7],
    )
