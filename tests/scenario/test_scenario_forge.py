"""From a webhook to what the forge is told: commands, checks, pull requests, with every failure on the way."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from forge_world import AT, HEAD, REPOSITORY, STRANGER, ForgeWorld, comment, pull, told
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.tasks.lifecycle import Claim, Report
from liftlock.errors import RefusedError
from liftlock.ports.envelope import Envelope
from liftlock.ports.forge import ForgeUnavailableError
from liftlock.ports.push_store import PushQuery
from liftlock.services.answer_forge import FIRST_DELAY, MAX_ATTEMPTS, MAX_PATCH
from liftlock.values.instants import to_ms
from push_world import CONFIG, CREATE
from push_world import ROLE as REPO_ROLE

REQUEST = ("liftlock:request:format-widget", "liftlock:cancel:format-widget")
PULL_CONFIG = CONFIG.replace("branch:main'", "pull-request'").replace(
    "${push.owner}", "${event.pull_request.user.login}"
)


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> ForgeWorld:
    made = ForgeWorld(engine, tmp_path)
    await made.pushes.register()
    made.forge.open()
    return made


def texts(world: ForgeWorld) -> list[str]:
    return [text for _, text in world.forge.comments.values()]


async def outcomes(world: ForgeWorld) -> list[str]:
    def script() -> Script[list[str]]:
        return [row[0] for row in (yield Sql("SELECT outcome FROM forge_work ORDER BY id"))]

    return await world.engine.read(script)


async def test_a_command_is_received_started_and_its_result_told(world: ForgeWorld) -> None:
    await world.allow(*REQUEST)
    assert (
        await world.send("issue_comment", comment("Please\n\n/liftlock format line_length=99")) == "accepted"
    )
    assert world.forge.reactions == []  # nothing is done while the webhook is answered
    await world.answer.step()
    assert world.forge.reactions == [31]
    await world.answer.step()
    [(client, asked)] = world.desk.asked
    assert (client, asked.operation, asked.ref, asked.revision) == (
        "people/robin",
        "format-widget",
        "topic",
        HEAD,
    )
    assert (asked.given, asked.key) == ({"line_length": "99"}, "github/delivery-0000/command-0")
    assert texts(world) == [
        "started: [format-widget op-1](https://lift.example/operations/op-1) at 6dcb09b5b578"
    ]
    await world.answer.step()
    [check] = world.forge.checks.values()
    assert (check.external_id, check.head_revision, check.status) == ("op-1", HEAD, "in_progress")
    world.desk.move("op-1", "waiting")
    await world.answer.step()
    await world.answer.step()
    assert world.forge.checks[5000].status == "queued"
    world.desk.move("op-1", "done", ended=True, succeeded=True, why="1 file was committed")
    await world.answer.step()
    await world.answer.step()
    [check] = world.forge.checks.values()
    assert (check.status, check.conclusion, check.summary) == ("completed", "success", "1 file was committed")
    assert texts(world)[1] == "[format-widget op-1](https://lift.example/operations/op-1) succeeded"
    await world.answer.step()
    assert len(texts(world)) == 2


async def test_many_operations_of_one_pull_request_are_told_apart(world: ForgeWorld) -> None:
    await world.allow(*REQUEST, "liftlock:request:publish-widget")
    await world.send("issue_comment", comment("/liftlock format\n/liftlock publish"))
    await world.send("issue_comment", comment("/liftlock format"))
    for _ in range(3):
        await world.answer.step()
    assert [asked.operation for _, asked in world.desk.asked] == [
        "format-widget",
        "publish-widget",
        "format-widget",
    ]
    for at in (1, 2, 3):
        world.desk.move(f"op-{at}", "done" if at == 2 else "failed", ended=True, succeeded=at == 2)
    for _ in range(2):
        await world.answer.step()
    found = {check.external_id: check.conclusion for check in world.forge.checks.values()}
    assert found == {"op-1": "failure", "op-2": "success", "op-3": "failure"}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("/liftlock ping", "pong"),
        ("/liftlock help", "I understand these"),
        ("/liftlock update-deps", "`update-deps` is not configured for this repository."),
        ("/liftlock deploy", "`deploy` is no command"),
        (
            "/liftlock format",
            "`format` was not started: \n\n```text\nClient people/robin does not have the scopes",
        ),
        ("/liftlock retrigger", "There is nothing here to repeat."),
        ("/liftlock cancel", "Nothing runs here."),
    ],
)
async def test_every_command_is_answered(world: ForgeWorld, text: str, answer: str) -> None:
    await world.send("issue_comment", comment(text))
    for _ in range(2):
        await world.answer.step()
    assert [each.startswith(answer) for each in texts(world)] == [True], texts(world)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"is_open": False}, "This pull request is not open."),
        ({"head_repository": None}, "The fork that this pull request came from is gone."),
        ({"base_repository": 777}, "This pull request is not open."),
    ],
)
async def test_operations_act_on_open_branches_of_the_repository_alone(
    world: ForgeWorld, changes: dict[str, Any], answer: str
) -> None:
    await world.allow(*REQUEST)
    world.forge.open(**changes)
    await world.send("issue_comment", comment("/liftlock format"))
    for _ in range(2):
        await world.answer.step()
    assert texts(world)[0].startswith(answer)
    assert world.desk.asked == []


async def test_cancel_ends_what_runs_and_retrigger_repeats_the_last(world: ForgeWorld) -> None:
    await world.allow(*REQUEST)
    await world.send("issue_comment", comment("/liftlock format a=1"))
    for _ in range(2):
        await world.answer.step()
    await world.send("issue_comment", comment("/liftlock retrigger"))
    for _ in range(2):
        await world.answer.step()
    assert "has not ended yet: it is building" in texts(world)[-1]
    await world.send("issue_comment", comment("/liftlock cancel"))
    for _ in range(2):
        await world.answer.step()
    assert "- [op-1](https://lift.example/operations/op-1) is cancelled" in texts(world)
    await world.send("issue_comment", comment("/liftlock retrigger"))
    for _ in range(2):
        await world.answer.step()
    assert [asked.given for _, asked in world.desk.asked] == [{"a": "1"}, {"a": "1"}]


async def test_a_check_that_is_asked_for_again_is_matched_and_repeats_its_operation(
    world: ForgeWorld,
) -> None:
    await world.allow(*REQUEST)
    await world.send("issue_comment", comment("/liftlock format"))
    for _ in range(3):
        await world.answer.step()
    world.desk.move("op-1", "failed", ended=True)
    run = {"id": 5000, "head_sha": HEAD, "app": {"id": 4711}, "external_id": "op-1", "started_at": AT}
    assert await world.send("check_run", told(action="rerequested", check_run=run)) == "accepted"
    for _ in range(2):
        await world.answer.step()
    assert len(world.desk.asked) == 2


async def test_what_fails_is_tried_again_later_and_done_once(world: ForgeWorld) -> None:
    await world.allow(*REQUEST)
    await world.send("issue_comment", comment("/liftlock format"))
    world.forge.failures = [ForgeUnavailableError("down", again=True) for _ in range(2)]
    await world.answer.step()
    await world.answer.step()
    assert (world.forge.reactions, world.desk.asked) == ([], [])
    world.pushes.clock.instant += FIRST_DELAY
    for _ in range(3):
        await world.answer.step()
    assert world.forge.reactions == [31]
    assert len(world.desk.asked) == 1
    assert len(world.forge.checks) == 1


async def test_what_never_works_is_given_up(world: ForgeWorld) -> None:
    await world.send("issue_comment", comment("/liftlock ping"))
    world.forge.failures = [ForgeUnavailableError("gone", again=False)]
    await world.answer.step()
    assert "given up: ForgeUnavailable: gone" in await outcomes(world)
    world.forge.failures = [ForgeUnavailableError("down", again=True) for _ in range(2 * MAX_ATTEMPTS)]
    await world.send("issue_comment", comment("/liftlock ping"))
    for _ in range(MAX_ATTEMPTS):
        await world.answer.step()
        world.pushes.clock.instant += timedelta(hours=1)
    assert "given up: ForgeUnavailable: down" in await outcomes(world)


async def test_a_push_rings_and_liftlock_observes_for_itself(world: ForgeWorld) -> None:
    revision = world.pushes.repository.commit_to("main", None)
    said = told(ref="refs/heads/main", after=revision)
    assert await world.send("push", said) == "accepted"
    await world.pushes.watch.step()
    await world.pushes.watch.settle()
    [push] = await world.pushes.store.pushes("widget", PushQuery())
    assert (push.revision, push.owner, push.owner_standing) == (revision, "robin", "authenticated")
    assert (await world.send("push", told(ref="refs/tags/v1", after=revision))).startswith("ignored")


async def decided(world: ForgeWorld, policy: str | None, association: str) -> tuple[str, str]:
    """Return decision and reason for a pull request of such an author, under the policy of the trusted branch."""
    stated = "" if policy is None else f"policy: {{pullRequests: {policy}}}\n"
    await world.pushes.push(stated + CONFIG)
    head = world.pushes.repository.commit_to("topic", "policy: {pullRequests: public}\n" + PULL_CONFIG)
    world.pushes.repository.pulls[7] = head
    for role in ("pull-request", "pull-request-untrusted"):
        await world.pushes.access.make_role(
            f"{REPO_ROLE}:{role}", *CREATE, "assume:repo:github.com/demo/widget:pull-request"
        )
    await world.send("pull_request", pull(revision=head, association=association))
    await world.answer.step()
    found = await world.store.pull_decision(REPOSITORY, 7)
    assert found is not None
    return found.decision, found.reason


@pytest.mark.parametrize(
    ("policy", "association", "decision"),
    [
        ("public", "NONE", "started"),
        ("public_restricted", "NONE", "started"),
        ("collaborators", "COLLABORATOR", "started"),
        ("collaborators", "CONTRIBUTOR", "refused"),
        ("collaborators_quiet", "NONE", "refused"),
        (None, "NONE", "refused"),
        (None, "OWNER", "started"),
        ("everybody", "OWNER", "refused"),
    ],
)
async def test_the_trusted_branch_says_whose_pull_requests_start_tasks(
    world: ForgeWorld, policy: str | None, association: str, decision: str
) -> None:
    assert (await decided(world, policy, association))[0] == decision
    await world.answer.step()
    told_so = decision == "refused" and policy in (None, "collaborators")
    assert texts(world) == (
        ["Nothing was started for this pull request: only collaborators' pull requests start tasks here."]
        if told_so
        else []
    )


async def test_a_pull_requests_task_is_made_once_of_level_one_and_with_its_own_role(
    world: ForgeWorld,
) -> None:
    await decided(world, "public_restricted", "NONE")
    found = await world.store.pull_decision(REPOSITORY, 7)
    assert found is not None
    [task] = await world.pushes.tasks.stored([found.task_id])
    assert task.document["metadata"]["owner"] == "mal___rm_-rf__"
    assert task.document["scopes"] == ["assume:repo:github.com/demo/widget:pull-request"]
    await world.send("pull_request", pull(revision=found.revision, association="NONE", action="reopened"))
    await world.answer.step()
    assert await world.store.pull_decision(REPOSITORY, 7) == found
    await world.send("pull_request", pull(revision="e" * 40, association="NONE", action="synchronize"))
    await world.answer.step()
    assert f"the pull request is at {found.revision} meanwhile, and that is told by itself" in await outcomes(
        world
    )


async def test_a_stranger_gets_no_answer_and_leaves_a_trace(world: ForgeWorld) -> None:
    with pytest.raises(RefusedError, match="sender 666 is nobody whom the settings know"):
        await world.send("issue_comment", comment("/liftlock publish", sender=STRANGER))
    await world.answer.step()
    assert (world.forge.reactions, texts(world), await outcomes(world)) == ([], [], [])
    assert await world.audit() == [("github/666", f"forge/github/{REPOSITORY}", "refused")]


async def resolve(world: ForgeWorld, task_id: str, how: Literal["completed", "failed"]) -> None:
    tasks, now = world.pushes.tasks, world.pushes.clock.now()
    later = to_ms(now + timedelta(minutes=10))
    await tasks.transition(task_id, Claim("local", "w", later), Envelope(now))
    await tasks.transition(task_id, Report(0, how, how), Envelope(now))


async def test_a_pull_requests_decision_task_is_a_check_on_its_head(world: ForgeWorld) -> None:
    await decided(world, "public", "NONE")
    found = await world.store.pull_decision(REPOSITORY, 7)
    assert found is not None
    for _ in range(2):
        await world.answer.step()
    [check] = world.forge.checks.values()
    assert (check.external_id, check.head_revision) == (found.task_id, found.revision)
    assert (check.name, check.status, check.conclusion) == ("liftlock: decision", "in_progress", None)
    assert check.url == f"https://lift.example/tasks/groups/{found.task_id}"
    await resolve(world, found.task_id, "failed")
    for _ in range(2):
        await world.answer.step()
    [check] = world.forge.checks.values()
    assert (check.status, check.conclusion, check.summary) == (
        "completed",
        "failure",
        "the decision task is failed: failed",
    )
    assert texts(world) == [], "a check is enough"
    await world.send("issue_comment", comment("/liftlock cancel"))
    await world.answer.step()
    await world.answer.step()
    assert texts(world) == ["Nothing runs here."], "a decision task is no operation"


async def test_a_pushs_decision_task_is_a_check_on_what_was_pushed_and_only_once(world: ForgeWorld) -> None:
    await world.pushes.access.make_role(f"{REPO_ROLE}:branch:main", *CREATE)
    push = await world.pushes.push(CONFIG)
    for _ in range(3):
        await world.answer.step()
    [check] = world.forge.checks.values()
    assert (check.external_id, check.head_revision) == (push.task_id, push.revision)
    await resolve(world, push.task_id, "completed")
    second = await world.pushes.push(CONFIG)
    for _ in range(3):
        await world.answer.step()
    found = {check.external_id: check.conclusion for check in world.forge.checks.values()}
    assert found == {push.task_id: "success", second.task_id: None}
    world.pushes.clock.instant += timedelta(hours=2)
    other = ForgeWorld(world.engine, world.directory)
    other.pushes.clock.instant = world.pushes.clock.now()
    await other.answer.step()
    assert other.forge.checks == {}, "what was pushed long ago is not told again after a start"


async def test_a_decision_tasks_check_that_is_asked_for_again_repeats_nothing(world: ForgeWorld) -> None:
    await decided(world, "public", "NONE")
    for _ in range(2):
        await world.answer.step()
    [(number, check)] = world.forge.checks.items()
    run = {"id": number, "head_sha": check.head_revision, "app": {"id": 4711}, "started_at": AT}
    said = await world.send(
        "check_run", told(action="rerequested", check_run=run | {"external_id": check.external_id})
    )
    assert said == "ignored: a decision task is not repeated by its check"


@pytest.mark.parametrize("text", ["+x = 1\n", "+```\n+````sh\n@mallory look\n"])
async def test_a_pull_request_from_a_fork_gets_its_patch_as_a_comment(world: ForgeWorld, text: str) -> None:
    await world.allow(*REQUEST)
    world.forge.open(head_repository=777, head_ref="main")
    await world.send("issue_comment", comment("/liftlock format"))
    for _ in range(2):
        await world.answer.step()
    [(_, asked)] = world.desk.asked
    assert (asked.ref, asked.revision) == ("refs/pull/7/head", HEAD), (
        "never a branch of ours of the same name"
    )
    world.desk.patches["op-1"] = text
    world.desk.move("op-1", "done", ended=True, succeeded=True)
    for _ in range(2):
        await world.answer.step()
    said = texts(world)[-1]
    fence = "`````" if "```" in text else "```"
    assert said.endswith(f"this is the patch, for `git am`:\n\n{fence}diff\n{text}{fence}")
    assert said.count(fence) == 2, "nothing in the patch ends its block"


async def test_a_patch_that_is_too_long_is_named_and_not_shown(world: ForgeWorld) -> None:
    await world.allow(*REQUEST)
    world.forge.open(head_repository=777)
    await world.send("issue_comment", comment("/liftlock format"))
    for _ in range(2):
        await world.answer.step()
    world.desk.patches["op-1"] = "+" * (MAX_PATCH + 1)
    world.desk.move("op-1", "done", ended=True, succeeded=True)
    for _ in range(2):
        await world.answer.step()
    assert "too long for a comment: it is an artifact of stage 2" in texts(world)[-1]
