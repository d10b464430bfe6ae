"""The store of tasks keeps its promises on both databases."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.index_routes import entries_of
from liftlock.domain.tasks.lifecycle import Cancel, Reclaim, Report, Rerun, Schedule, TaskEvent
from liftlock.domain.tasks.statuses import Task
from liftlock.errors import ConflictError, InputInvalidError, NotFoundError, ReplayedRequestError
from liftlock.ports.envelope import AuditRecord, Envelope, Nonce
from liftlock.ports.task_store import Claimed
from liftlock.values.instants import format_instant, to_ms
from liftlock.values.json import decode
from task_builders import NOW, QUEUE, document, task_id

LEASE = timedelta(minutes=20)
COMPLETED = Report(0, "completed", "completed")
FAILED = Report(0, "failed", "failed")


@pytest.fixture
def store(engine: Engine) -> SqlTaskStore:
    return SqlTaskStore(engine)


def at(now: datetime = NOW, **changes: Any) -> Envelope:
    return Envelope(now=now, **changes)


async def create(store: SqlTaskStore, number: int, now: datetime = NOW, **changes: Any) -> Task:
    made = define(task_id(number), document(now, **changes), now)
    entries = entries_of(made.routes, made.document["extra"], to_ms(made.expires))
    task, _new = await store.create(made, entries, at(now))
    return task


async def claim(store: SqlTaskStore, count: int = 1, now: datetime = NOW, worker: str = "w") -> list[Claimed]:
    return await store.claim(QUEUE, "g", worker, count, to_ms(now + LEASE), at(now))


async def do(store: SqlTaskStore, number: int, event: TaskEvent, now: datetime = NOW) -> Task:
    return await store.transition(task_id(number), event, at(now))


async def state(store: SqlTaskStore, number: int) -> str:
    found = await store.task(task_id(number))
    assert found is not None
    return found.progress.state


async def topics(engine: Engine) -> list[tuple[str, str]]:
    def script() -> Script[list[tuple[str, str]]]:
        rows = yield Sql("SELECT topic, key FROM outbox ORDER BY id")
        return [(row[0], row[1]) for row in rows]

    return await engine.read(script)


async def test_a_created_task_is_read_back_as_it_was_given(store: SqlTaskStore) -> None:
    made = await create(store, 1, tags={"kind": "build"}, routes=["a.b"], priority="high")
    [stored] = await store.stored([task_id(1), task_id(2)])
    assert stored.task == made
    assert stored.document["tags"] == {"kind": "build"}
    assert (made.progress.state, made.rank, made.routes) == ("pending", 2, ("a.b",))
    assert await store.task(task_id(2)) is None


async def test_creating_the_same_task_again_answers_the_same_and_changes_nothing(
    store: SqlTaskStore, engine: Engine
) -> None:
    first = await create(store, 1)
    before = await topics(engine)
    made = define(task_id(1), document(), NOW)
    assert await store.create(made, [], at(NOW + timedelta(minutes=1))) == (first, False)
    assert await topics(engine) == before


async def test_creating_another_task_with_the_same_id_is_a_conflict(store: SqlTaskStore) -> None:
    await create(store, 1)
    with pytest.raises(ConflictError, match="different definition"):
        await create(store, 1, retries=4)


async def test_the_same_task_created_many_times_at_once_exists_once(
    store: SqlTaskStore, engine: Engine
) -> None:
    made = define(task_id(1), document(), NOW)
    answers = await asyncio.gather(*(store.create(made, [], at()) for _ in range(8)))
    assert sum(new for _task, new in answers) == 1
    assert len({task.task_id for task, _new in answers}) == 1
    assert (await store.counts(QUEUE)) == (1, 0)


async def test_a_dependency_must_exist_unless_it_is_the_task_itself(store: SqlTaskStore) -> None:
    with pytest.raises(InputInvalidError, match=f"dependencies: {task_id(9)} do not exist"):
        await create(store, 1, dependencies=[task_id(9)])
    assert await store.task(task_id(1)) is None
    assert (await create(store, 2, dependencies=[task_id(2)])).progress.state == "unscheduled"


async def test_a_dependency_must_not_expire_before_the_deadline(store: SqlTaskStore) -> None:
    short = format_instant(NOW + timedelta(minutes=30))
    await create(store, 1, deadline=short, expires=short)
    with pytest.raises(InputInvalidError, match="expire before"):
        await create(store, 2, dependencies=[task_id(1)])


async def test_completing_the_last_dependency_makes_the_dependent_pending_in_the_same_step(
    store: SqlTaskStore, wakeups: InProcessWakeups
) -> None:
    await create(store, 1)
    await create(store, 2)
    await create(store, 3, dependencies=[task_id(1), task_id(2)])
    assert len(await claim(store, 2)) == 2
    await do(store, 1, COMPLETED)
    assert await state(store, 3) == "unscheduled"
    with wakeups.listen(f"queue:{QUEUE}") as ticket:
        await do(store, 2, COMPLETED)
        assert await ticket.wait(5)
    assert await state(store, 3) == "pending"


async def test_a_failed_dependency_counts_only_for_those_that_require_all_resolved(
    store: SqlTaskStore,
) -> None:
    await create(store, 1)
    await create(store, 2, dependencies=[task_id(1)])
    await create(store, 3, dependencies=[task_id(1)], requires="all-resolved")
    await claim(store)
    await do(store, 1, FAILED)
    assert await state(store, 2) == "unscheduled"
    assert await state(store, 3) == "pending"


async def test_a_rerun_that_completes_satisfies_those_still_waiting_once(store: SqlTaskStore) -> None:
    await create(store, 1)
    await create(store, 4)
    await create(store, 2, dependencies=[task_id(1), task_id(4)])
    await claim(store)
    await do(store, 1, FAILED)
    await do(store, 1, Rerun())
    again = next(one for one in await claim(store, 5) if one.task.task_id == task_id(1))
    await do(store, 1, Report(1, "completed", "completed"))
    await do(store, 1, Rerun())
    assert len(again.task.progress.runs) == 2
    await claim(store, 5)
    await do(store, 1, Report(2, "completed", "completed"))
    assert await state(store, 2) == "unscheduled", "one dependency counts once"
    await do(store, 4, COMPLETED)
    assert await state(store, 2) == "pending"


async def test_a_dependency_satisfied_before_creation_counts(store: SqlTaskStore) -> None:
    await create(store, 1)
    await claim(store)
    await do(store, 1, COMPLETED)
    assert (await create(store, 2, dependencies=[task_id(1)])).progress.state == "pending"


async def test_dependencies_that_resolve_while_dependents_are_created_are_never_missed(
    store: SqlTaskStore,
) -> None:
    for number in range(1, 9):
        await create(store, number)
    await claim(store, 8)
    needed = [task_id(number) for number in range(1, 9)]
    await asyncio.gather(
        *(do(store, number, COMPLETED) for number in range(1, 9)),
        *(create(store, number, dependencies=needed) for number in range(11, 15)),
    )
    assert [await state(store, number) for number in range(11, 15)] == ["pending"] * 4


async def test_claims_go_by_priority_and_then_by_age(store: SqlTaskStore) -> None:
    for number, priority in ((1, "low"), (2, "highest"), (3, "low"), (4, "high")):
        await create(store, number, priority=priority)
    claimed = await claim(store, 3)
    assert [one.task.task_id for one in claimed] == [task_id(2), task_id(4), task_id(1)]
    assert [one.task.task_id for one in await claim(store, 3)] == [task_id(3)]
    assert await claim(store, 3) == []
    run = claimed[0].task.progress.runs[0]
    assert (run.worker_group, run.worker_id, run.taken_until_ms) == ("g", "w", to_ms(NOW + LEASE))
    assert decode(bytes(claimed[0].document))["priority"] == "highest"


async def test_workers_that_claim_at_once_never_get_the_same_task(store: SqlTaskStore) -> None:
    for number in range(1, 21):
        await create(store, number)
    batches = await asyncio.gather(*(claim(store, 3, worker=f"w{n}") for n in range(10)))
    got = [one.task.task_id for batch in batches for one in batch]
    assert len(got) == len(set(got))
    while batch := await claim(store, 32):
        got += [one.task.task_id for one in batch]
    assert sorted(got) == sorted(task_id(number) for number in range(1, 21))


async def test_a_pending_task_past_its_deadline_is_not_handed_out(store: SqlTaskStore) -> None:
    await create(store, 1)
    assert await claim(store, now=NOW + timedelta(hours=1)) == []
    assert len(await claim(store, now=NOW + timedelta(minutes=59))) == 1


async def test_reclaiming_and_reporting_follow_the_lifecycle(store: SqlTaskStore) -> None:
    await create(store, 1)
    await claim(store)
    later = NOW + timedelta(minutes=10)
    renewed = await do(store, 1, Reclaim(0, to_ms(later + LEASE)), later)
    assert renewed.progress.runs[0].taken_until_ms == to_ms(later + LEASE)
    with pytest.raises(ConflictError, match="lapsed"):
        await do(store, 1, COMPLETED, later + LEASE)
    with pytest.raises(NotFoundError):
        await do(store, 7, COMPLETED)


async def test_a_lapsed_claim_is_swept_and_the_task_waits_again(store: SqlTaskStore) -> None:
    await create(store, 1)
    await claim(store)
    assert await store.sweep(to_ms(NOW + LEASE) - 1, 100) == 0
    assert await store.sweep(to_ms(NOW + LEASE), 100) == 1
    assert await state(store, 1) == "pending"
    [second] = await claim(store, now=NOW + LEASE, worker="other")
    assert second.task.progress.runs[1].worker_id == "other"
    with pytest.raises(ConflictError):
        await do(store, 1, COMPLETED, NOW + LEASE)


async def test_the_deadline_is_swept_and_frees_dependents_that_accept_any_resolution(
    store: SqlTaskStore,
) -> None:
    await create(store, 1)
    await create(store, 2, deadline=format_instant(NOW + timedelta(hours=2)), dependencies=[task_id(1)], requires="all-resolved")  # fmt: skip
    assert await store.sweep(to_ms(NOW + timedelta(hours=1)), 100) == 1
    assert await state(store, 1) == "exception"
    assert await state(store, 2) == "pending"
    assert (await store.counts(QUEUE)) == (1, 0)


async def test_an_expired_task_is_forgotten_with_its_group(store: SqlTaskStore) -> None:
    await create(store, 1)
    await claim(store)
    await do(store, 1, COMPLETED)
    expiry = to_ms(NOW + timedelta(days=2))
    assert await store.sweep(expiry - 1, 100) == 0
    assert await store.sweep(expiry, 100) == 1
    assert await store.task(task_id(1)) is None
    assert await store.group(task_id(1)) is None


async def test_a_sweep_handles_no_more_than_its_limit(store: SqlTaskStore) -> None:
    for number in range(1, 6):
        await create(store, number)
    end = to_ms(NOW + timedelta(hours=1))
    assert [await store.sweep(end, 2) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_group_has_one_scheduler(store: SqlTaskStore) -> None:
    await create(store, 1)
    with pytest.raises(ConflictError, match="one schedulerId"):
        await create(store, 2, taskGroupId=task_id(1), schedulerId="other")
    await create(store, 2, taskGroupId=task_id(1))


async def test_a_sealed_group_takes_no_more_tasks_but_old_ones_stay_idempotent(store: SqlTaskStore) -> None:
    await create(store, 1)
    sealed = await store.seal(task_id(1), at())
    again = await store.seal(task_id(1), at(NOW + timedelta(minutes=1)))
    assert sealed.sealed_ms == again.sealed_ms == to_ms(NOW)
    with pytest.raises(ConflictError, match="sealed"):
        await create(store, 2, taskGroupId=task_id(1))
    await create(store, 1)
    with pytest.raises(NotFoundError):
        await store.seal(task_id(5), at())


async def test_groups_are_listed_in_order_and_in_pages(store: SqlTaskStore) -> None:
    for number in range(1, 6):
        await create(store, number, taskGroupId=task_id(1))
    first = await store.tasks_of_group(task_id(1), 0, 3)
    rest = await store.tasks_of_group(task_id(1), first[-1].number, 3)
    assert [one.task.task_id for one in first + rest] == [task_id(number) for number in range(1, 6)]
    await do(store, 2, Cancel())
    assert [one[1] for one in await store.unresolved_of(task_id(1), 0, 9)] == [
        task_id(n) for n in (1, 3, 4, 5)
    ]


async def test_dependents_are_listed(store: SqlTaskStore) -> None:
    await create(store, 1)
    for number in (2, 3):
        await create(store, number, dependencies=[task_id(1)])
    assert [one.task.task_id for one in await store.dependents(task_id(1), 0, 9)] == [task_id(2), task_id(3)]
    assert await store.dependents(task_id(2), 0, 9) == []


async def test_a_priority_change_reorders_claims_and_leaves_the_definition_alone(store: SqlTaskStore) -> None:
    await create(store, 1)
    await create(store, 2)
    changed = await store.change_rank(task_id(2), 0, at())
    assert changed.rank == 0
    [first] = await claim(store)
    assert first.task.task_id == task_id(2)
    assert decode(bytes(first.document))["priority"] == "lowest"
    await do(store, 2, COMPLETED)
    with pytest.raises(ConflictError):
        await store.change_rank(task_id(2), 3, at())


async def test_queues_counts_and_lists_show_what_waits_and_what_runs(store: SqlTaskStore) -> None:
    for number in range(1, 4):
        await create(store, number)
    await claim(store)
    assert await store.counts(QUEUE) == (2, 1)
    assert await store.queues() == [QUEUE]
    assert [entry.task.task_id for entry in await store.pending(QUEUE, 0, 9)] == [task_id(2), task_id(3)]
    assert [entry.task.task_id for entry in await store.claimed(QUEUE, 0, 9)] == [task_id(1)]


async def test_a_named_run_is_claimed_once(store: SqlTaskStore) -> None:
    await create(store, 1)
    until = to_ms(NOW + LEASE)
    with pytest.raises(ConflictError):
        await store.claim_one(task_id(1), 1, "g", "w", until, at())
    claimed = await store.claim_one(task_id(1), 0, "g", "w", until, at())
    assert claimed.task.progress.state == "running"
    with pytest.raises(ConflictError):
        await store.claim_one(task_id(1), 0, "g", "other", until, at())


async def test_a_replayed_request_or_a_conflict_leaves_nothing_behind(
    store: SqlTaskStore, engine: Engine
) -> None:
    await create(store, 1)
    await claim(store)
    nonce = Nonce("c", 1000, "n")
    audit = (AuditRecord("c", "queue.reportCompleted", f"task/{task_id(1)}", "changed"),)
    with pytest.raises(ConflictError):
        await store.transition(task_id(1), Report(5, "completed", "completed"), at(nonce=nonce, audit=audit))
    await store.transition(task_id(1), COMPLETED, at(nonce=nonce, audit=audit))
    with pytest.raises(ReplayedRequestError):
        await store.transition(task_id(1), Rerun(), at(nonce=nonce, audit=audit))
    assert await state(store, 1) == "completed"


async def test_every_transition_leaves_its_event_in_the_outbox(store: SqlTaskStore, engine: Engine) -> None:
    await create(store, 1)
    await create(store, 2, dependencies=[task_id(1)])
    await claim(store)
    await do(store, 1, COMPLETED)
    await do(store, 2, Cancel())
    assert await topics(engine) == [
        ("task-defined", task_id(1)),
        ("task-pending", task_id(1)),
        ("task-defined", task_id(2)),
        ("task-running", task_id(1)),
        ("task-completed", task_id(1)),
        ("task-pending", task_id(2)),
        ("task-group-resolved", task_id(1)),
        ("task-exception", task_id(2)),
        ("task-group-resolved", task_id(2)),
    ]


async def test_scheduling_by_hand_makes_a_waiting_task_claimable(store: SqlTaskStore) -> None:
    await create(store, 1, dependencies=[task_id(1)])
    assert await claim(store) == []
    await do(store, 1, Schedule())
    assert [one.task.task_id for one in await claim(store)] == [task_id(1)]


async def test_a_definition_is_read_as_it_was_stored(store: SqlTaskStore) -> None:
    await store.create(define(task_id(1), document(), NOW), [], Envelope(now=NOW))
    [stored] = await store.stored([task_id(1)])
    found = await store.document(task_id(1))
    assert found is not None
    assert decode(bytes(found)) == stored.document
    assert await store.document(task_id(2)) is None
