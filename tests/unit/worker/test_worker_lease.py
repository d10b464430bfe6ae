"""A claim is renewed in time, and lost in time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from fakes.fake_queue_client import FakeQueueClient, lease
from liftlock.adapters.system.clock import SystemClock
from liftlock.errors import AuthenticationFailedError, ConflictError
from liftlock.ports.queue_client import Lease, QueueUnavailableError, RunKey
from liftlock.worker.lease import LeaseKeeper

RUN = RunKey("TASK", 0)


class JumpingClock:
    """The wall clock of a machine that may sleep."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def keeper(
    queue: FakeQueueClient, given: Lease, seen: list[Lease], clock: JumpingClock | None = None
) -> LeaseKeeper:
    return LeaseKeeper(queue, clock or SystemClock(), RUN, given, seen.append)


async def test_the_first_lease_is_told_before_it_counts() -> None:
    seen: list[Lease] = []
    given = lease()
    kept = keeper(FakeQueueClient(), given, seen)
    assert seen == [given]
    assert kept.credentials == given.credentials


async def test_it_is_renewed_with_new_credentials_before_it_ends() -> None:
    queue, seen = FakeQueueClient(), []  # type: ignore[var-annotated]
    queue.next_lease = lambda: lease(token="the-second-token")
    kept = keeper(queue, lease(0.6), seen)
    running = asyncio.create_task(kept.keep())
    async with asyncio.timeout(20):
        while len(seen) < 2:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.01)
    assert kept.credentials.access_token == "the-second-token"
    assert not kept.lost.is_set()
    running.cancel()


async def test_a_refusal_loses_it_at_once() -> None:
    for error in (ConflictError("resolved"), AuthenticationFailedError("who")):
        queue = FakeQueueClient()
        queue.failures["reclaim"] = [error]
        kept = keeper(queue, lease(0.6), [])
        await asyncio.wait_for(kept.keep(), 20)
        assert kept.lost.is_set()
        assert error.message in kept.why


async def test_without_an_answer_it_is_lost_before_it_ends() -> None:
    queue = FakeQueueClient()
    queue.failures["reclaim"] = [QueueUnavailableError("gone")] * 1000
    given = lease(1.5)
    kept = keeper(queue, given, [])
    await asyncio.wait_for(kept.keep(), 20)
    assert datetime.now(UTC) < given.taken_until
    assert kept.why == "the claim could not be renewed in time"
    assert len(queue.reclaims) > 1


async def test_a_machine_that_slept_past_the_end_loses_it() -> None:
    queue, clock = FakeQueueClient(), JumpingClock()
    kept = keeper(queue, lease(1200), [], clock)
    clock.ahead = timedelta(seconds=1300)
    await asyncio.wait_for(kept.keep(), 20)
    assert kept.lost.is_set()
    assert queue.reclaims == [], "a lease that has ended is not asked for again"


async def test_a_suspicion_is_checked_at_once() -> None:
    queue = FakeQueueClient()
    kept = keeper(queue, lease(1200), [])
    assert await kept.still_held()
    queue.failures["reclaim"] = [ConflictError("canceled")]
    kept.check_now()
    await asyncio.wait_for(kept.keep(), 20)
    assert not await kept.still_held()
