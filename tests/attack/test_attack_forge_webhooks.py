"""Nobody makes liftlock act by a webhook who is not the forge, or by one that is not meant for it."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forge_world import (
    APP,
    HEAD,
    INSTALLATION,
    REPOSITORY,
    ROBIN,
    SECRET,
    STRANGER,
    ForgeWorld,
    comment,
    pull,
    told,
)
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.errors import AuthenticationFailedError, ConflictError, MalformedPayloadError, RefusedError
from liftlock.ports.push_store import PushQuery
from liftlock.services.receive_webhook import KEPT, MAX_AGE, WebhookHeaders
from liftlock.values.instants import to_ms

FORMAT = comment("/liftlock format")


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> ForgeWorld:
    made = ForgeWorld(engine, tmp_path)
    await made.pushes.register()
    await made.allow("liftlock:request:format-widget")
    made.forge.open()
    return made


async def rows(world: ForgeWorld, table: str) -> int:
    def script() -> Script[int]:
        return int((yield Sql(f"SELECT count(*) FROM {table}"))[0][0])

    return await world.engine.read(script)


async def nothing_follows(world: ForgeWorld) -> None:
    for _ in range(3):
        await world.answer.step()
    assert (world.desk.asked, world.forge.comments, world.forge.reactions, world.forge.checks) == (
        [],
        {},
        [],
        {},
    )


async def test_a_webhook_signed_with_another_secret_is_not_read(world: ForgeWorld) -> None:
    with pytest.raises(AuthenticationFailedError, match="the signature is not that of the body"):
        await world.send("issue_comment", FORMAT, secret=b"the webhook's secret of another app")
    for body in (b"no JSON at all", b"{}"):
        headers = WebhookHeaders(event="issue_comment", delivery="delivery-x", signature="sha256=" + "0" * 64)
        with pytest.raises(AuthenticationFailedError):
            await world.receive(headers, body, world.pushes.clock.now())
    assert (await rows(world, "forge_delivery"), await world.audit()) == (0, [])
    await nothing_follows(world)


async def test_a_signature_is_over_the_bytes_as_they_came(world: ForgeWorld) -> None:
    body = json.dumps(FORMAT).encode()
    signature = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    same_meaning = json.dumps(FORMAT, indent=1).encode()
    headers = WebhookHeaders(event="issue_comment", delivery="delivery-x", signature=signature)
    with pytest.raises(AuthenticationFailedError):
        await world.receive(headers, same_meaning, world.pushes.clock.now())


async def test_a_replayed_delivery_is_refused(world: ForgeWorld) -> None:
    await world.send("issue_comment", FORMAT, delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    with pytest.raises(ConflictError, match="72d3162e-cc78-11e3-81ab-4c9367dc0958: it was received before"):
        await world.send("issue_comment", FORMAT, delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958")
    for _ in range(3):
        await world.answer.step()
    assert len(world.desk.asked) == 1


async def test_a_replayed_delivery_is_refused_by_another_control_plane_too(
    world: ForgeWorld, tmp_path: Path
) -> None:
    await world.send("issue_comment", FORMAT, delivery="delivery-once")
    other = ForgeWorld(world.engine, tmp_path)
    with pytest.raises(ConflictError, match="it was received before"):
        await other.send("issue_comment", FORMAT, delivery="delivery-once")


async def test_a_replayed_delivery_with_other_contents_is_refused(world: ForgeWorld) -> None:
    await world.send("issue_comment", comment("thanks"), delivery="delivery-once")
    with pytest.raises(ConflictError):
        await world.send("issue_comment", FORMAT, delivery="delivery-once")
    await nothing_follows(world)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"installation": {"id": INSTALLATION + 1}}, "installation 100 is not that of repository 1296269"),
        (
            {"repository": {"id": REPOSITORY + 1, "full_name": "octocat/Hello-World"}},
            "repository 1296270 is not configured",
        ),
    ],
)
async def test_an_event_for_another_installation_is_refused(
    world: ForgeWorld, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(RefusedError, match=said):
        await world.send("issue_comment", FORMAT | change)
    assert [verdict for _, _, verdict in await world.audit()] == ["refused"]
    await nothing_follows(world)


async def test_an_event_for_another_app_is_refused(world: ForgeWorld) -> None:
    with pytest.raises(RefusedError, match="it is for the app '4712'"):
        await world.send("issue_comment", FORMAT, target=str(APP + 1))
    await nothing_follows(world)


async def test_a_name_counts_for_nothing_where_the_number_is_another(world: ForgeWorld) -> None:
    forged = comment("/liftlock format", sender=STRANGER)
    forged["sender"]["login"] = forged["comment"]["user"]["login"] = "robin"
    with pytest.raises(RefusedError, match="sender 666 is nobody whom the settings know"):
        await world.send("issue_comment", forged)
    await nothing_follows(world)


async def test_a_comment_that_somebody_else_sends_is_refused(world: ForgeWorld) -> None:
    forged = comment("/liftlock format", sender=STRANGER)
    forged["sender"]["id"] = ROBIN
    with pytest.raises(RefusedError, match="sender 1 is not who wrote the comment"):
        await world.send("issue_comment", forged)


async def test_a_comment_that_was_edited_into_a_command_is_not_run(world: ForgeWorld) -> None:
    assert (await world.send("issue_comment", FORMAT | {"action": "edited"})).startswith("ignored")
    await nothing_follows(world)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"app": {"id": 666}}, "check 5000 of app 666 names an operation, and only our own may"),
        ({"id": 5001}, "check 5001 is none that was made here"),
        ({"head_sha": "e" * 40}, "check 5000 is none that was made here"),
        ({"external_id": "op-2"}, "check 5000 is none that was made here"),
        ({"external_id": None}, "check 5000 is none that was made here"),
    ],
)
async def test_a_forged_check_is_refused_whatever_its_name(
    world: ForgeWorld, change: dict[str, Any], said: str
) -> None:
    await world.send("issue_comment", FORMAT)
    for _ in range(3):
        await world.answer.step()
    world.desk.move("op-1", "failed", ended=True)
    name = world.forge.checks[5000].name
    run = {"id": 5000, "head_sha": HEAD, "app": {"id": APP}, "external_id": "op-1", "name": name} | change
    with pytest.raises(RefusedError, match=said):
        await world.send("check_run", told(action="rerequested", check_run=run))
    for _ in range(3):
        await world.answer.step()
    assert len(world.desk.asked) == 1


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (
            "2026-02-15T11:59:59Z",
            "it is of 2026-02-15 11:59, and something may follow from it for 14 days only",
        ),
        (None, "it is of an unknown time"),
        ("yesterday", "it is of an unknown time"),
    ],
)
async def test_a_delivery_that_was_forgotten_is_refused_by_its_age_when_it_is_replayed(
    world: ForgeWorld, at: str | None, said: str
) -> None:
    old = comment("/liftlock format", at=at)
    pulled = pull()
    pulled["pull_request"]["updated_at"] = at
    run = {"id": 5000, "head_sha": HEAD, "app": {"id": APP}, "external_id": "op-1", "completed_at": at}
    await world.send("issue_comment", FORMAT)
    for _ in range(3):
        await world.answer.step()
    for event, payload in (
        ("issue_comment", old),
        ("pull_request", pulled),
        ("check_run", told(action="rerequested", check_run=run)),
    ):
        with pytest.raises(RefusedError, match=said):
            await world.send(event, payload)
    assert len(world.desk.asked) == 1
    assert (await world.audit())[-3:] == [(f"github/{ROBIN}", f"forge/github/{REPOSITORY}", "refused")] * 3


async def test_a_delivery_is_remembered_until_it_is_too_old_to_be_believed(world: ForgeWorld) -> None:
    await world.send("issue_comment", FORMAT, delivery="delivery-once")
    for _ in range(3):
        await world.answer.step()
    assert KEPT > MAX_AGE
    for later in (MAX_AGE, KEPT - MAX_AGE):
        world.pushes.clock.instant += later
        assert await world.store.forget(to_ms(world.pushes.clock.now() - KEPT)) == 0
        with pytest.raises(ConflictError):
            await world.send("issue_comment", FORMAT, delivery="delivery-once")
    world.pushes.clock.instant += timedelta(seconds=1)
    assert await world.store.forget(to_ms(world.pushes.clock.now() - KEPT)) > 0
    assert await rows(world, "forge_delivery") == 0
    with pytest.raises(RefusedError, match="14 days only"):
        await world.send("issue_comment", FORMAT, delivery="delivery-once")
    assert len(world.desk.asked) == 1


async def test_a_check_of_another_app_that_says_success_changes_nothing(world: ForgeWorld) -> None:
    await world.send("issue_comment", FORMAT)
    for _ in range(3):
        await world.answer.step()
    run = {
        "id": 9,
        "head_sha": HEAD,
        "app": {"id": 666},
        "name": world.forge.checks[5000].name,
        "conclusion": "success",
    }
    assert (await world.send("check_run", told(action="completed", check_run=run))).startswith("ignored")
    assert world.desk.operations["op-1"].state == "building"
    assert world.forge.checks[5000].conclusion is None


async def test_a_pull_request_does_not_bring_its_own_policy(world: ForgeWorld) -> None:
    await world.pushes.push("version: 1\ntasks: []\npolicy: {pullRequests: collaborators}")
    head = world.pushes.repository.commit_to("topic", "version: 1\ntasks: []\npolicy: {pullRequests: public}")
    world.pushes.repository.pulls[7] = head
    await world.send("pull_request", pull(revision=head, association="NONE"))
    await world.answer.step()
    found = await world.store.pull_decision(REPOSITORY, 7)
    assert found is not None
    assert (found.decision, found.reason) == ("refused", "only collaborators' pull requests start tasks here")


async def test_a_pull_requests_head_is_no_push_that_operations_or_hooks_would_take(world: ForgeWorld) -> None:
    await world.pushes.push("version: 1\ntasks: []\npolicy: {pullRequests: public}")
    head = world.pushes.repository.commit_to("topic", "version: 1\ntasks: []")
    world.pushes.repository.pulls[7] = head
    await world.send("pull_request", pull(revision=head, association="NONE"))
    await world.answer.step()
    assert [each.branch for each in await world.pushes.store.pushes("widget", PushQuery())] == ["main"]


async def test_garbage_that_is_signed_is_an_error_and_nothing_else(world: ForgeWorld) -> None:
    for payload in ({}, {"sender": {"id": "1"}}, {"sender": None}):
        with pytest.raises(MalformedPayloadError, match="webhook 'issue_comment': expected JSON"):
            await world.send("issue_comment", payload)
    await nothing_follows(world)
