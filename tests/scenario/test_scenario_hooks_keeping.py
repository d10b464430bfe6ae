"""Creating, changing, deleting and showing hooks: who may, and what is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hook_builders import GROUP, HOOK, NAME, NOW, hook_body
from hooks_world import MODIFY, HooksWorld
from liftlock.adapters.sql.engine import Engine
from liftlock.errors import (
    AuthenticationFailedError,
    ConflictError,
    InputInvalidError,
    NotFoundError,
    RefusedError,
)
from liftlock.services.authorize import Caller
from liftlock.services.hooks import NEWEST

LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> HooksWorld:
    return await HooksWorld.make(engine, tmp_path)


async def test_creating_twice_alike_is_one_hook_and_differently_a_conflict(world: HooksWorld) -> None:
    first = await world.create()
    assert await world.create(at=LATER) == first
    with pytest.raises(ConflictError, match="update it instead"):
        await world.create(schedule=["0 0 0 * * *"])


async def test_updating_keeps_token_and_time_of_creation(world: HooksWorld) -> None:
    old = await world.create()
    token = await world.token()
    caller = await world.access.caller()
    new = await world.hooks.update(caller, GROUP, HOOK, hook_body(triggerSchema=True), LATER)
    assert await world.store.hook(GROUP, HOOK) == new
    assert (new.created, new.modified) == (old.created, LATER)
    assert new.version != old.version
    assert await world.token() == token


async def test_what_does_not_exist_is_not_found(world: HooksWorld) -> None:
    acts: list[Callable[[Caller], Awaitable[Any]]] = [
        lambda caller: world.hooks.update(caller, GROUP, HOOK, hook_body(), NOW),
        lambda caller: world.hooks.get(caller, GROUP, HOOK),
        lambda caller: world.hooks.status(caller, GROUP, HOOK),
        lambda caller: world.hooks.token(caller, GROUP, HOOK, NOW),
        lambda caller: world.hooks.reset_token(caller, GROUP, HOOK, NOW),
        lambda caller: world.hooks.fires(caller, GROUP, HOOK, before=NEWEST, limit=1),
        lambda caller: world.hooks.of_group(caller, GROUP),
    ]
    for act in acts:
        with pytest.raises(NotFoundError):
            await act(await world.access.caller())


async def test_deleting_is_idempotent(world: HooksWorld) -> None:
    await world.create()
    for _ in range(2):
        await world.hooks.remove(await world.access.caller(), GROUP, HOOK, NOW)
    assert await world.store.hook(GROUP, HOOK) is None


async def test_the_fires_of_a_deleted_hook_stay_visible(world: HooksWorld) -> None:
    await world.create()
    await world.trigger({})
    await world.hooks.remove(await world.access.caller(), GROUP, HOOK, NOW)
    fires = await world.hooks.fires(await world.access.caller(), GROUP, HOOK, before=NEWEST, limit=10)
    assert len(fires) == 1


async def test_the_status_is_of_the_last_fire(world: HooksWorld) -> None:
    hook = await world.create()
    assert await world.hooks.status(await world.access.caller(), GROUP, HOOK) == (hook, None)
    fired = await world.trigger({})
    _, last = await world.hooks.status(await world.access.caller(), GROUP, HOOK)
    assert last is not None
    assert last.task_id == fired.task_id


async def test_a_new_token_replaces_the_old_one(world: HooksWorld) -> None:
    await world.create()
    old = await world.token()
    new = await world.hooks.reset_token(await world.access.caller(), GROUP, HOOK, NOW)
    assert new == await world.token() != old
    with pytest.raises(AuthenticationFailedError):
        await world.trigger_with_token(old, {})
    await world.trigger_with_token(new, {})


async def test_a_wrong_definition_changes_nothing(world: HooksWorld) -> None:
    old = await world.create()
    with pytest.raises(InputInvalidError):
        await world.hooks.update(
            await world.access.caller(), GROUP, HOOK, hook_body(triggerSchema={"typ": 1}), NOW
        )
    assert await world.store.hook(GROUP, HOOK) == old


async def test_a_managed_hook_is_nobodys_to_edit(world: HooksWorld) -> None:
    kept = await world.create_managed()
    with pytest.raises(ConflictError, match="is managed"):
        await world.hooks.update(await world.access.caller(), GROUP, HOOK, hook_body(), NOW)
    with pytest.raises(ConflictError, match="is managed"):
        await world.hooks.remove(await world.access.caller(), GROUP, HOOK, NOW)
    with pytest.raises(ConflictError, match="exists already"):
        await world.create()
    assert await world.store.hook(GROUP, HOOK) == kept


NEEDS: dict[str, tuple[tuple[str, ...], Callable[[HooksWorld, Caller], Awaitable[Any]]]] = {
    "groups": (("hooks:list-hooks:",), lambda w, c: w.hooks.groups(c)),
    "list": ((f"hooks:list-hooks:{GROUP}",), lambda w, c: w.hooks.of_group(c, GROUP)),
    "get": ((f"hooks:get:{GROUP}:{HOOK}",), lambda w, c: w.hooks.get(c, GROUP, HOOK)),
    "status": ((f"hooks:status:{NAME}",), lambda w, c: w.hooks.status(c, GROUP, HOOK)),
    "last fires": (
        (f"hooks:list-last-fires:{NAME}",),
        lambda w, c: w.hooks.fires(c, GROUP, HOOK, before=NEWEST, limit=1),
    ),
    "create": (MODIFY, lambda w, c: w.hooks.create(c, GROUP, HOOK, hook_body(), NOW)),
    "update": (MODIFY, lambda w, c: w.hooks.update(c, GROUP, HOOK, hook_body(), NOW)),
    "token": ((f"hooks:get-trigger-token:{NAME}",), lambda w, c: w.hooks.token(c, GROUP, HOOK, NOW)),
    "reset token": (
        (f"hooks:reset-trigger-token:{NAME}",),
        lambda w, c: w.hooks.reset_token(c, GROUP, HOOK, NOW),
    ),
    "trigger": ((f"hooks:trigger-hook:{NAME}",), lambda w, c: w.fire.by_trigger(c, GROUP, HOOK, {}, NOW)),
    "simulate": ((f"hooks:trigger-hook:{NAME}",), lambda w, c: w.simulate(c, GROUP, HOOK, {}, NOW)),
    "simulate by reading": ((f"hooks:get:{GROUP}:{HOOK}",), lambda w, c: w.simulate(c, GROUP, HOOK, {}, NOW)),
    "remove": ((MODIFY[0],), lambda w, c: w.hooks.remove(c, GROUP, HOOK, NOW)),
}


@pytest.mark.parametrize("name", NEEDS)
async def test_each_act_needs_its_scopes_and_no_others(world: HooksWorld, name: str) -> None:
    scopes, act = NEEDS[name]
    await world.create()
    fires = len(await world.fires())
    for number, left_out in enumerate(scopes):
        fewer = [scope for scope in scopes if scope != left_out]
        weak = await world.access.make_client(f"weak/{number}", "hooks:x", *fewer)
        with pytest.raises(RefusedError) as refused:
            await act(world, await world.access.caller(weak))
        assert left_out in refused.value.message
    assert len(await world.fires()) == fires
    strong = await world.access.make_client("strong", *scopes)
    await act(world, await world.access.caller(strong))


async def test_every_change_leaves_an_audit_record(world: HooksWorld) -> None:
    before = await world.count("audit")
    await world.create()
    await world.hooks.update(await world.access.caller(), GROUP, HOOK, hook_body(triggerSchema=True), NOW)
    await world.token()
    await world.hooks.reset_token(await world.access.caller(), GROUP, HOOK, NOW)
    await world.hooks.remove(await world.access.caller(), GROUP, HOOK, NOW)
    assert await world.count("audit") == before + 5


async def test_tokens_are_not_in_the_database(world: HooksWorld) -> None:
    hook = await world.create()
    token = await world.token()
    assert token not in str(msgspec.to_builtins(hook))
    assert len(token) == 44
