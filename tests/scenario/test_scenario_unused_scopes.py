"""Granted scopes that nobody used are found; what is used is stored once a day, and not for each request."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from access_world import NOW, World
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.scope_uses import SqlScopeUses
from liftlock.domain.scopes.exercise import Grant
from liftlock.errors import InputInvalidError, RefusedError
from liftlock.services.authorize import Authorizer
from liftlock.services.scope_uses import FindUnused, RecordUses


class Uses(World):
    """Access whose uses are recorded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.uses = SqlScopeUses(self.engine)
        self.record = RecordUses(self.uses, self.access)
        self.authorizer = Authorizer(self.access, self.record)
        self.find = FindUnused(self.uses, self.store)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> Uses:
    return Uses(engine, tmp_path)


async def unused(world: Uses, days: int = 90) -> dict[str, tuple[str, ...]]:
    found = await world.find(await world.caller(), NOW - timedelta(days=days), world.now)
    return dict(found.holders)


async def test_what_was_needed_is_used_and_the_rest_is_listed_by_who_has_it(world: Uses) -> None:
    await world.make_role("dev", "a:*", "b:x")
    robin = await world.make_client("people/robin", "assume:dev", "c:x")
    (await world.caller(robin)).require("a:1")
    await world.record.step(world.now)
    assert await unused(world) == {"role/dev": ("b:x",), "client/people/robin": ("c:x",)}


async def test_a_refused_need_uses_nothing(world: Uses) -> None:
    robin = await world.make_client("people/robin", "c:x")
    with pytest.raises(RefusedError):
        (await world.caller(robin)).require(["c:x", "d"])
    await world.record.step(world.now)
    assert await unused(world) == {"client/people/robin": ("c:x",)}


async def test_authorized_scopes_use_what_the_client_has_stored(world: Uses) -> None:
    robin = await world.make_client("people/robin", "c:*", "d:*")
    (await world.caller(robin, authorized=["c:x"])).require("c:x")
    await world.record.step(world.now)
    assert await unused(world) == {"client/people/robin": ("d:*",)}


async def test_what_liftlock_does_itself_uses_the_roles_that_it_acts_with(world: Uses) -> None:
    await world.make_role("repo:x:branch:main", "queue:a", "queue:b")
    caller = await world.authorizer.internal("liftlock/decision/x/1", ["assume:repo:x:branch:main"], NOW)
    caller.require("queue:a")
    await world.record.step(world.now)
    assert await unused(world) == {"role/repo:x:branch:main": ("queue:b",)}


async def test_a_use_counts_from_its_own_day_on(world: Uses) -> None:
    robin = await world.make_client("people/robin", "c:x", lasts=timedelta(days=400))
    (await world.caller(robin)).require("c:x")
    await world.record.step(NOW)
    world.now = NOW + timedelta(days=90)
    assert await unused(world, days=0) == {}
    found = await world.find(await world.caller(), NOW + timedelta(days=1), world.now)
    assert found.holders == [("client/people/robin", ("c:x",))]
    assert found.began == NOW


async def test_a_grant_is_written_once_a_day_however_often_it_is_used(world: Uses) -> None:
    written: list[int] = []
    note = world.uses.note

    async def counted(grants: set[Grant], at: object) -> None:
        written.append(len(grants))
        await note(grants, at)  # type: ignore[arg-type] # the instant it was given

    world.uses.note = counted  # type: ignore[method-assign, assignment] # counts what the real one is given
    robin = await world.make_client("people/robin", "c:x", lasts=timedelta(days=9))
    for day in (0, 0, 1):
        world.now = NOW + timedelta(days=day)
        for _ in range(5):
            (await world.caller(robin)).require("c:x")
        await world.record.step(world.now)
    assert written == [1, 1]


async def test_only_who_may_list_roles_and_clients_is_told(world: Uses) -> None:
    robin = await world.make_client("people/robin", "auth:list-roles")
    with pytest.raises(RefusedError, match="auth:list-clients"):
        await world.find(await world.caller(robin), NOW, NOW)
    with pytest.raises(InputInvalidError, match="since: expected a time that has been"):
        await world.find(await world.caller(), NOW + timedelta(seconds=1), NOW)
