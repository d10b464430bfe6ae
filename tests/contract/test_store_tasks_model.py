"""The store of tasks, under any sequence of operations, does what the simplest model of a queue does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import postgres
from fakes.task_model import LEASE_MIN, ModelTask, Refused, TaskModel
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.migrate import migrate_sqlite
from liftlock.adapters.sql.postgres_engine import PostgresEngine
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.tasks.definition import PRIORITIES, define
from liftlock.domain.tasks.lifecycle import Cancel, Reclaim, Report, Rerun, Schedule, TaskEvent
from liftlock.errors import ConflictError
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import format_instant, to_ms
from task_builders import NOW, QUEUE, document, task_id

Open = Callable[[], Awaitable[Engine]]
REPORTS = [
    ("completed", "completed"),
    ("failed", "failed"),
    ("exception", "worker-shutdown"),
    ("exception", "intermittent-task"),
    ("exception", "malformed-payload"),
]


class QueueMachine(RuleBasedStateMachine):
    """Every rule is one operation, done to the model and to the store; both must say the same."""

    ids: Bundle[str] = Bundle("ids")

    def __init__(self, opened: Open) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.engine = self.runner.run(opened())
        self.store = SqlTaskStore(self.engine)
        self.model = TaskModel()
        self.numbers = itertools.count(1)

    def teardown(self) -> None:
        self.runner.run(self.engine.close())
        self.runner.close()

    @property
    def instant(self) -> datetime:
        return NOW + timedelta(minutes=self.model.now)

    @property
    def envelope(self) -> Envelope:
        return Envelope(now=self.instant)

    def both(self, model: Callable[[], Any], real: Callable[[], Awaitable[Any]]) -> tuple[Any, Any]:
        """Return both answers; a refusal of one must be a refusal of the other."""
        try:
            expected, refused = model(), False
        except Refused:
            expected, refused = None, True

        async def attempt() -> Any:
            return await real()

        try:
            found = self.runner.run(attempt())
        except ConflictError:
            assert refused, "the store refused, the model did not"
            return None, None
        assert not refused, "the model refused, the store did not"
        return expected, found

    def transition(self, wanted: str, event: TaskEvent, model: Callable[[], Any]) -> None:
        self.both(model, lambda: self.store.transition(wanted, event, self.envelope))

    @rule(
        target=ids,
        needs=st.lists(ids, max_size=3, unique=True),
        itself=st.integers(0, 9).map(lambda drawn: drawn == 0),
        any_resolution=st.booleans(),
        retries=st.integers(0, 2),
        rank=st.integers(0, 6),
        lasts=st.integers(10, 90),
    )
    def create(
        self, needs: list[str], itself: bool, any_resolution: bool, retries: int, rank: int, lasts: int
    ) -> str:
        number = next(self.numbers)
        made = task_id(number)
        depends = [*needs, made] if itself else needs
        deadline = self.model.now + lasts
        given = document(
            self.instant,
            deadline=format_instant(self.instant + timedelta(minutes=lasts)),
            dependencies=depends,
            requires="all-resolved" if any_resolution else "all-completed",
            retries=retries,
            priority=PRIORITIES[rank],
            expires=format_instant(NOW + timedelta(days=30)),
        )
        definition = define(made, given, self.instant)
        task = ModelTask(made, number, set(depends), any_resolution, retries, rank, deadline)
        self.both(lambda: self.model.create(task), lambda: self.store.create(definition, [], self.envelope))
        again = self.runner.run(self.store.create(definition, [], self.envelope))
        assert again[1] is False
        return made

    @rule(count=st.integers(1, 3), worker=st.sampled_from(["w1", "w2"]))
    def claim(self, count: int, worker: str) -> None:
        until = to_ms(self.instant + timedelta(minutes=LEASE_MIN))
        expected, found = self.both(
            lambda: self.model.claim(count, worker),
            lambda: self.store.claim(QUEUE, "g", worker, count, until, self.envelope),
        )
        assert [one.task.task_id for one in found] == expected

    @rule(wanted=ids, run=st.integers(0, 3))
    def reclaim(self, wanted: str, run: int) -> None:
        until = to_ms(self.instant + timedelta(minutes=LEASE_MIN))
        self.transition(wanted, Reclaim(run, until), lambda: self.model.reclaim(wanted, run))

    @rule(wanted=ids, run=st.integers(0, 3), how=st.sampled_from(REPORTS))
    def report(self, wanted: str, run: int, how: tuple[Any, str]) -> None:
        self.transition(wanted, Report(run, *how), lambda: self.model.report(wanted, run, *how))

    @rule(how=st.sampled_from(REPORTS), which=st.integers(0, 9))
    def report_something_that_runs(self, how: tuple[Any, str], which: int) -> None:
        running = [task for task in self.model.tasks.values() if task.state == "running"]
        if running:
            task = running[which % len(running)]
            self.report_run(task.task_id, len(task.runs) - 1, how)

    def report_run(self, wanted: str, run: int, how: tuple[Any, str]) -> None:
        self.transition(wanted, Report(run, *how), lambda: self.model.report(wanted, run, *how))

    @rule(wanted=ids)
    def cancel(self, wanted: str) -> None:
        self.transition(wanted, Cancel(), lambda: self.model.cancel(wanted))

    @rule(wanted=ids)
    def rerun(self, wanted: str) -> None:
        self.transition(wanted, Rerun(), lambda: self.model.rerun(wanted))

    @rule(wanted=ids)
    def schedule(self, wanted: str) -> None:
        self.transition(wanted, Schedule(), lambda: self.model.schedule(wanted))

    @rule(wanted=ids, rank=st.integers(0, 6))
    def change_rank(self, wanted: str, rank: int) -> None:
        self.both(
            lambda: self.model.change_rank(wanted, rank),
            lambda: self.store.change_rank(wanted, rank, self.envelope),
        )

    @rule(minutes=st.integers(1, 30))
    def time_passes(self, minutes: int) -> None:
        self.model.now += minutes

    @rule()
    def sweep(self) -> None:
        self.both(self.model.sweep, lambda: self.store.sweep(to_ms(self.instant), 10_000))

    @invariant()
    def every_task_looks_the_same(self) -> None:
        for wanted, expected in self.model.tasks.items():
            found = self.runner.run(self.store.task(wanted))
            assert found is not None
            progress = found.progress
            assert progress.state == expected.state
            assert progress.retries_left == expected.retries_left
            assert progress.unmet == len(expected.needs)
            assert found.rank == expected.rank
            assert [
                (run.state, run.reason_created, run.reason_resolved, run.worker_id) for run in progress.runs
            ] == [(run.state, run.created, run.resolved, run.worker) for run in expected.runs]

    @invariant()
    def the_counts_are_those_of_the_states(self) -> None:
        states = [task.state for task in self.model.tasks.values()]
        counts = self.runner.run(self.store.counts(QUEUE))
        assert counts == (states.count("pending"), states.count("running"))


def check(opened: Open, examples: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # the library has no types here
        lambda: QueueMachine(opened),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_on_sqlite_any_sequence_of_operations_does_what_the_model_does(tmp_path: Path) -> None:
    files = itertools.count()

    async def opened() -> Engine:
        path = tmp_path / f"{next(files)}.db"
        await migrate_sqlite(path)
        return SqliteEngine(path, InProcessWakeups())

    check(opened, 120)


@pytest.mark.xdist_group("postgresql")
def test_on_postgresql_any_sequence_of_operations_does_what_the_model_does(
    postgres_server: str, migrated_template: str
) -> None:
    with _databases(postgres_server, migrated_template) as new_database:

        async def opened() -> Engine:
            return await PostgresEngine.open(new_database(), InProcessWakeups(), connections=2)

        check(opened, 15)


@contextmanager
def _databases(server: str, template: str) -> Iterator[Callable[[], str]]:
    made: list[str] = []

    def new_database() -> str:
        made.append(postgres.create_database(server, template=template))
        return made[-1]

    yield new_database
    for dsn in made:
        postgres.drop_database(server, dsn)
