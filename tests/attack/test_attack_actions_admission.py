"""Content of `.taskcluster.yml` takes effect only where policy or another person admits exactly those bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from access_world import NOW
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.actions.naming import ActionHookName, short_of
from liftlock.domain.pushes.config_file import ConfigFile, parse_config
from liftlock.domain.pushes.push import Claim
from liftlock.errors import InputValidationError, NotFoundError, RefusedError, RequestArgumentsError
from liftlock.ports.envelope import Envelope
from liftlock.ports.push_store import Content
from push_world import CONFIG, CREATE, POLICY, PROMOTION, PushWorld, digest_of, hook_of, payload_of

DIGEST = digest_of(CONFIG)
MAY_ADMIT = f"pushes:admit-hooks:3:{PROMOTION}"


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> PushWorld:
    return await PushWorld.make(engine, tmp_path)


async def _audit(engine: Engine, action: str) -> list[tuple[Any, ...]]:
    def script() -> Script[list[tuple[Any, ...]]]:
        return (yield Sql("SELECT actor, verdict FROM audit WHERE action = $1 ORDER BY id", (action,)))

    return await engine.read(script)


async def test_somebody_else_admits_the_content_and_then_it_fires(world: PushWorld) -> None:
    """Without this, every refusal below would prove nothing."""
    push = await world.push()
    morgan = await world.user("people/morgan", MAY_ADMIT)
    admission = await world.admit(morgan, DIGEST)
    assert (admission.state, admission.by) == ("admitted", "people/morgan")
    manager = await world.user("people/manager")
    assert (await world.trigger(manager, payload_of(push), hook_of(push, PROMOTION))).status is not None
    assert await world.admit(morgan, DIGEST) == admission


async def test_the_hooks_exist_before_the_decision_task_can_offer_them(world: PushWorld) -> None:
    push = await world.push()
    for permission in ("generic", PROMOTION):
        name = hook_of(push, permission)
        hook = await world.hook_store.hook(name.group_id, name.hook_id)
        assert hook is not None
        assert hook.managed
    assert push.alerts == (
        f"{PROMOTION}: the content {DIGEST} waits until somebody other than the pusher admits it",
    )


@pytest.mark.parametrize(
    "client", ["people/robin", "robin", "login/ad|Example|robin@example.org", "people/robin-admin"]
)
async def test_the_pusher_does_not_admit_own_content_under_any_known_name(
    world: PushWorld, client: str
) -> None:
    await world.push()
    robin = await world.user(client, MAY_ADMIT)
    with pytest.raises(RefusedError, match=r"pushed this content .*somebody else has to admit it"):
        await world.admit(robin, DIGEST)
    found = await world.store.admission("demo", 3, PROMOTION, DIGEST)
    assert found is not None
    assert found.state == "waiting"
    assert await _audit(world.engine, "pushes.admitHooks") == [(client, "refused")]


async def test_who_claims_another_pushers_name_is_still_the_author(world: PushWorld) -> None:
    revision = world.repository.commit_to("main", CONFIG)
    push = await world.observe(Claim(branch="main", revision=revision, pusher="somebody-else"))
    assert push.owner == "somebody-else"
    with pytest.raises(RefusedError, match="pushed this content"):
        await world.admit(await world.user("people/robin", MAY_ADMIT), DIGEST)


async def test_who_pushed_the_content_second_does_not_admit_it_either(world: PushWorld) -> None:
    await world.push(author=("Robin", "robin@example.org"))
    await world.push(author=("Sam", "sam@example.org"))
    with pytest.raises(RefusedError, match="push 2 of widget"):
        await world.admit(await world.user("people/sam", MAY_ADMIT), DIGEST)


@pytest.mark.parametrize("scope", ["pushes:admit-hooks:1:release-promotion", "pushes:admit-hooks:3:generic"])
async def test_a_right_to_admit_holds_for_its_own_level_and_permission(world: PushWorld, scope: str) -> None:
    await world.push()
    with pytest.raises(RefusedError, match=MAY_ADMIT):
        await world.admit(await world.user("people/morgan", scope), DIGEST)


@pytest.mark.parametrize("digest", [DIGEST[:10], DIGEST.upper(), DIGEST + "0", ""])
async def test_only_a_full_digest_admits(world: PushWorld, digest: str) -> None:
    await world.push()
    with pytest.raises(RequestArgumentsError, match="the full sha256"):
        await world.admit(await world.user("people/morgan", MAY_ADMIT), digest)


async def test_content_that_nobody_pushed_cannot_be_admitted_in_advance(world: PushWorld) -> None:
    with pytest.raises(NotFoundError, match="no push of demo at level 3 brought the content"):
        await world.admit(await world.user("people/morgan", MAY_ADMIT), DIGEST)


async def test_content_of_a_lower_level_is_not_admitted_at_a_higher_one(world: PushWorld) -> None:
    await world.access.make_role("repo:github.com/demo/try:branch:main", *CREATE)
    await world.register(name="try", level=1)
    await world.observe_content("try", CONFIG)
    assert await world.store.admission("demo", 1, "generic", DIGEST) is not None
    assert await world.store.admission("demo", 3, "generic", DIGEST) is None
    with pytest.raises(NotFoundError):
        await world.admit(await world.user("people/morgan", MAY_ADMIT), DIGEST)


async def test_other_content_under_the_same_ten_digits_brings_no_hooks_and_raises_an_alert(
    world: PushWorld,
) -> None:
    """Finding two contents with one short name takes 2^20 attempts; here the first one is put there."""
    owner = Content(
        trust_domain="demo",
        level=3,
        short=short_of(DIGEST),
        digest=DIGEST[:10] + "f" * 54,
        project="w",
        push_id=1,
        at=NOW,
    )
    await world.store.own_short_name(owner, Envelope(NOW))
    push = await world.push()
    assert push.decision == "started"
    [alert] = push.alerts
    assert alert.startswith(f"ALERT: the content {DIGEST} has the short name {DIGEST[:10]} of another one")
    assert await _audit(world.engine, "pushes.bringHooks") == [("liftlock/hooks", "refused")]
    name = hook_of(push)
    assert await world.hook_store.hook(name.group_id, name.hook_id) is None
    assert await world.store.admission("demo", 3, "generic", DIGEST) is None


async def test_a_collision_after_the_hook_exists_does_not_replace_it_or_fire_it(world: PushWorld) -> None:
    """The innocent content was first: its hook stays as it is, and refuses the other content's push."""
    first = await world.push()
    name = hook_of(first)
    before = await world.hook_store.hook(name.group_id, name.hook_id)
    evil = CONFIG + "evil"
    push = await world.push(None)
    file = file_under(evil, DIGEST[:10] + "e" * 54)
    [alert] = await world.admit_hooks.bring(push, file, NOW)
    assert alert.startswith("ALERT")
    assert await world.hook_store.hook(name.group_id, name.hook_id) == before
    await world.store.note_content("widget", push.id, file.digest, (), Envelope(NOW))
    forged = payload_of(push)
    with pytest.raises(RefusedError) as caught:
        await world.trigger(
            await world.user("people/mallory"), forged, ActionHookName("demo", 3, "generic", DIGEST[:10])
        )
    assert caught.value.details["rule"] in {"decision", "content"}


