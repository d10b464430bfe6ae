"""Hooks of actions stay while used, and sixty days after (A10)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.domain.actions.naming import ActionHookName
from liftlock.services.retire_hooks import KEPT, RetireHooks
from push_world import CONFIG, PROMOTION, PushWorld, hook_of, payload_of

SECOND = timedelta(seconds=1)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> PushWorld:
    return await PushWorld.make(engine, tmp_path)


async def retire(world: PushWorld, after: timedelta) -> int:
    world.clock.instant = NOW + after
    leases = SqlLeases(world.engine)
    return await RetireHooks(world.hook_store, world.store, leases, world.clock, holder="one").step()


async def exists(world: PushWorld, name: ActionHookName) -> bool:
    return await world.hook_store.hook(name.group_id, name.hook_id) is not None


async def test_a10_an_old_hook_works_on_and_goes_sixty_days_after_its_last_fire(world: PushWorld) -> None:
    old = await world.push()
    robin = await world.user("people/robin")
    new = await world.push(CONFIG + "changed")
    assert (await world.trigger(robin, payload_of(old), hook_of(old))).status is not None
    assert (await world.trigger(robin, payload_of(new), hook_of(new))).status is not None
    assert await retire(world, KEPT) == 0
    assert await retire(world, KEPT + SECOND) == 2
    assert not await exists(world, hook_of(old))
    assert not await exists(world, hook_of(old, PROMOTION))
    assert await exists(world, hook_of(new)), "a branch's head has this content"


async def test_a10_a_fire_keeps_a_hook_for_another_sixty_days(world: PushWorld) -> None:
    old = await world.push()
    await world.push(CONFIG + "changed")
    robin = await world.user("people/robin")
    later = NOW + timedelta(days=30)
    caller = await world.access.caller(robin)
    name = hook_of(old)
    await world.fire.by_trigger(caller, name.group_id, name.hook_id, payload_of(old), later)
    await retire(world, KEPT + SECOND)
    assert await exists(world, name)
    await retire(world, KEPT + timedelta(days=31))
    assert not await exists(world, name)


async def test_a10_content_that_comes_back_brings_its_hook_back_with_the_consent_it_had(
    world: PushWorld,
) -> None:
    old = await world.push()
    morgan = await world.user("people/morgan", f"pushes:admit-hooks:3:{PROMOTION}")
    assert old.config_digest is not None
    await world.admit(morgan, old.config_digest)
    await world.push(CONFIG + "changed")
    await retire(world, KEPT + SECOND)
    assert not await exists(world, hook_of(old, PROMOTION))
    again = await world.push()
    assert again.alerts == ()
    assert await exists(world, hook_of(again, PROMOTION))
    admission = await world.store.admission("demo", 3, PROMOTION, old.config_digest)
    assert admission is not None
    assert (admission.state, admission.by) == ("admitted", "people/morgan")
    hook = await world.hook_store.hook("project-demo", hook_of(again, PROMOTION).hook_id)
    assert hook is not None
    assert admission.hook_digest == hook.version
