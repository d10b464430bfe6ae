"""Many workers, creators, cancellers and sweeps at once: nothing is lost, nothing is done twice, nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import timedelta

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.domain.tasks.definition import define
from liftlock.domain.tasks.lifecycle import Cancel, Report, Rerun
from liftlock.errors import ConflictError
from liftlock.ports.envelope import Envelope
from liftlock.values.instants import to_ms
from task_builders import NOW, QUEUE, document, task_id

AT = Envelope(now=NOW)
UNTIL = to_ms(NOW + timedelta(minutes=20))
TASKS = 60


async def test_a_graph_created_and_worked_on_at_once_is_completed_each_task_once(engine: Engine) -> None:
    store, drawn = SqlTaskStore(engine), random.Random(7)
    group = task_id(1)
    done: Counter[str] = Counter()
    created = asyncio.Event()

    async def create() -> None:
        for number in range(1, TASKS + 1):
            needs = [task_id(n) for n in drawn.sample(range(1, number), min(number - 1, drawn.randint(0, 3)))]
            given = document(dependencies=needs, taskGroupId=group)
            await store.create(define(task_id(number), given, NOW), [], AT)
        created.set()

    async def work(name: str) -> None:
        while sum(done.values()) < TASKS:
            for one in await store.claim(QUEUE, "g", name, 2, UNTIL, AT):
                await store.transition(one.task.task_id, Report(0, "completed", "completed"), AT)
                done[one.task.task_id] += 1
            await asyncio.sleep(0)

    async def sweep() -> None:
        while sum(done.values()) < TASKS:
            assert await store.sweep(to_ms(NOW), 50) == 0
            await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        await asyncio.gather(create(), sweep(), *(work(f"w{n}") for n in range(6)))
    assert created.is_set()
    assert done == Counter({task_id(number): 1 for number in range(1, TASKS + 1)})
    assert await store.unresolved_of(group, 0, 9) == []


async def test_cancelling_and_rerunning_against_workers_leaves_every_task_resolved_or_waiting(
    engine: Engine,
) -> None:
    store = SqlTaskStore(engine)
    ids = [task_id(number) for number in range(1, 21)]
    for number, made in enumerate(ids, 1):
        needs = [task_id(number - 1)] if number > 1 else []
        given = document(dependencies=needs, requires="all-resolved", taskGroupId=ids[0])
        await store.create(define(made, given, NOW), [], AT)
    stop = asyncio.Event()

    async def work(name: str) -> None:
        while not stop.is_set():
            for one in await store.claim(QUEUE, "g", name, 3, UNTIL, AT):
                run = len(one.task.progress.runs) - 1
                try:
                    await store.transition(one.task.task_id, Report(run, "failed", "failed"), AT)
                except ConflictError:
                    continue  # it was cancelled meanwhile
            await asyncio.sleep(0)

    async def meddle() -> None:
        for event in (Cancel(), Rerun(), Cancel()):
            await asyncio.gather(*(store.transition(made, event, AT) for made in reversed(ids)))
        stop.set()

    async with asyncio.timeout(60):
        await asyncio.gather(meddle(), *(work(f"w{n}") for n in range(4)))
    for made in ids:
        found = await store.task(made)
        assert found is not None
        assert found.progress.state in ("failed", "exception")
        assert found.progress.unmet == 0
        assert [run.run_id for run in found.progress.runs] == list(range(len(found.progress.runs)))
    assert await store.counts(QUEUE) == (0, 0)
