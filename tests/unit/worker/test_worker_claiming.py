"""What the worker and the control plane believe it holds is the same, whatever answer was lost."""

from __future__ import annotations

import asyncio

import pytest

from fakes.fake_queue_client import FakeQueueClient
from liftlock.errors import NotFoundError
from liftlock.ports.queue_client import Claim, QueueUnavailableError
from liftlock.worker import claiming
from liftlock.worker.claiming import Claiming
from liftlock.worker.parts import Identity

IDENTITY = Identity("local/unprivileged", "local", "w")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "RETRY_S", (0.001,))
    monkeypatch.setattr(claiming, "SETTLE_S", 0.001)
    monkeypatch.setattr(claiming, "REFUSED_S", 0.001)


async def test_before_the_first_poll_everything_is_given_back() -> None:
    queue = FakeQueueClient()
    run = queue.put({})
    claims = Claiming(queue, IDENTITY)
    assert (await claims.next()).run == run
    assert queue.kept == [set()]
    assert claims.held == {run}


async def test_nothing_is_claimed_before_that_was_answered() -> None:
    queue = FakeQueueClient()
    queue.failures["give_back"] = [QueueUnavailableError("gone")] * 3
    queue.put({})
    await Claiming(queue, IDENTITY).next()
    assert len(queue.kept) == 4


async def test_a_control_plane_that_does_not_know_it_is_served_all_the_same() -> None:
    queue = FakeQueueClient()
    queue.failures["give_back"] = [NotFoundError("no such route")]
    run = queue.put({})
    assert (await Claiming(queue, IDENTITY).next()).run == run


async def test_a_lost_answer_breaks_off_the_other_polls_before_it_is_said_what_is_kept() -> None:
    queue = FakeQueueClient()
    claims = Claiming(queue, IDENTITY)
    first = queue.put({}, run_id=1)
    await claims.next()
    under_way = 0
    seen: list[int] = []
    ask = queue.claim_work

    async def counted(*arguments: object) -> tuple[Claim, ...]:
        nonlocal under_way
        under_way += 1
        try:
            return await ask(*arguments)  # type: ignore[arg-type]
        finally:
            under_way -= 1

    give_back = queue.give_back

    async def watched(queue_id: str, group: str, worker: str, keep: object) -> object:
        seen.append(under_way)
        return await give_back(queue_id, group, worker, keep)  # type: ignore[arg-type]

    queue.claim_work, queue.give_back = counted, watched  # type: ignore[method-assign,assignment]
    waiting = asyncio.create_task(claims.next())
    async with asyncio.timeout(20):
        while not under_way:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    queue.failures["claim_work"] = [QueueUnavailableError("reset")]
    other = asyncio.create_task(claims.next())
    async with asyncio.timeout(20):
        while len(queue.kept) < 2:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    assert (seen, queue.kept[1]) == ([0], {first})
    second, third = queue.put({}, run_id=2), queue.put({}, run_id=3)
    assert {(await waiting).run, (await other).run} == {second, third}
    assert claims.held == {first, second, third}


async def test_what_is_released_is_not_kept_any_more() -> None:
    queue = FakeQueueClient()
    claims = Claiming(queue, IDENTITY)
    run = queue.put({})
    await claims.next()
    claims.release(run)
    await claims.close()
    assert queue.kept == [set(), set()]


async def test_being_ended_while_waiting_ends_the_poll() -> None:
    queue = FakeQueueClient()
    claims = Claiming(queue, IDENTITY)
    waiting = asyncio.create_task(claims.next())
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    queue.put({})
    await asyncio.sleep(0)
    assert queue.waiting.qsize() == 1, "a poll that was broken off took a task"
