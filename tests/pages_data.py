"""Pushes with task groups in every state, written straight into a store, for tests, benchmarks and pictures of pages."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.migrate import migrate_sqlite
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.pushes.movements import Movement
from liftlock.domain.pushes.project import define_project
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.lifecycle import Run
from liftlock.ports.envelope import Envelope
from liftlock.ports.push_store import DecisionOutcome, NewPush
from liftlock.values.instants import to_ms
from task_builders import document, task_id

UNPRIVILEGED, PRIVILEGED = "local/unprivileged", "local/privileged"
SUBJECTS = (
    "Bug 1911207 - Verify the wheel's digest before it is unpacked",
    "Bump the pinned compiler to 18.1.8",
    "Show the first error above the log",
    "Bug 1905113 - Retry the upload when the index is busy",
    "Release 4.12: notes and version",
    "Move the sandbox's tests to their own kind",
)
PEOPLE = ("robin", "morgan", "sasha", "kim", "alex")


@dataclass(frozen=True, slots=True)
class Planned:
    """A task to be made: `needs` are positions in the plan."""

    name: str
    kind: str
    symbol: str
    needs: tuple[int, ...] = ()
    queue: str = UNPRIVILEGED
    state: str = "completed"


PLAN = (
    Planned("Decision Task", "decision", "D"),
    Planned("lint-python", "lint", "ruff", (0,)),
    Planned("lint-types", "lint", "mypy", (0,)),
    Planned("build-linux64", "build", "B", (0,)),
    Planned("build-macos", "build", "Bm", (0,)),
    Planned("build-windows", "build", "Bw", (0,)),
    Planned("test-unit-1", "test", "u1", (3,)),
    Planned("test-unit-2", "test", "u2", (3,)),
    Planned("test-browser", "test", "br", (3, 4)),
    Planned("docs-html", "docs", "doc", (0,)),
    Planned("package-wheel", "package", "whl", (3, 4, 5)),
    Planned("sign-wheel", "signing", "sig", (10,), PRIVILEGED),
    Planned("publish-wheel", "publish", "pub", (11, 6, 7), PRIVILEGED),
)


def wide_plan(count: int) -> tuple[Planned, ...]:
    """Return a plan of `count` tasks in a dozen kinds, five stages deep."""
    kinds = (
        "toolchain",
        "build",
        "lint",
        "test",
        "source-test",
        "perf",
        "package",
        "l10n",
        "signing",
        "publish",
    )
    made = [PLAN[0]]
    for number in range(1, count):
        kind = kinds[number * len(kinds) // count]
        stage = kinds.index(kind)
        needs = tuple({0, max(0, number - count // len(kinds)) if stage else 0})
        queue = PRIVILEGED if kind in ("signing", "publish") else UNPRIVILEGED
        made.append(Planned(f"{kind}-{number}", kind, str(number), needs, queue))
    return tuple(made)


def states_of(plan: Sequence[Planned], progress: int) -> list[str]:
    """Return how far a group has come: 0 everything has ended well, 1 something failed, 2 and 3 it is running."""
    if progress == 0:
        return ["completed"] * len(plan)
    states = []
    for number, task in enumerate(plan):
        if any(states[need] in ("failed", "unscheduled", "running", "pending") for need in task.needs):
            states.append("unscheduled")
        elif progress == 1 and number % 11 == 7:
            states.append("failed")
        elif progress > 1 and number > len(plan) // (2 if progress == 2 else 3):
            states.append("running" if number % 3 else "pending")
        else:
            states.append("completed")
    return states


class Data:
    """Writes into `engine`; numbers make ids that no other call used."""

    def __init__(self, engine: Engine, now: datetime | None = None) -> None:
        self.engine = engine
        self.now = now or datetime.now(UTC)
        self.numbers = itertools.count(1)
        self.heads: dict[str, str] = {}

    async def project(self, name: str = "widget", level: int = 3) -> None:
        """Register a project without a repository."""
        made = define_project(
            name=name,
            identity=f"https://github.com/demo/{name}",
            fetch_address=f"/nowhere/{name}.git",
            level=level,
            branches=["main", "try"],
            trust_domain="demo",
        )
        await SqlPushStore(self.engine).put_project(made, {}, Envelope(now=self.now), create=True)

    async def push(
        self, name: str = "widget", *, age: timedelta = timedelta(), decision: str = "started", **changes: Any
    ) -> str:
        """Record a push; return the id of its decision task, which is also its group's."""
        number = next(self.numbers)
        store = SqlPushStore(self.engine)
        project = await store.project(name)
        assert project is not None
        revision = f"{number:040x}"
        given = NewPush(
            movement=Movement("main", self.heads.get(name), revision),
            kind="created" if name not in self.heads else "advanced",
            at=self.now - age + timedelta(milliseconds=number),
            owner=f"{PEOPLE[number % len(PEOPLE)]}@example.org",
            owner_standing=("authenticated", "claimed", "author")[number % 3],
            author=f"{PEOPLE[number % len(PEOPLE)].title()} <{PEOPLE[number % len(PEOPLE)]}@example.org>",
            message=SUBJECTS[number % len(SUBJECTS)],
            task_id=task_id(number * 100_000),
        )
        push = await store.record(project, msgspec.structs.replace(given, **changes), Envelope(now=self.now))
        assert push is not None
        self.heads[name] = revision
        if decision != "pending":
            outcome = DecisionOutcome(
                project=name, push_id=push.id, decision=decision, text="" if decision == "started" else "why"
            )
            await store.finish(outcome, Envelope(now=self.now))
        return push.task_id

    async def group(
        self, group: str, plan: Sequence[Planned] = PLAN, progress: int = 0, **more: Any
    ) -> list[str]:
        """Make the group's tasks; return their ids, the first of which is the group's."""
        ids = [group] + [task_id(next(self.numbers) * 100_000 + 7) for _ in plan[1:]]
        store, at = SqlTaskStore(self.engine), Envelope(now=self.now)
        for start in range(0, len(plan), 500):
            for number in range(start, min(len(plan), start + 500)):
                body = self._document(plan[number], ids, group, more)
                await store.create(define(ids[number], body, self.now), [], at)
        await self.set_states(ids, states_of(plan, progress))
        return ids

    def _document(self, planned: Planned, ids: list[str], group: str, more: dict[str, Any]) -> dict[str, Any]:
        payload: dict[str, Any] = {"command": [["make", planned.kind]], "maxRunTime": 3600}
        if planned.queue == PRIVILEGED:
            payload["upstreamArtifacts"] = [
                {"taskId": ids[need], "taskType": "build", "paths": ["public/widget-4.12-py3-none-any.whl"]}
                for need in planned.needs[:1]
            ]
        return document(
            self.now,
            taskGroupId=group,
            taskQueueId=planned.queue,
            dependencies=[ids[need] for need in planned.needs],
            payload=payload,
            tags={"kind": planned.kind},
            extra={"treeherder": {"symbol": planned.symbol}},
            metadata={
                "name": planned.name,
                "description": f"Runs *{planned.kind}* for `widget`.",
                "owner": "robin@example.org",
                "source": "https://github.com/demo/widget",
            },
            **more,
        )

    async def set_states(self, ids: Sequence[str], states: Sequence[str]) -> None:
        """Put the tasks into these states, as if they had run."""
        now = to_ms(self.now)

        def script() -> Script[None]:
            for number, (one, state) in enumerate(zip(ids, states, strict=True)):
                runs: list[Run] = []
                if state != "unscheduled":
                    started = state in ("running", "completed", "failed", "exception")
                    ended = state in ("completed", "failed", "exception")
                    runs.append(
                        Run(
                            run_id=0,
                            state=state,  # type: ignore[arg-type] # one of them
                            reason_created="scheduled",
                            scheduled_ms=now - 900_000,
                            started_ms=now - 880_000 if started else None,
                            resolved_ms=now - 880_000 + 7_000 * (number % 40 + 1) if ended else None,
                            reason_resolved=state if ended else None,
                            worker_group="local" if started else None,
                            worker_id="w1" if started else None,
                            taken_until_ms=now + 3_600_000 if started else None,
                        )
                    )
                yield Sql(
                    "UPDATE task SET state = $2, runs = $3 WHERE task_id = $1",
                    (one, state, msgspec.json.encode(runs).decode()),
                )
                yield Sql("DELETE FROM pending WHERE task = (SELECT id FROM task WHERE task_id = $1)", (one,))

        await self.engine.write(script, None)


def fill(directory: Path, write: Any) -> Any:
    """Run `await write(data)` on the SQLite database of a control plane that is to be served from `directory`."""

    async def run() -> Any:
        await migrate_sqlite(directory / "liftlock.db")
        engine = SqliteEngine(directory / "liftlock.db", InProcessWakeups())
        try:
            return await write(Data(engine))
        finally:
            await engine.close()

    # In a thread of its own: while a browser runs, this thread has an event loop already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(run())).result()
