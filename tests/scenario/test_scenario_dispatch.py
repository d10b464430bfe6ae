"""A dispatched event starts what is configured for it, once, with the sender's own scopes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatch_world import SENDER, DispatchWorld
from hook_builders import NAME
from hooks_world import TRIGGER
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import ConflictError, InputValidationError, RefusedError


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> DispatchWorld:
    return await DispatchWorld.make(engine, tmp_path)


async def test_an_event_fires_its_hook_in_one_transaction_with_its_record(world: DispatchWorld) -> None:
    sender = await world.client()
    taken = await world.send(sender, "nightly", {"word": "hello"}, "monday")
    [fire] = await world.hooks.fires()
    assert (taken.target, taken.result, fire.actor) == (f"hook/{NAME}", fire.task_id, SENDER)
    assert await world.trail() == [(SENDER, "event/nightly", "allowed")]
    assert await world.send(sender, "nightly", {"word": "hello"}, "monday") == taken
    assert len(await world.hooks.fires()) == 1
    await world.send(sender, "nightly", {"word": "hello"}, "tuesday")
    assert len(await world.hooks.fires()) == 2


async def test_an_event_asks_for_its_operation_under_its_own_key(world: DispatchWorld) -> None:
    sender = await world.client()
    taken = await world.send(sender, "format", {"line_length": 99}, "monday")
    [(client, asked)] = world.desk.asked
    assert (client, asked.operation, asked.ref, asked.given) == (
        SENDER,
        "format-widget",
        "main",
        {"line_length": 99},
    )
    assert (taken.target, taken.result, asked.key) == ("operation/format-widget", "op-1", "dispatch/monday")
    assert await world.send(sender, "format", {"line_length": 99}, "monday") == taken
    assert len(world.desk.asked) == 1
    assert await world.trail() == [(SENDER, "event/format", "allowed")]


async def test_a_key_is_for_one_event(world: DispatchWorld) -> None:
    sender = await world.client()
    await world.send(sender, "nightly", {"word": "hello"}, "monday")
    with pytest.raises(ConflictError, match="id 'monday': it was used for another event"):
        await world.send(sender, "nightly", {"word": "other"}, "monday")


async def test_the_payload_is_checked_by_the_hooks_own_schema(world: DispatchWorld) -> None:
    sender = await world.client()
    with pytest.raises(InputValidationError):
        await world.send(sender, "nightly", {"word": "NOT SMALL"})
    assert await world.count("dispatch_event") == 0


@pytest.mark.parametrize(
    ("scopes", "lacks"),
    [((TRIGGER,), "liftlock:dispatch:nightly"), (("liftlock:dispatch:nightly",), "hooks:trigger-hook:")],
)
async def test_a_configured_sender_needs_the_scopes_as_well(
    world: DispatchWorld, scopes: tuple[str, ...], lacks: str
) -> None:
    sender = await world.client(SENDER, *scopes)
    with pytest.raises(RefusedError, match=lacks):
        await world.send(sender, "nightly", {"word": "hello"})
    assert (await world.hooks.fires(), await world.count("dispatch_event")) == ([], 0)
