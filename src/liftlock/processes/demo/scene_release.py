"""The release manager: a controlled escalation, refused until it is admitted, well formed and asked for by the right person (A5, A10)."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.grants import HOOK_GROUP, LEVEL, RELEASE_SECRET, TRUST_DOMAIN
from liftlock.processes.demo.graph import Task
from liftlock.processes.demo.people import Person, refused
from liftlock.processes.demo.report import expect, expect_equal
from liftlock.processes.demo.scene_developer import action_task, created_by, run_action
from liftlock.processes.demo.stage import BUILD, PROMOTION, Stage, hook_payload

GOOD = {"version": "1.2.0", "channel": "release"}
BAD = {"version": "1.2", "channel": "release"}


def play(stage: Stage, manager: Person, developer: Person, pusher: Person) -> None:
    """Admit, refuse the wrong person and what is malformed, then release."""
    stage.say(
        "\nMorgan is the release manager, and holds scopes to trigger release promotion, not those that it uses."
    )
    with stage.report.check("consent"):
        _consent(stage, manager, pusher)
    stage.say("\nNow it is admitted. That changes nothing for Robin:")
    with stage.report.check("denied"):
        _deny(stage, developer)
    with stage.report.check("schema"):
        _schema(stage, manager)
    with stage.report.check("promote"):
        action = _promote(stage, manager)
        with stage.report.check("released"):
            _released(stage, action)
    with stage.report.check("fires"):
        _fires(stage, manager)


def _consent(stage: Stage, manager: Person, pusher: Person) -> None:
    """Nobody has admitted this content yet: even the right person waits, and the pusher can't admit it."""
    ended, new = run_action(stage, manager, "release-promotion", given=GOOD)
    expect(
        ended.status in {Exit.DENIED, Exit.WAITING},
        f"before consent it ended with {ended.status}: {ended.text}",
    )
    expect("not admitted" in ended.text, f"the refusal does not say what it waits for: {ended.text}")
    expect_equal("new tasks before consent", [one.label for one in new], [])
    digest = _content_digest(stage)
    own = pusher.liftlock(*_admit(digest))
    expect_equal("the pusher admitting their own push", own.status, int(Exit.DENIED))
    stage.quote(own.stderr)
    other = manager.liftlock(*_admit(digest))
    expect_equal(f"somebody else admitting it ({other.text})", other.status, int(Exit.OK))


def _admit(digest: str) -> list[str]:
    where = ["--trust-domain", TRUST_DOMAIN, "--level", str(LEVEL), "--permission", "release-promotion"]
    return ["push", "admit", digest, *where]


def _content_digest(stage: Stage) -> str:
    return hashlib.sha256((stage.repository.clone / ".taskcluster.yml").read_bytes()).hexdigest()


def _deny(stage: Stage, developer: Person) -> None:
    """Neither the command line nor the API itself: what is missing is the scope to trigger, and nothing else."""
    ended, new = run_action(stage, developer, "release-promotion", given=GOOD)
    stage.quote(ended.stderr)
    expect_equal("the exit status", ended.status, int(Exit.DENIED))
    action = stage.action("release-promotion", stage.latest)
    payload = hook_payload(action, group=stage.latest.group, task_id=None, given=GOOD)
    where = ("hooks", "hooks", HOOK_GROUP, action["hookId"], "trigger")
    error = refused("triggering it", lambda: developer.api.post(*where, payload=payload))
    expect_equal("the error", (error.status, error.answered_code), (403, "InsufficientScopes"))
    scope = f"hooks:trigger-hook:{HOOK_GROUP}/{action['hookId']}"
    for way, said in (("command line", ended.text), ("API", error.message)):
        expect(scope in said, f"the refusal of the {way} does not name {scope}: {said}")
    expect_equal("new tasks", [one.label for one in new], [])


