"""A signed write that is sent again has no effect, whoever receives it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from access_world import ROOT, World
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import AuthenticationFailedError, ReplayedRequestError


async def test_a_replayed_write_is_refused(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    await world.make_role("victim", "x")
    facts = world.facts(method="DELETE", target="/api/auth/v1/roles/victim")
    await world.roles.delete(await world.authorizer.authenticate(facts, world.now), "victim", world.now)
    await world.make_role("victim", "x")
    again = await world.authorizer.authenticate(facts, world.now)
    with pytest.raises(ReplayedRequestError, match="was received before"):
        await world.roles.delete(again, "victim", world.now)
    assert await world.store.role("victim") is not None


async def test_a_write_is_refused_by_another_control_plane_and_after_a_restart(
    engine: Engine, tmp_path: Path
) -> None:
    world = World(engine, tmp_path)
    facts = world.facts()
    await world.roles.create(
        await world.authorizer.authenticate(facts, world.now), "a", "", ("x",), world.now
    )
    other = World(engine, tmp_path)
    with pytest.raises(ReplayedRequestError):
        await other.roles.create(
            await other.authorizer.authenticate(facts, other.now), "b", "", (), other.now
        )
    assert await other.store.role("b") is None


async def test_a_write_sent_many_times_at_once_has_one_effect(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    facts = world.facts()
    callers = [await world.authorizer.authenticate(facts, world.now) for _ in range(5)]
    results = await asyncio.gather(
        *(world.roles.create(caller, f"r{n}", "", ("x",), world.now) for n, caller in enumerate(callers)),
        return_exceptions=True,
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert len(await world.store.list_roles(prefix="", after="", limit=10)) == 1


async def test_a_replay_is_an_authentication_failure_on_the_wire(engine: Engine, tmp_path: Path) -> None:
    assert issubclass(ReplayedRequestError, AuthenticationFailedError)
    assert ReplayedRequestError.code == "AuthenticationFailed"


async def test_reading_again_is_no_replay(engine: Engine, tmp_path: Path) -> None:
    world = World(engine, tmp_path)
    facts = world.facts(ROOT, method="GET")
    first = await world.authorizer.authenticate(facts, world.now)
    assert first.nonce is None
    assert await world.authorizer.authenticate(facts, world.now) == first
