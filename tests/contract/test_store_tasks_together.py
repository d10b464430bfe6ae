"""Tasks created, claimed and resolved in one go: what each caller is told, and what it does not disturb."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.sql.worker_store import SqlWorkerStore
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.lifecycle import Cancel, Report, Schedule
from liftlock.errors import ConflictError, InputInvalidError, NotFoundError
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import to_ms
from task_builders import NOW, QUEUE, document, task_id

AT = Envelope(now=NOW)
UNTIL = to_ms(NOW + timedelta(minutes=20))
DONE = Report(0, "completed", "completed")


async def create(store: SqlTaskStore, number: int, **changes: Any) -> Any:
    return await store.create(define(task_id(number), document(**changes), NOW), [], AT)


async def topics(engine: Engine) -> Counter[tuple[str, str]]:
    def script() -> Script[Counter[tuple[str, str]]]:
        return Counter((row[0], row[1]) for row in (yield Sql("SELECT topic, key FROM outbox")))

    return await engine.read(script)


async def test_each_creator_gets_its_task_or_its_own_refusal(engine: Engine) -> None:
    store = SqlTaskStore(engine)
    sealed, shared = task_id(90), task_id(91)
    await create(store, 1, taskGroupId=sealed)
    await store.seal(sealed, AT)
    answers = await asyncio.gather(
        create(store, 2),
        create(store, 3, taskGroupId=sealed),
        create(store, 4, dependencies=[task_id(50)]),
        create(store, 5, taskGroupId=shared, schedulerId="one"),
        create(store, 6, taskGroupId=shared, schedulerId="two"),
        create(store, 7, dependencies=[task_id(1)]),
        create(store, 1, taskGroupId=sealed),
        return_exceptions=True,
    )
    assert [(a[0].task_id, a[1]) for a in (answers[0], answers[3])] == [
        (task_id(2), True),
        (task_id(5), True),
    ]
    assert isinstance(answers[1], ConflictError)
    assert "was sealed" in answers[1].message
    assert isinstance(answers[2], InputInvalidError)
    assert "do not exist" in answers[2].message
    assert isinstance(answers[4], ConflictError)
    assert "belongs to schedulerId 'one'" in answers[4].message
    assert answers[5][0].progress.state == "unscheduled"
    assert answers[6][1] is False
    told = await topics(engine)
    assert told["task-defined", task_id(3)] == told["task-defined", task_id(4)] == 0
    assert told["task-defined", task_id(2)] == told["task-pending", task_id(2)] == 1
    assert (told["task-defined", task_id(7)], told["task-pending", task_id(7)]) == (1, 0)


async def test_one_id_defined_twice_at_one_moment_is_created_once(engine: Engine) -> None:
    store = SqlTaskStore(engine)
    answers = await asyncio.gather(
        create(store, 1),
        create(store, 1),
        create(store, 1, priority="high"),
        create(store, 2),
        return_exceptions=True,
    )
    made = [answer[1] for answer in answers if isinstance(answer, tuple)]
    assert Counter(made) == {True: 2, False: 1}
    [refused] = [answer for answer in answers if isinstance(answer, Exception)]
    assert isinstance(refused, ConflictError)
    assert (await topics(engine))["task-defined", task_id(1)] == 1


async def test_a_task_may_depend_on_one_that_is_created_at_the_same_moment(engine: Engine) -> None:
    store = SqlTaskStore(engine)
    await asyncio.gather(
        create(store, 1), create(store, 2, dependencies=[task_id(1)]), return_exceptions=True
    )
    dependent = await store.task(task_id(2))
    assert dependent is None or dependent.progress.state == "unscheduled"


async def test_claims_at_once_never_share_a_task_and_the_quarantined_get_none(engine: Engine) -> None:
    store, workers = SqlTaskStore(engine), SqlWorkerStore(engine)
    await asyncio.gather(*(create(store, number) for number in range(1, 11)))
    [first] = await store.claim(QUEUE, "g", "bad", 1, UNTIL, AT)
    await workers.quarantine(QUEUE, "g", "bad", to_ms(NOW + timedelta(hours=1)), {}, AT)
    lots = await asyncio.gather(
        store.claim(QUEUE, "g", "w1", 4, UNTIL, AT),
        store.claim(QUEUE, "g", "bad", 4, UNTIL, AT),
        store.claim(QUEUE, "g", "w2", 3, UNTIL, AT),
        store.claim("other/queue", "g", "w3", 3, UNTIL, AT),
        store.claim(QUEUE, "g", "w1", 4, UNTIL, AT),
        store.claim(QUEUE, "g", "w4", 4, UNTIL, AT),
    )
    assert lots[1] == []
    assert lots[3] == []
    assert all(len(lot) <= most for lot, most in zip(lots, (4, 4, 3, 3, 4, 4), strict=True))
    claimed = [one.task.task_id for lot in lots for one in lot]
    assert sorted([first.task.task_id, *claimed]) == [task_id(number) for number in range(1, 11)]
    assert {one.task.progress.runs[-1].worker_id for one in lots[0]} == {"w1"}
    seen = await workers.seen(QUEUE, "g", "w1")
    assert seen is not None
    assert len(seen.recent_tasks) == len(lots[0]) + len(lots[4])


async def test_dependencies_completed_at_once_free_their_dependent_once(engine: Engine) -> None:
    store, group = SqlTaskStore(engine), task_id(99)
    for number in (1, 2):
        await create(store, number, taskGroupId=group)
    await create(store, 3, taskGroupId=group, dependencies=[task_id(1), task_id(2)])
    await store.claim(QUEUE, "g", "w", 2, UNTIL, AT)
    await asyncio.gather(*(store.transition(task_id(number), DONE, AT) for number in (1, 2)))
    dependent = await store.task(task_id(3))
    assert dependent is not None
    assert (dependent.progress.state, dependent.progress.unmet) == ("pending", 0)
    told = await topics(engine)
    assert told["task-pending", task_id(3)] == 1
    assert told["task-group-resolved", group] == 0
    await asyncio.gather(*(store.transition(task_id(number), Cancel(), AT) for number in (1, 2, 3)))
    assert (await topics(engine))["task-group-resolved", group] == 1


async def test_the_last_two_tasks_of_a_group_end_it_once(engine: Engine) -> None:
    store, group = SqlTaskStore(engine), task_id(99)
    await asyncio.gather(*(create(store, number, taskGroupId=group) for number in (1, 2)))
    await store.claim(QUEUE, "g", "w", 2, UNTIL, AT)
    await asyncio.gather(*(store.transition(task_id(number), DONE, AT) for number in (1, 2)))
    assert (await topics(engine))["task-group-resolved", group] == 1


async def test_each_who_changes_a_task_gets_its_own_answer(engine: Engine) -> None:
    store = SqlTaskStore(engine)
    await create(store, 1)
    await create(store, 2, dependencies=[task_id(1)])
    await store.claim(QUEUE, "g", "w", 1, UNTIL, AT)
    answers = await asyncio.gather(
        store.transition(task_id(1), DONE, AT),
        store.transition(task_id(1), Report(0, "failed", "failed"), AT),
        store.transition(task_id(2), Schedule(), AT),
        store.transition(task_id(3), Cancel(), AT),
        return_exceptions=True,
    )
    assert not isinstance(answers[0], Exception)
    assert answers[0].progress.state == "completed"
    assert isinstance(answers[1], ConflictError)
    assert "is not running but completed" in answers[1].message
    assert isinstance(answers[3], NotFoundError)
    second = await store.task(task_id(2))
    assert second is not None
    assert (second.progress.state, len(second.progress.runs), second.progress.unmet) == ("pending", 1, 0)