def _schema(stage: Stage, manager: Person) -> None:
    """The same input by three ways: each must be refused for the same reason, and none may leave a task."""
    action = stage.action("release-promotion", stage.latest)
    payload = hook_payload(action, group=stage.latest.group, task_id=None, given=BAD)
    before = {one.task_id for one in stage.watch.tasks(stage.latest.group)}
    where = ("hooks", "hooks", HOOK_GROUP, action["hookId"], "trigger")
    by_api = refused("by API", lambda: manager.api.post(*where, payload=payload))
    token = stage.root.api.get("hooks", "hooks", HOOK_GROUP, action["hookId"], "token")["token"]
    anonymous = stage.person("anonymous", _without_credentials(stage))
    by_token = refused("by token", lambda: anonymous.api.post(*where, token, payload=payload))
    by_cli, _ = run_action(stage, manager, "release-promotion", given=BAD)
    for way, error in (("API", by_api), ("token", by_token)):
        expect_equal(
            f"the error by {way}", (error.status, error.answered_code), (400, "InputValidationError")
        )
        expect("version" in error.message, f"the refusal by {way} does not name the version: {error.message}")
    stage.quote(by_api.message)
    expect_equal("the exit status of the command line", by_cli.status, int(Exit.USAGE))
    expect("version" in by_cli.text, f"the command line does not name the version: {by_cli.text}")
    after = {one.task_id for one in stage.watch.tasks(stage.latest.group)}
    expect_equal("new tasks", after - before, set())


def _without_credentials(stage: Stage) -> Any:
    return type(stage.root.profile)(stage.root.profile.root_url)


def _promote(stage: Stage, manager: Person) -> Task:
    error = refused("reading the release key", lambda: manager.api.get("secrets", "secret", RELEASE_SECRET))
    expect_equal("the manager reading the release key", error.status, 403)
    ended, new = run_action(stage, manager, "release-promotion", given=GOOD)
    return stage.completed(action_task(stage, ended, new))


def _released(stage: Stage, action: Task) -> None:
    made = created_by(stage, action, stage.latest.group)
    expect_equal("what the action created", [one.label for one in made], [PROMOTION])
    task = stage.completed(made[0])
    text = stage.artifact(task.task_id, "public/release/release.json")
    signature = stage.artifact(task.task_id, "public/release/release.json.hmac").decode().strip()
    expected = hmac.new(stage.release_key.encode(), text, hashlib.sha256).hexdigest()
    expect(hmac.compare_digest(signature, expected), "the signature is not that of the release key")
    record = json.loads(text)
    wheel = stage.artifact(stage.task(BUILD).task_id, f"public/build/{record['file']}")
    expect_equal("the digest that was signed", record["sha256"], hashlib.sha256(wheel).hexdigest())
    expect_equal("version and channel", (record["version"], record["channel"]), ("1.2.0", "release"))
    for one in stage.watch.tasks(stage.latest.group):
        expect(
            stage.release_key not in stage.log(one.task_id),
            f"the log of {one.label} ({one.task_id}) shows the key",
        )
    stage.addresses.append(
        (
            "signed release",
            stage.root.api.url("queue", "task", task.task_id, "artifacts", "public/release/release.json"),
        )
    )


def _fires(stage: Stage, manager: Person) -> None:
    """The latest fires of the promotion's hook: the one that made a task names who, payload, version and task."""
    action = stage.action("release-promotion", stage.latest)
    answer = stage.root.api.get("hooks", "hooks", HOOK_GROUP, action["hookId"], "last-fires")
    good = [one for one in answer["lastFires"] if one["result"] == "success"]
    expect_equal("successful fires of release promotion", len(good), 1)
    [fire] = good
    stage.say(f"  {json.dumps(fire, sort_keys=True)}")
    for name, wanted in (("firedBy", "triggerHook"), ("hookId", action["hookId"])):
        expect_equal(name, fire.get(name), wanted)
    who = manager.profile.client_id
    expect(who in fire.values(), f"the fire does not say that {who} caused it: {fire}")
    expect_equal("the group of its task", _group_of(stage, fire["taskId"]), stage.latest.group)
    for name in ("payloadDigest", "hookVersion"):
        expect(len(str(fire.get(name, ""))) == 64, f"the fire's {name} is no sha256: {fire}")


def _group_of(stage: Stage, task_id: str) -> str:
    return str(stage.root.api.get("queue", "task", task_id)["taskGroupId"])
