"""Right JSON from the wrong sender starts nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatch_world import SENDER, DispatchWorld
from hook_builders import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import RefusedError, ReplayedRequestError
from liftlock.services.dispatch_events import UNKNOWN, Dispatched

GOOD = {"word": "hello"}


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> DispatchWorld:
    return await DispatchWorld.make(engine, tmp_path)


async def nothing(world: DispatchWorld) -> bool:
    return (await world.hooks.fires(), world.desk.asked, await world.count("dispatch_event")) == ([], [], 0)


async def test_a_forged_dispatch_from_another_sender_leaves_a_trace_and_nothing_else(
    world: DispatchWorld,
) -> None:
    forger = await world.client("bots/nightly2", "*")  # has every scope, and is not the sender
    for event in ("nightly", "format"):
        with pytest.raises(RefusedError) as refused:
            await world.send(forger, event, GOOD)
        assert refused.value.message == UNKNOWN
    assert await nothing(world)
    assert await world.trail() == [
        ("bots/nightly2", "event/nightly", "refused"),
        ("bots/nightly2", "event/format", "refused"),
    ]


async def test_a_stranger_does_not_learn_which_events_there_are(world: DispatchWorld) -> None:
    forger = await world.client("bots/other")
    told = []
    for event in ("nightly", "no-such-event"):
        with pytest.raises(RefusedError) as refused:
            await world.send(forger, event, GOOD)
        told.append((refused.value.message, refused.value.details))
    assert told[0] == told[1]


async def test_who_has_no_credentials_does_not_fill_the_audit_log(world: DispatchWorld) -> None:
    for _ in range(3):
        with pytest.raises(RefusedError):
            await world.send(None, "nightly", GOOD)
    assert (await world.trail(), await nothing(world)) == ([], True)


async def test_a_replayed_dispatch_is_refused(world: DispatchWorld) -> None:
    sender = await world.client()
    caller = await world.hooks.access.caller(sender)  # one signed request
    await world.events(caller, Dispatched("nightly", GOOD), NOW)
    with pytest.raises(ReplayedRequestError):
        await world.events(caller, Dispatched("nightly", GOOD), NOW)
    assert len(await world.hooks.fires()) == 1


async def test_another_senders_key_is_not_found(world: DispatchWorld) -> None:
    await world.send(await world.client(), "nightly", GOOD, "monday")
    other = await world.client("bots/other")
    with pytest.raises(RefusedError):
        await world.send(other, "nightly", GOOD, "monday")
    assert SENDER != "bots/other"