def file_under(content: str, digest: str) -> ConfigFile:
    """Return the parsed content under a digest of our choice: what a found collision would look like."""
    return ConfigFile(parse_config(content.encode()).document, digest)


async def test_policy_that_withdraws_generic_leaves_it_waiting(engine: Engine, tmp_path: Path) -> None:
    policy = {"trust-domain": {"demo": {"permissions": ["generic"], "self-admitted": []}}}
    world = await PushWorld.make(engine, tmp_path, policy=policy)
    push = await world.push()
    with pytest.raises(RefusedError) as caught:
        await world.trigger(await world.user("people/sam"), payload_of(push), hook_of(push))
    assert caught.value.details["rule"] == "admission"


async def test_a_permission_that_policy_does_not_name_has_no_hook(engine: Engine, tmp_path: Path) -> None:
    world = await PushWorld.make(engine, tmp_path, policy={})
    push = await world.push()
    name = hook_of(push, PROMOTION)
    assert await world.hook_store.hook(name.group_id, name.hook_id) is None
    assert push.alerts == ()


async def test_configuration_limits_the_input_on_the_server_too(engine: Engine, tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["version"]}
    domain = {"permissions": ["generic"], "input-schema": {"generic": schema}}
    world = await PushWorld.make(engine, tmp_path, policy={"trust-domain": {"demo": domain}})
    push = await world.push()
    sam = await world.user("people/sam")
    with pytest.raises(InputValidationError, match="version"):
        await world.trigger(sam, payload_of(push), hook_of(push))
    good = payload_of(push, user__input={"version": "1"})
    assert (await world.trigger(sam, good, hook_of(push))).status is not None


async def test_a_forged_author_and_pusher_do_not_admit_where_policy_wants_proof(
    engine: Engine, tmp_path: Path
) -> None:
    world = await PushWorld.make(engine, tmp_path, policy=POLICY | {"proven-pushers-only": True})
    forged = world.repository.commit_to("main", CONFIG, author=("Alice", "alice@example.org"))
    await world.observe(Claim(branch="main", revision=forged, pusher="alice"))
    mallory = await world.user("people/mallory", MAY_ADMIT)
    with pytest.raises(RefusedError, match=r"is only claimed \(alice\).*proven-pushers-only"):
        await world.admit(mallory, DIGEST)
    assert await _audit(world.engine, "pushes.admitHooks") == [("people/mallory", "refused")]


async def test_where_the_host_vouches_for_the_pusher_somebody_else_admits(
    engine: Engine, tmp_path: Path
) -> None:
    world = await PushWorld.make(engine, tmp_path, policy=POLICY | {"proven-pushers-only": True})
    revision = world.repository.commit_to("main", CONFIG)
    await world.observe(Claim(branch="main", revision=revision, pusher="robin", authenticated=True))
    admission = await world.admit(await world.user("people/morgan", MAY_ADMIT), DIGEST)
    assert admission.state == "admitted"
