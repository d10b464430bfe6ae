"""The relay of what trackers send: anybody may ring, and gains nothing by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest

from control_plane_server import Served, serve
from fakes.counted_entropy import CountedEntropy
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import NotFoundError, ReceiverUnavailableError, RefusedError
from liftlock.services.authorize import Caller
from liftlock.services.relay_tracker import MAX_PENDING, MAX_RECEIVERS, MAX_WAITING, RelayTracker


def caller_with(*scopes: str) -> Caller:
    return Caller(
        client_id="feedd",
        scopes=ScopeSet(scopes),
        own=scopes,
        access_version=0,
        expires=datetime(2030, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def relay() -> RelayTracker:
    return RelayTracker(CountedEntropy())


async def never() -> None:
    await asyncio.Event().wait()


async def opened(relay: RelayTracker, source: str = "bmo") -> AsyncIterator[bytes]:
    stream = relay.listen(caller_with("gate:receive-tracker:*"), source, never)
    assert await anext(stream) == b"event: listening\ndata: {}\n\n"
    return stream


async def test_a_flood_of_rings_takes_bounded_memory_and_ends_as_one_ring_for_everything(
    relay: RelayTracker,
) -> None:
    stream = await opened(relay)
    for bug in range(1, MAX_PENDING + 2):
        relay.ring("bmo", bug)
    assert await anext(stream) == b'event: ring\ndata: {"bug":0}\n\n'
    assert await anext(stream) == b'event: ring\ndata: {"bug":%d}\n\n' % (MAX_PENDING + 1)
    for _ in range(10_000):
        relay.ring("bmo", 7)
        relay.ring("nobody-listens", 7)
    assert await anext(stream) == b'event: ring\ndata: {"bug":7}\n\n', "one bug waits once"
    await stream.aclose()


async def test_signed_messages_that_nobody_answers_are_bounded_and_told_to_come_again(
    relay: RelayTracker,
) -> None:
    with pytest.raises(ReceiverUnavailableError, match="nobody receives them"):
        await relay.hand_over("bmo", {"body": "x"})
    stream = await opened(relay)
    waiting = [asyncio.create_task(relay.hand_over("bmo", {"body": "x"})) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ReceiverUnavailableError):
        await relay.hand_over("bmo", {"body": "x"})
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await stream.aclose()


async def test_a_sender_is_told_at_once_when_who_received_its_message_goes_away(relay: RelayTracker) -> None:
    stream = await opened(relay)
    sent = asyncio.create_task(relay.hand_over("bmo", {"body": "x"}))
    assert b'"body":"x"' in await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(5):
        with pytest.raises(ReceiverUnavailableError, match="who received them went away: send them again"):
            await sent


async def test_who_may_not_receive_hears_nothing_and_answers_for_nobody(relay: RelayTracker) -> None:
    stranger = caller_with("gate:receive-tracker:other")
    with pytest.raises(RefusedError):
        relay.listen(stranger, "bmo", never)
    stream = await opened(relay)
    sent = asyncio.create_task(relay.hand_over("bmo", {"body": "x"}))
    assert b'"body":"x"' in await anext(stream)
    with pytest.raises(RefusedError):
        relay.receipt(stranger, "bmo", {"id": "0" * 22, "outcome": "taken"})
    with pytest.raises(NotFoundError):
        relay.receipt(caller_with("gate:receive-tracker:*"), "other", {"id": "0" * 22, "outcome": "taken"})
    assert not sent.done()
    sent.cancel()
    await stream.aclose()


async def test_streams_of_one_tracker_are_bounded_and_freed_when_their_reader_leaves(
    relay: RelayTracker,
) -> None:
    streams = [await opened(relay) for _ in range(MAX_RECEIVERS)]
    with pytest.raises(ReceiverUnavailableError, match="are open already"):
        relay.listen(caller_with("gate:receive-tracker:*"), "bmo", never)
    await streams[0].aclose()
    left = asyncio.Event()

    async def gone() -> None:
        await left.wait()

    stream = relay.listen(caller_with("gate:receive-tracker:*"), "bmo", gone)
    await anext(stream)
    left.set()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    for each in streams[1:]:
        await each.aclose()
    with pytest.raises(ReceiverUnavailableError):
        await relay.hand_over("bmo", {"body": "x"})


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path) as found:
        yield found


@pytest.mark.process
def test_the_stream_and_its_receipts_need_a_scope_over_http(served: Served) -> None:
    base = f"{served.root_url}/api/gate/v1/tracker/bmo"
    assert httpx2.get(f"{base}/stream", trust_env=False).status_code == 403
    receipt = {"id": "0" * 22, "outcome": "taken"}
    assert httpx2.post(f"{base}/receipt", json=receipt, trust_env=False).status_code == 403
    big = dict.fromkeys(
        ("x-liftlock-key-id", "x-liftlock-timestamp", "x-liftlock-nonce", "x-liftlock-signature"), "1"
    )
    assert (
        httpx2.post(f"{base}/events", content=b"x" * 1_048_577, headers=big, trust_env=False).status_code
        == 413
    )
    assert httpx2.post(f"{base}/events", content=b"\xff", headers=big, trust_env=False).status_code == 400
