"""Open pages hear of changes, on both databases: at once, after a break, and of what another control plane did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.operation_store import SqlOperationStore
from liftlock.adapters.sql.overview_store import SqlOverviewStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.ports.envelope import Envelope, Event
from liftlock.ports.overview_store import Change
from liftlock.services.live_changes import LiveChanges
from task_builders import NOW

LIMIT_S = 30.0


def of_widget(change: Change) -> bool:
    return change.key == "widget"


async def next_of(stream: AsyncIterator[int | None]) -> int | None:
    async with asyncio.timeout(LIMIT_S):
        return await anext(stream)


async def tell(engine: Engine, project: str) -> None:
    """Commit an event as a push of the project has it."""
    event = Event("push-recorded", project, {})
    await SqlOperationStore(engine).commit(Envelope(NOW, events=(event,)))


async def test_a_page_hears_of_what_it_shows_and_of_nothing_else(
    engine: Engine, wakeups: InProcessWakeups
) -> None:
    changes = LiveChanges(SqlOverviewStore(engine), wakeups)
    mine, others = changes.follow(of_widget, None), changes.follow(lambda change: change.key == "x", None)
    assert await next_of(mine) is None
    assert await next_of(others) is None
    waiting = asyncio.create_task(next_of(others))
    await tell(engine, "gadget")
    await tell(engine, "widget")
    assert await next_of(mine) == await changes.last()
    assert not waiting.done()
    waiting.cancel()


async def test_a_page_that_comes_back_hears_of_what_it_missed(
    engine: Engine, wakeups: InProcessWakeups
) -> None:
    changes = LiveChanges(SqlOverviewStore(engine), wakeups)
    seen = await changes.last()
    await tell(engine, "widget")
    stream = changes.follow(of_widget, seen)
    found = [await next_of(stream), await next_of(stream)]
    assert await changes.last() in found


async def test_what_another_control_plane_did_is_heard_without_its_ring(engine: Engine) -> None:
    """Its wake-up is lost: the reader listens where nobody rings."""
    changes = LiveChanges(SqlOverviewStore(engine), InProcessWakeups())
    stream = changes.follow(of_widget, None)
    assert await next_of(stream) is None
    await tell(engine, "widget")
    assert await next_of(stream) == await changes.last()
