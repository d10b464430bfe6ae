"""Whoever may trigger an action's hook still cannot make it act on anything but the recorded push that offered it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.actions.hook_definition import action_hook
from liftlock.domain.actions.naming import ActionHookName, short_of
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.hooks.definition import define_hook
from liftlock.domain.pushes.push import Push
from liftlock.errors import ConflictError, InputValidationError, LiftlockError, NotFoundError, RefusedError
from liftlock.ports.envelope import Envelope
from liftlock.ports.hook_store import PutHook
from liftlock.services.simulate_hook import SimulateHook
from push_world import CONFIG, CREATE, PROMOTION, ROLE, PushWorld, digest_of, hook_of, payload_of

FOREIGN = "https://github.com/mallory/widget"


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> PushWorld:
    return await PushWorld.make(engine, tmp_path)


@pytest.fixture
async def push(world: PushWorld) -> Push:
    return await world.push()


@pytest.fixture
async def mallory(world: PushWorld) -> Credentials:
    return await world.user("people/mallory")


async def refused(world: PushWorld, who: Credentials, payload: Any, name: ActionHookName) -> LiftlockError:
    """Return the refusal, which must have created nothing and left a record of the attempt."""
    before = await world.tasks.tasks_of_group(payload["decision"]["action"]["taskGroupId"], 0, 100)
    with pytest.raises(RefusedError) as caught:
        await world.trigger(who, payload, name)
    assert await world.tasks.tasks_of_group(payload["decision"]["action"]["taskGroupId"], 0, 100) == before
    fires = await world.fires(name)
    assert fires[0].result == "error"
    assert fires[0].actor == who.client_id
    return caught.value


async def test_what_the_recorded_push_offers_runs_with_scopes_that_who_asks_lacks(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    """Without this, every refusal below would prove nothing."""
    fired = await world.trigger(mallory, payload_of(push), hook_of(push))
    [task] = await world.tasks.stored([fired.task_id])
    assert task.document["scopes"] == [f"assume:{ROLE}:action:generic"]
    assert task.document["taskGroupId"] == push.task_id
    assert task.document["metadata"]["name"] == "Action: Retrigger"


@pytest.mark.parametrize(
    ("rule", "forged"),
    [
        ("revision", {"decision__push__revision": "f" * 40}),
        ("repository", {"decision__repository__url": FOREIGN}),
        ("base-repository", {"decision__repository__base_url": FOREIGN}),
        ("project", {"decision__repository__project": "gadget"}),
        ("level", {"decision__repository__level": "1"}),
        ("owner", {"decision__push__owner": "boss@example.org"}),
        ("pushlog-id", {"decision__push__pushlog_id": "2"}),
        ("branch", {"decision__push__branch": "dev"}),
        ("base-branch", {"decision__push__base_branch": "nowhere"}),
        ("base-revision", {"decision__push__base_revision": "f" * 40}),
    ],
)
async def test_forged_words_about_the_push_are_refused(
    world: PushWorld, push: Push, mallory: Credentials, rule: str, forged: dict[str, Any]
) -> None:
    error = await refused(world, mallory, payload_of(push, **forged), hook_of(push))
    assert error.details["rule"] == rule


async def test_a_foreign_revision_that_the_mirror_happens_to_hold_is_refused(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    foreign = world.repository.commit_to("private", CONFIG)
    error = await refused(world, mallory, payload_of(push, decision__push__revision=foreign), hook_of(push))
    assert error.details["rule"] == "revision"


async def test_an_earlier_revision_of_the_same_project_is_refused(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    later = await world.push()
    forged = payload_of(later, decision__push__revision=push.revision)
    assert (await refused(world, mallory, forged, hook_of(later))).details["rule"] == "revision"


async def test_a_base_revision_from_outside_the_pushs_history_is_refused(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    later = await world.push()
    sideways = world.repository.commit_to("private", CONFIG)
    forged = payload_of(later, decision__push__base_revision=sideways)
    assert (await refused(world, mallory, forged, hook_of(later))).details["rule"] == "base-revision"
    allowed = payload_of(later, decision__push__base_revision="0" * 40)
    assert (await world.trigger(mallory, allowed, hook_of(later))).status is not None


async def test_another_projects_group_does_not_lend_its_record(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    await world.access.make_role("repo:github.com/demo/gadget:branch:main", *CREATE)
    await world.register(name="gadget", level=1)
    other = await world.observe_content("gadget", CONFIG)
    assert other.decision == "started"
    mixed = payload_of(push, decision__action__taskGroupId=other.task_id, user__taskGroupId=other.task_id)
    assert (await refused(world, mallory, mixed, hook_of(push))).details["rule"] == "repository"
    theirs = payload_of(other)
    assert (await refused(world, mallory, theirs, hook_of(push))).details["rule"] == "hook-level"


async def test_a_group_that_no_recorded_push_started_is_refused(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    own = await world.make_task()
    forged = payload_of(push, decision__action__taskGroupId=own, user__taskGroupId=own)
    assert (await refused(world, mallory, forged, hook_of(push))).details["rule"] == "decision"


async def test_a_group_within_the_payload_that_differs_is_refused(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    later = await world.push()
    forged = payload_of(push, user__taskGroupId=later.task_id)
    assert (await refused(world, mallory, forged, hook_of(push))).details["rule"] == "group"


async def test_a_task_of_another_group_is_no_member_whatever_the_payload_says(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    foreign, member = await world.make_task(), await world.make_task(push.task_id, 901)
    for task in (foreign, "fN1SbArXTPSVFNUvaOlinQ"):
        error = await refused(world, mallory, payload_of(push, task), hook_of(push))
        assert error.details["rule"] == "task"
    assert (await world.trigger(mallory, payload_of(push, member), hook_of(push))).status is not None


async def test_an_actions_json_that_names_a_hook_of_higher_permission_is_refused_until_it_is_admitted(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    error = await refused(world, mallory, payload_of(push), hook_of(push, PROMOTION))
    assert error.details["rule"] == "admission"
    assert f"pushes:admit-hooks:3:{PROMOTION}" in error.message


async def test_an_actions_json_that_names_a_hook_which_its_repository_may_not_offer_is_refused(
    engine: Engine, tmp_path: Path
) -> None:
    world = await PushWorld.make(engine, tmp_path)
    await world.access.make_role(f"{ROLE}:branch:dev", *CREATE)
    await world.access.roles.update(
        await world.access.caller(),
        f"{ROLE}:branch:main",
        "",
        (*CREATE, "in-tree:hook-action:project-demo/none"),
        NOW,
    )
    push = await world.push()
    error = await refused(world, await world.user("people/mallory"), payload_of(push), hook_of(push))
    assert error.details["rule"] == "offer"
    assert hook_of(push).scope in error.message


async def test_a_hook_of_another_content_does_not_act_for_this_push(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    later = await world.push(CONFIG + "changed")
    assert later.config_digest != push.config_digest
    for about, hook in ((later, hook_of(push)), (push, hook_of(later))):
        assert (await refused(world, mallory, payload_of(about), hook)).details["rule"] == "content"


async def test_a_level_cannot_be_raised_by_naming_the_hook_of_a_higher_level(
    engine: Engine, tmp_path: Path
) -> None:
    """Both levels have hooks of one content; the lower level's push names the higher level's hook."""
    world = await PushWorld.make(engine, tmp_path)
    await world.push()
    await world.access.make_role("repo:github.com/demo/try:branch:main", *CREATE, "in-tree:hook-action:*")
    await world.register(name="try", level=1)
    low = await world.observe_content("try", CONFIG)
    mallory = await world.user("people/mallory")
    high = ActionHookName("demo", 3, "generic", short_of(digest_of(CONFIG)))
    error = await refused(world, mallory, payload_of(low), high)
    assert error.details["rule"] == "hook-level"
    error = await refused(world, mallory, payload_of(low, decision__repository__level="3"), high)
    assert error.details["rule"] == "level"


async def test_a_project_that_is_registered_anew_lends_its_new_level_to_no_old_push(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    caller = await world.access.caller()
    changed = msgspec.structs.replace(await world.projects.get(caller, "widget"), level=1)
    await world.projects.update(caller, changed, NOW)
    error = await refused(world, mallory, payload_of(push), hook_of(push))
    assert error.details["rule"] == "registration"


async def test_a_payload_without_decision_fires_nothing(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    for payload in ({}, {"user": {}}, {"decision": {}}, None, "text", []):
        with pytest.raises(InputValidationError):
            await world.trigger(mallory, payload, hook_of(push))


async def test_the_guard_alone_refuses_a_payload_without_decision(world: PushWorld, push: Push) -> None:
    """Whatever the trigger schema would let through."""
    name = hook_of(push)
    hook = await world.hook_store.hook(name.group_id, name.hook_id)
    assert hook is not None
    caller = await world.access.caller()
    for payload in ({}, None, "text", {"decision": {"action": {"taskGroupId": push.task_id}}}):
        refusal = await world.guard.check(hook, payload, caller)
        assert refusal is not None
        assert refusal.rule == "payload"


async def test_by_token_the_same_rules_hold(world: PushWorld, push: Push) -> None:
    name = hook_of(push)
    token = await world.hooks.token(await world.access.caller(), name.group_id, name.hook_id, NOW)
    anonymous = await world.access.caller(None)
    forged = payload_of(push, decision__push__revision="f" * 40)
    with pytest.raises(RefusedError) as caught:
        await world.fire.by_token(anonymous, name.group_id, name.hook_id, token, forged, NOW)
    assert caught.value.details["rule"] == "revision"


async def test_a_managed_hook_that_was_altered_does_not_fire(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    name = hook_of(push)
    changed = action_hook(name, {"metadata": {}}, digest_of(CONFIG), input_schema=None)
    record = world.hooks.record_of(define_hook(name.group_id, name.hook_id, changed), NOW, managed=True)
    await world.hook_store.commit(Envelope(NOW, records=(PutHook(record),)))
    assert (await refused(world, mallory, payload_of(push), name)).details["rule"] == "admission"


async def test_root_cannot_edit_a_managed_hook_by_the_api(world: PushWorld, push: Push) -> None:
    name = hook_of(push)
    hook = await world.hook_store.hook(name.group_id, name.hook_id)
    assert hook is not None
    caller = await world.access.caller()
    with pytest.raises(ConflictError, match="is managed"):
        await world.hooks.update(caller, name.group_id, name.hook_id, hook.document, NOW)
    with pytest.raises(ConflictError, match="is managed"):
        await world.hooks.remove(caller, name.group_id, name.hook_id, NOW)


async def test_a_hook_for_a_hash_that_no_push_brought_does_not_exist(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    with pytest.raises(NotFoundError):
        await world.trigger(mallory, payload_of(push), ActionHookName("demo", 3, "generic", "0" * 10))


async def test_the_permission_is_fixed_in_the_template_and_not_the_payloads(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    payload = payload_of(
        push, decision__action__cb_name="release-promotion", decision__action__name="release-promotion"
    )
    fired = await world.trigger(mallory, payload, hook_of(push))
    [task] = await world.tasks.stored([fired.task_id])
    assert task.document["scopes"] == [f"assume:{ROLE}:action:generic"]


@pytest.mark.parametrize(
    ("group", "hook"),
    [
        ("project-demo", "in-tree-pr-action-3-generic/0123456789"),
        ("project-demo", "in-tree-action-3-generic/made-by-hand"),
        ("other", "in-tree-action-3-generic/0123456789"),
    ],
)
async def test_a_managed_hook_of_a_name_that_liftlock_never_makes_does_not_fire(
    world: PushWorld, push: Push, group: str, hook: str
) -> None:
    wire = action_hook(hook_of(push), {}, digest_of(CONFIG), input_schema=None)
    record = world.hooks.record_of(define_hook(group, hook, wire), NOW, managed=True)
    refusal = await world.guard.check(record, payload_of(push), await world.access.caller())
    assert refusal is not None
    assert refusal.rule == "hook-name"


async def test_a_push_that_is_not_decided_yet_offers_nothing(world: PushWorld, push: Push) -> None:
    failed = await world.push(CONFIG.replace("branch:main", "branch:none"))
    assert failed.decision == "failed"
    name = hook_of(failed)
    record = await world.hook_store.hook(name.group_id, name.hook_id)
    assert record is not None
    refusal = await world.guard.check(record, payload_of(failed), await world.access.caller())
    assert refusal is not None
    assert refusal.rule == "decision"


async def test_a_simulated_fire_is_bound_as_a_real_one(
    world: PushWorld, push: Push, mallory: Credentials
) -> None:
    simulate = SimulateHook(world.hook_store, world.fire)
    name, caller = hook_of(push), await world.access.caller(mallory)
    forged = payload_of(push, decision__push__revision="f" * 40)
    found = await simulate(caller, name.group_id, name.hook_id, forged, NOW)
    assert found.task is None
    assert found.problem is not None
    assert "push.revision" in found.problem


@pytest.mark.parametrize("decision", ["pending", "none", "failed"])
async def test_a_push_without_a_started_decision_offers_nothing(
    world: PushWorld, push: Push, mallory: Credentials, decision: str
) -> None:
    """Nothing else differs from what runs: the task exists and has its scopes, but the record says it does not count."""

    def script() -> Script[None]:
        yield Sql("UPDATE push SET decision = $1 WHERE task_id = $2", (decision, push.task_id))

    await world.engine.write(script, None)
    error = await refused(world, mallory, payload_of(push), hook_of(push))
    assert error.details["rule"] == "decision"
