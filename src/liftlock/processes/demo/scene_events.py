"""Events from outside: a program dispatches one, GitHub sends webhooks, and forgers try the same (C4, C5)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.cli.profiles import Profile
from liftlock.processes.demo.forge_app import APP, EVENT, HOOK, SENDER, webhook
from liftlock.processes.demo.people import Person, refused
from liftlock.processes.demo.report import expect, expect_equal
from liftlock.processes.demo.stage import Stage
from liftlock.values.instants import format_instant

OTHER_SECRET = "a secret of somebody else's"  # noqa: S105 -- nobody's
_CREATE = (
    "queue:create-task:lowest:local/unprivileged",
    "queue:create-task:project:none",
    "queue:scheduler-id:nightly",
)


def play(stage: Stage, developer: Person) -> None:
    """Dispatch an event, forge one, replay a webhook, forge a check."""
    stage.say("\nA program may dispatch the event nightly, and nobody else:")
    sender = _prepare(stage)
    event = {"event_type": EVENT, "client_payload": {"word": "hello"}, "id": SystemEntropy().slugid()}
    with stage.report.check("dispatched"):
        _dispatch(stage, sender, event)
    with stage.report.check("forged-dispatch"):
        _forge(stage, developer, event)
    stage.say(
        "\nGitHub sends a webhook; somebody sends the same one again, and another with a secret of his own:"
    )
    with stage.report.check("replayed"):
        _replay(stage)
    with stage.report.check("forged-check"):
        _forge_check(stage)


def _prepare(stage: Stage) -> Person:
    """Make the hook, its role, and the program's client."""
    group, hook = HOOK
    api = stage.root.api
    api.put("auth", "roles", f"hook-id:{group}/{hook}", payload={"description": "", "scopes": list(_CREATE)})
    task = {
        "taskQueueId": "local/unprivileged",
        "schedulerId": "nightly",
        "payload": {"command": [["true"]], "maxRunTime": 60},
        "metadata": {
            "name": "Nightly",
            "description": "What the event starts",
            "owner": "operator@example.com",
            "source": "https://example.com/liftlock/demo",
        },
    }
    schema = {"type": "object", "properties": {"word": {"type": "string"}}, "additionalProperties": False}
    about = {"name": "Nightly", "description": "Started by an event", "owner": "operator@example.com"}
    payload = {"metadata": about, "task": task, "schedule": [], "triggerSchema": schema}
    api.put("hooks", "hooks", group, hook, payload=payload)
    made = api.put(
        "auth",
        "clients",
        SENDER,
        payload={
            "expires": format_instant(SystemClock().now() + timedelta(days=1)),
            "description": "A program that dispatches events",
            "scopes": [f"liftlock:dispatch:{EVENT}", f"hooks:trigger-hook:{group}/{hook}"],
        },
    )
    return stage.person("nightly", Profile(stage.root.profile.root_url, SENDER, made["accessToken"]))


def _dispatch(stage: Stage, sender: Person, event: dict[str, Any]) -> None:
    taken = sender.api.post("dispatch", "events", payload=event)
    stage.say(f"  {SENDER} dispatches {EVENT}: task {taken['started']['id']}")
    [task] = stage.watch.until_resolved(taken["started"]["id"], [taken["started"]["id"]]).values()
    stage.completed(task)
    expect_equal(
        "the answer to the same event again", sender.api.post("dispatch", "events", payload=event), taken
    )


def _forge(stage: Stage, developer: Person, event: dict[str, Any]) -> None:
    group, hook = HOOK
    before = len(stage.root.api.get("hooks", "hooks", group, hook, "last-fires")["lastFires"])
    error = refused(
        "right JSON from the wrong sender", lambda: developer.api.post("dispatch", "events", payload=event)
    )
    stage.say(f"  {developer.profile.client_id} sends the same JSON: {error.answered_code}")
    expect_equal("the code", error.answered_code, "InsufficientScopes")
    after = len(stage.root.api.get("hooks", "hooks", group, hook, "last-fires")["lastFires"])
    expect_equal("fires of the hook", after, before)
    told = stage.root.liftlock("audit", "tail", "--action", "dispatch.", "--verdict", "refused", "--json")
    rows = [row for row in told.json if row["actor"] == developer.profile.client_id]
    expect(bool(rows), f"the audit log has no trace of it: {told.text}")


def _delivery() -> str:
    """Return a new id of a delivery: hexadecimal, as forges make them."""
    return SystemEntropy().token_bytes(16).hex()


def _replay(stage: Stage) -> None:
    root_url, delivery = stage.root.profile.root_url, _delivery()
    push = {"ref": "refs/heads/main", "after": stage.latest.revision}
    statuses = [
        webhook(root_url, "push", push, delivery),
        webhook(root_url, "push", push, delivery),
        webhook(root_url, "push", push, _delivery(), secret=OTHER_SECRET),
    ]
    stage.say(
        f"  the webhook: {statuses[0]}; again: {statuses[1]}; signed with another secret: {statuses[2]}"
    )
    expect_equal("the statuses", statuses, [202, 409, 401])


def _forge_check(stage: Stage) -> None:
    run = {"id": 5000, "head_sha": stage.latest.revision, "app": {"id": APP}, "name": "liftlock: release"}
    asked = {"action": "rerequested", "check_run": run | {"external_id": SystemEntropy().slugid()}}
    status = webhook(stage.root.profile.root_url, "check_run", asked, _delivery())
    stage.say(f"  a check of the right name, which liftlock never made: {status}")
    expect_equal("the status", status, 403)
