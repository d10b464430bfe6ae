"""What pages read of many pushes and tasks, on both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.push_rows import PUSH_COLUMNS, push_of
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.pushes.push import Push
from liftlock.domain.tasks.lifecycle import Run
from liftlock.ports.overview_store import (
    MAX_GROUPS,
    MAX_STANDINGS,
    Change,
    Face,
    FoundPushes,
    RecentPushes,
    Standing,
)
from liftlock.values.instants import to_ms
from liftlock.values.json import decode, decode_as

_BATCH = 200
_MAX_BATCHES = 10
"""So many rows at most are looked through for an owner or a text."""
_MAX_DEPENDENCIES = 10_000
_MAX_NAMES = 20


class SqlOverviewStore:
    """Implements `ports.overview_store.OverviewStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def recent_pushes(self, wanted: RecentPushes) -> FoundPushes:
        if not wanted.projects:
            return FoundPushes([])
        found: list[Push] = []
        before = wanted.before
        batch = wanted.limit if wanted.owner is None and wanted.text is None else _BATCH
        for _ in range(_MAX_BATCHES):
            rows = await self._pushes(wanted, before, batch)
            found += [push for push in rows if _matches(push, wanted)]
            if len(found) >= wanted.limit or len(rows) < batch:
                return FoundPushes(found[: wanted.limit])
            before = (to_ms(rows[-1].at), rows[-1].project, rows[-1].id)
        return FoundPushes(found, before)

    async def _pushes(
        self, wanted: RecentPushes, before: tuple[int, str, int] | None, limit: int
    ) -> list[Push]:
        arguments: list[Any] = list(wanted.projects)
        conditions = [f"project IN ({', '.join(f'${number + 1}' for number in range(len(arguments)))})"]
        for column, value in (
            ("branch", wanted.branch),
            ("level", wanted.level),
            ("decision", wanted.decision),
        ):
            if value is not None:
                arguments.append(value)
                conditions.append(f"{column} = ${len(arguments)}")
        if before is not None:
            first = len(arguments) + 1
            arguments += before
            conditions.append(f"(at, project, id) < (${first}, ${first + 1}, ${first + 2})")
        arguments.append(limit)
        text = (
            f"SELECT {PUSH_COLUMNS} FROM push WHERE {' AND '.join(conditions)}"  # noqa: S608 -- constants and placeholders
            f" ORDER BY at DESC, project DESC, id DESC LIMIT ${len(arguments)}"
        )

        def script() -> Script[list[Push]]:
            return [push_of(row) for row in (yield Sql(text, tuple(arguments)))]

        return await self._engine.read(script)

    async def states(self, groups: Sequence[str]) -> dict[str, dict[int, str]]:
        wanted = tuple(groups[:MAX_GROUPS])
        found: dict[str, dict[int, str]] = {group: {} for group in wanted}
        if not wanted:
            return found
        places = ", ".join(f"${number + 1}" for number in range(len(wanted)))

        def script() -> Script[None]:
            rows = yield Sql(f"SELECT group_id, id, state FROM task WHERE group_id IN ({places})", wanted)  # noqa: S608 -- placeholders
            for group, number, state in rows:
                found[group][number] = state

        await self._engine.read(script)
        return found

    async def faces(self, group: str, after_number: int, limit: int) -> list[Face]:
        def script() -> Script[list[Face]]:
            rows = yield Sql(
                "SELECT t.id, t.task_id, t.queue_id, d.document FROM task t JOIN task_definition d ON d.id = t.id"
                " WHERE t.group_id = $1 AND t.id > $2 ORDER BY t.id LIMIT $3",
                (group, after_number, limit),
            )
            return [_face(*row) for row in rows]

        return await self._engine.read(script)

    async def standings(self, task_ids: Sequence[str]) -> dict[str, Standing]:
        wanted = tuple(task_ids[:MAX_STANDINGS])
        if not wanted:
            return {}
        places = ", ".join(f"${number + 1}" for number in range(len(wanted)))

        def script() -> Script[dict[str, Standing]]:
            rows = yield Sql(f"SELECT id, task_id, state, runs FROM task WHERE task_id IN ({places})", wanted)  # noqa: S608 -- placeholders
            return {row[1]: _standing(*row) for row in rows}

        return await self._engine.read(script)

    async def last_change(self) -> int:
        def script() -> Script[int]:
            rows = yield Sql("SELECT coalesce(max(id), 0) FROM outbox")
            return int(rows[0][0])

        return await self._engine.read(script)

    async def changes(self, after: int, limit: int) -> list[Change]:
        def script() -> Script[list[Change]]:
            rows = yield Sql(
                "SELECT id, topic, key, body FROM outbox WHERE id > $1 ORDER BY id LIMIT $2", (after, limit)
            )
            return [Change(row[0], row[1], row[2], _group(row[3])) for row in rows]

        return await self._engine.read(script)


def _matches(push: Push, wanted: RecentPushes) -> bool:
    if wanted.owner is not None and wanted.owner.lower() not in f"{push.owner} {push.author}".lower():
        return False
    return wanted.text is None or wanted.text.lower() in f"{push.message} {push.revision}".lower()


def _group(body: str) -> str:
    said = decode(body.encode(), what="event")
    status = said.get("status")
    group = status.get("taskGroupId") if isinstance(status, dict) else said.get("taskGroupId")
    return group if isinstance(group, str) else ""


def _face(number: int, task_id: str, queue: str, text: str) -> Face:
    document = decode(text.encode(), what="definition")
    tags, name = document.get("tags") or {}, str(document["metadata"]["name"])
    extra = document.get("extra") or {}
    shown = extra.get("treeherder") if isinstance(extra, dict) else None
    symbol = shown.get("symbol") if isinstance(shown, dict) else None
    dependencies = tuple(document.get("dependencies") or ())[:_MAX_DEPENDENCIES]
    return Face(
        number=number,
        task_id=task_id,
        name=name,
        kind=str(tags.get("kind") or (extra.get("kind") if isinstance(extra, dict) else None) or "task")[:64],
        symbol=(symbol if isinstance(symbol, str) and symbol else name.rpartition("-")[2])[:24],
        queue=queue,
        dependencies=dependencies,
        crossing=_crossing(document.get("payload"), frozenset(dependencies)),
    )


def _crossing(payload: Any, dependencies: frozenset[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what the payload takes over from its dependencies, as it declares: untrusted, and shown only."""
    if not isinstance(payload, dict) or not dependencies:
        return ()
    found: dict[str, list[str]] = {}
    for one in _listed(payload.get("upstreamArtifacts")):
        names = [path for path in one.get("paths") or () if isinstance(path, str)]
        if one.get("taskId") in dependencies:
            found.setdefault(one["taskId"], []).extend(names)
    for one in _listed(payload.get("inputs")):
        said = one.get("task")
        if not isinstance(said, dict):
            continue
        task_id, name = said.get("id"), said.get("artifact")
        if task_id in dependencies and isinstance(name, str):
            found.setdefault(task_id, []).append(name)
    return tuple((task_id, tuple(names[:_MAX_NAMES])) for task_id, names in found.items())


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _standing(number: int, task_id: str, state: str, runs: str) -> Standing:
    if runs == "[]":
        return Standing(number, task_id, state, None, None, None, None)
    last = decode_as(runs, tuple[Run, ...], what="runs")[-1]
    return Standing(number, task_id, state, last.run_id, last.scheduled_ms, last.started_ms, last.resolved_ms)
