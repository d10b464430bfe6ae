"""Policies of action hooks that configuration stores, and hooks that come with them at once (A8, A10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.domain.actions.policy import DomainPolicy, parse_policy
from liftlock.errors import InputInvalidError, NotFoundError, RefusedError
from liftlock.services.bring_hooks import BringHooks
from push_world import PushWorld, hook_of, payload_of

NIGHTLY = DomainPolicy(levels=(3,), permissions=("generic", "nightly"), self_admitted=("generic", "nightly"))


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> PushWorld:
    return await PushWorld.make(engine, tmp_path)


def bring(world: PushWorld) -> BringHooks:
    return BringHooks(world.store, world.repository, world.admit_hooks)


async def test_a10_a_stored_policy_replaces_the_files_and_brings_hooks_for_what_branches_hold(
    world: PushWorld,
) -> None:
    push = await world.push()
    name = hook_of(push, "nightly")
    assert await world.hook_store.hook(name.group_id, name.hook_id) is None
    root = await world.access.caller()
    await world.policies.put(root, "demo", NIGHTLY, NOW)
    assert await bring(world)(await world.access.caller(), "widget", NOW) == {"main": []}
    hook = await world.hook_store.hook(name.group_id, name.hook_id)
    assert hook is not None
    assert hook.managed
    await world.access.make_role(
        "hook-id:project-demo/in-tree-action-3-nightly/*", "assume:repo:github.com/demo/widget:action:generic"
    )
    robin = await world.user("people/robin", "hooks:trigger-hook:project-demo/*")
    fired = await world.trigger(robin, payload_of(push, user__input={}), hook_of(push, "generic"))
    assert fired.status is not None
    await world.policies.remove(await world.access.caller(), "demo", NOW)
    assert (await world.policies.current()).permissions("demo", 3) == ("generic", "release-promotion")


async def test_a_policy_that_limits_the_input_changes_the_hooks_that_there_are(world: PushWorld) -> None:
    push = await world.push()
    name = hook_of(push)
    limited = DomainPolicy((3,), ("generic",), ("generic",), {"generic": {"enum": ["a"]}})
    await world.policies.put(await world.access.caller(), "demo", limited, NOW)
    await bring(world)(await world.access.caller(), "widget", NOW)
    hook = await world.hook_store.hook(name.group_id, name.hook_id)
    assert hook is not None
    assert hook.document["triggerSchema"]["properties"]["user"]["properties"]["input"] == {"enum": ["a"]}


async def test_what_policy_does_not_admit_by_itself_waits_as_after_a_push(world: PushWorld) -> None:
    push = await world.push()
    waiting = DomainPolicy((3,), ("generic", "nightly"), ("generic",))
    await world.policies.put(await world.access.caller(), "demo", waiting, NOW)
    said = await bring(world)(await world.access.caller(), "widget", NOW)
    assert said == {
        "main": [
            f"nightly: the content {push.config_digest} waits until somebody other than the pusher admits it"
        ]
    }


async def test_branches_that_no_push_moved_and_broken_files_bring_nothing(world: PushWorld) -> None:
    assert await bring(world)(await world.access.caller(), "widget", NOW) == {}
    await world.push(None)
    assert await bring(world)(await world.access.caller(), "widget", NOW) == {"main": []}
    await world.push("version: 2\n")
    assert await bring(world)(await world.access.caller(), "widget", NOW) == {
        "main": [".taskcluster.yml: expected version: 1, found 2"]
    }
    with pytest.raises(NotFoundError):
        await bring(world)(await world.access.caller(), "nothing", NOW)


async def test_policies_need_their_own_scope_and_are_checked(world: PushWorld) -> None:
    robin = await world.access.caller(await world.user("people/robin", "pushes:manage-action-policy:other"))
    with pytest.raises(RefusedError, match="pushes:manage-action-policy:demo"):
        await world.policies.put(robin, "demo", NIGHTLY, NOW)
    with pytest.raises(RefusedError, match="pushes:manage-action-policy:demo"):
        await world.policies.remove(robin, "demo", NOW)
    with pytest.raises(RefusedError, match="pushes:list-action-policies"):
        await world.policies.list(robin)
    with pytest.raises(RefusedError, match="pushes:manage-project:widget"):
        await bring(world)(robin, "widget", NOW)
    root = await world.access.caller()
    for policy, said in (
        (DomainPolicy(levels=(4,)), "levels: expected some of 1, 2, 3"),
        (DomainPolicy(permissions=("a/b",)), "permissions: expected names of"),
        (DomainPolicy(self_admitted=("x",)), "self-admitted: 'x' is not one of its permissions"),
        (
            DomainPolicy(input_schema={"generic": {"tpye": "object"}}),
            "inputSchemas.generic: ",
        ),
    ):
        with pytest.raises(InputInvalidError, match=said):
            await world.policies.put(root, "demo", policy, NOW)
    assert await world.policies.list(root) == {}


async def test_a8_a_stricter_policy_withdraws_what_it_would_not_admit(world: PushWorld) -> None:
    push = await world.push()
    robin = await world.user("people/robin")
    assert (await world.trigger(robin, payload_of(push), hook_of(push))).status is not None
    strict = DomainPolicy(levels=(3,), permissions=("generic",), self_admitted=())
    gone = await world.policies.put(await world.access.caller(), "demo", strict, NOW)
    assert [(each.level, each.permission, each.digest) for each in gone] == [
        (3, "generic", push.config_digest)
    ]
    with pytest.raises(RefusedError, match="is not admitted for generic at level 3"):
        await world.trigger(robin, payload_of(push), hook_of(push))
    [shown] = [
        each for each in await world.log.waiting(await world.access.caller()) if each.permission == "generic"
    ]
    assert (shown.state, shown.by, shown.permission) == ("withdrawn", "static/liftlock/root", "generic")
    [entry] = await world.access.store.history(f"content/{push.config_digest}", before=2**60, limit=1)
    assert (entry.action, entry.details["admittedBy"]) == ("pushes.withdrawHooks", "policy")


async def test_a8_what_was_withdrawn_may_be_admitted_again_by_somebody_else_than_the_pusher(
    world: PushWorld,
) -> None:
    push = await world.push()
    strict = DomainPolicy(levels=(3,), permissions=("generic",), self_admitted=())
    await world.policies.put(await world.access.caller(), "demo", strict, NOW)
    lead = await world.user("people/lead", "pushes:admit-hooks:3:*")
    assert push.config_digest is not None
    admitted = await world.admit(lead, push.config_digest, "generic")
    assert (admitted.state, admitted.by) == ("admitted", "people/lead")
    robin = await world.user("people/robin")
    assert (await world.trigger(robin, payload_of(push), hook_of(push))).status is not None
    assert await world.policies.put(await world.access.caller(), "demo", strict, NOW) == ()


async def test_a8_a_permission_that_the_policy_has_no_more_is_refused_whoever_admitted_it(
    world: PushWorld,
) -> None:
    push = await world.push()
    lead = await world.user("people/lead", "pushes:admit-hooks:3:*")
    assert push.config_digest is not None
    await world.admit(lead, push.config_digest)
    gone = await world.policies.put(
        await world.access.caller(), "demo", DomainPolicy((3,), ("generic",), ("generic",)), NOW
    )
    assert [(each.permission, each.by) for each in gone] == [("release-promotion", "people/lead")]
    robin = await world.user("people/robin")
    with pytest.raises(
        RefusedError, match="the policy of demo has no hooks for release-promotion at level 3"
    ):
        await world.trigger(robin, payload_of(push), hook_of(push, "release-promotion"))
    with pytest.raises(
        RefusedError, match="has no hooks for release-promotion at level 3: change the policy"
    ):
        await world.admit(lead, push.config_digest)


async def test_a8_a_policy_file_that_became_stricter_counts_when_a_hook_fires(world: PushWorld) -> None:
    push = await world.push()
    strict = parse_policy({"trust-domain": {"demo": {"permissions": ["generic"], "self-admitted": []}}})
    world.policies._from_file = strict
    with pytest.raises(RefusedError, match="is not admitted for generic at level 3"):
        await world.trigger(await world.user("people/robin"), payload_of(push), hook_of(push))


async def test_a8_a_policy_that_is_as_wide_withdraws_nothing(world: PushWorld) -> None:
    await world.push()
    assert await world.policies.put(await world.access.caller(), "demo", NIGHTLY, NOW) == ()
    assert await world.policies.remove(await world.access.caller(), "demo", NOW) == ()
