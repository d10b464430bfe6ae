"""Actions in the browser: menu, form, confirmation, and the fire with one's own scopes (A3, A5, A7); access and hooks (A14)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
import taskcluster
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from pages_world import PHONE, Site, token_in, violations
from queue_over_http import Stage
from task_builders import QUEUE, document

pytestmark = pytest.mark.process
READ = (
    "queue:get-task:*",
    "queue:status:*",
    "queue:get-artifact:public/*",
    "queue:list-task-group:*",
    "hooks:get:*",
)
SCHEMA = {
    "type": "object",
    "required": ["channel", "version"],
    "additionalProperties": False,
    "properties": {
        "channel": {"enum": ["beta", "release"], "default": "beta", "title": "Channel"},
        "version": {"type": "string", "pattern": "^[0-9]+$", "title": "Version", "description": "digits"},
        "notify": {"type": "boolean", "title": "Notify"},
    },
}
HOOK = {
    "metadata": {"name": "Promote", "description": "d", "owner": "o@example.org", "emailOnError": False},
    "schedule": [],
    "triggerSchema": {
        "type": "object",
        "properties": {"user": SCHEMA},
        "required": ["user"],
        "additionalProperties": False,
    },
    "task": {
        "taskQueueId": QUEUE,
        "schedulerId": "demo-level-3",
        "created": {"$fromNow": "0 seconds"},
        "deadline": {"$fromNow": "1 hour"},
        "scopes": ["secrets:get:release-key"],
        "payload": {"inputs": [{"name": "wheel", "raw": {"content": "${payload.user.version}"}}]},
        "metadata": {
            "name": "promote ${payload.user.version}",
            "description": "d",
            "owner": "o@example.org",
            "source": "https://example.org",
        },
    },
}
ACTIONS = {
    "version": 1,
    "variables": {},
    "actions": [
        {
            "name": "promote",
            "title": "Promote",
            "description": "Ships it. <script>alert(1)</script> [no](javascript:alert(1))",
            "context": [],
            "kind": "hook",
            "hookGroupId": "project-demo",
            "hookId": "promote",
            "hookPayload": {"user": {"$eval": "input"}},
            "schema": SCHEMA,
        },
        {
            "name": "again",
            "title": "Run again",
            "description": "Makes a task.",
            "context": [{}],
            "kind": "task",
            "task": {
                "taskQueueId": QUEUE,
                "schedulerId": "demo-level-1",
                "created": {"$fromNow": "0 seconds"},
                "deadline": {"$fromNow": "1 hour"},
                "scopes": ["x:y"],
                "payload": {"env": {"OWN": "${ownTaskId}", "AT": {"$fromNow": "1 second"}}},
                "metadata": {
                    "name": "again",
                    "description": "d",
                    "owner": "o@example.org",
                    "source": "https://example.org",
                },
            },
        },
    ],
}


class Full(Site):
    """The pages with a group whose decision task offers actions."""

    stage: Stage
    group: str

    def children(self) -> list[str]:
        """Return the names of tasks that were made by the hook."""
        fires = taskcluster.Hooks(self.served.options).listLastFires("project-demo", "promote")["lastFires"]
        return [one["taskId"] for one in fires if one["result"] == "success"]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Full]:
    with serve(tmp_path_factory.mktemp("actions")) as running:
        made = Full(running)
        made.stage = Stage(running)
        task_id = made.group = taskcluster.slugId()
        made.stage.root.createTask(task_id, decision(task_id))
        [claim] = made.stage.root.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w"})["tasks"]
        run = made.stage.queue(claim["credentials"])
        made.stage.store(
            run, task_id, "public/actions.json", json.dumps(ACTIONS).encode(), contentType="application/json"
        )
        run.reportCompleted(task_id, 0)
        create = [
            "queue:create-task:lowest:local/unprivileged",
            "queue:create-task:project:none",
            "queue:scheduler-id:demo-level-3",
        ]
        made.auth.createRole(
            "hook-id:project-demo/promote",
            {"description": "", "scopes": [*create, "secrets:get:release-key"]},
        )
        taskcluster.Hooks(running.options).createHook("project-demo", "promote", HOOK)
        made.person(
            "people/morgan",
            *READ,
            "hooks:trigger-hook:project-demo/promote",
            "hooks:list-hooks:*",
            "hooks:list-last-fires:*",
        )
        made.person("people/robin", *READ)
        yield made
        made.close()


def decision(task_id: str) -> dict[str, Any]:
    return document(
        datetime.now(UTC),
        taskGroupId=task_id,
        scopes=[
            "x:*",
            "queue:create-task:lowest:local/unprivileged",
            "queue:create-task:project:none",
            "queue:scheduler-id:demo-level-1",
        ],
    )


def confirm(full: Full, http: Any, **fields: str) -> str:
    """Return the confirmation's page for these fields of the form."""
    base = f"/groups/{full.group}/actions/promote"
    token = token_in(http.get(base).text.split("<main")[1])
    answer = http.post(base, data={"form_token": token, **fields}, headers=full.own_origin)
    text: str = answer.text
    return text


def test_a7_a_manager_fills_in_the_form_confirms_what_is_shown_and_it_happens(
    full: Full, browser: Browser
) -> None:
    before = full.children()
    page = full.visit(browser, "people/morgan", f"/groups/{full.group}/actions")
    assert violations(page) == []
    assert "alert(1)" in page.locator(".markdown").first.inner_text()
    page.get_by_role("link", name="Promote").click()
    page.get_by_label("Version").fill("twelve")
    assert violations(page) == []
    page.get_by_role("button", name="See what will happen").click()
    expect(page.get_by_role("alert")).to_contain_text("input.version")
    expect(page.get_by_label("Version")).to_have_value("twelve")
    page.get_by_label("Version").fill("12")
    page.get_by_label("release").check()
    page.get_by_role("button", name="Edit as YAML").click()
    expect(page.get_by_label("Input as YAML")).to_contain_text("channel: release")
    page.get_by_role("button", name="See what will happen").click()
    expect(page.locator(".confirm")).to_contain_text("secrets:get:release-key")
    expect(page.locator(".confirm")).to_contain_text('"name": "promote 12"')
    expect(page.locator(".confirm")).to_contain_text("people/morgan")
    assert violations(page) == []
    assert full.children() == before, "nothing has happened so far"
    page.get_by_role("button", name="Promote now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("promote 12")
    assert len(full.children()) == len(before) + 1


def test_a7_a_link_that_fills_the_form_in_sends_nothing(full: Full) -> None:
    before = full.children()
    http = full.signed_in("people/morgan")
    filled = quote(json.dumps({"channel": "release", "version": "666"}))
    answer = http.get(f"/groups/{full.group}/actions/promote?input={filled}")
    assert 'value="666"' in answer.text
    assert "A link filled this in." in answer.text
    assert full.children() == before


def test_a5_who_lacks_the_scope_sees_why_and_triggers_nothing(full: Full) -> None:
    before = full.children()
    http = full.signed_in("people/robin")
    text = confirm(full, http, **{"in/channel": '"beta"', "in/version": "1"})
    assert "you lack it" in text
    assert "disabled" in text
    base = f"/groups/{full.group}/actions/promote"
    fields = {
        "form_token": token_in(text),
        "input": json.dumps({"channel": "beta", "version": "1", "notify": False}),
        "seal": text.split('name="seal" value="')[1][:64],
        "moment": text.split('name="moment" value="')[1].partition('"')[0],
    }
    answer = http.post(f"{base}/run", data=fields, headers=full.own_origin)
    assert answer.status_code == 403
    assert "hooks:trigger-hook:project-demo/promote" in answer.text
    assert full.children() == before


def test_a5_the_hooks_own_schema_is_applied_whatever_the_form_sends(full: Full) -> None:
    before = full.children()
    http = full.signed_in("people/morgan")
    text = confirm(full, http, mode="yaml", yaml="{channel: beta, version: '1', extra: 1}")
    assert "The input does not fit" in text
    good = confirm(full, http, mode="yaml", yaml="{channel: beta, version: '1'}")
    seal = good.split('name="seal" value="')[1][:64]
    moment = good.split('name="moment" value="')[1].partition('"')[0]
    fields = {
        "form_token": token_in(good.split("<main")[1]),
        "input": '{"channel": "beta", "version": "evil"}',
        "seal": seal,
        "moment": moment,
    }
    answer = http.post(f"/groups/{full.group}/actions/promote/run", data=fields, headers=full.own_origin)
    assert answer.status_code in (400, 409)
    assert full.children() == before


def test_a7_a_confirmation_happens_once_and_only_as_it_was_shown(full: Full) -> None:
    http = full.signed_in("people/morgan")
    before = full.children()
    text = confirm(full, http, mode="yaml", yaml="{channel: beta, version: '7'}").split("<main")[1]
    fields = {
        "form_token": token_in(text),
        "input": '{"channel": "beta", "version": "8"}',
        "seal": text.split('name="seal" value="')[1][:64],
        "moment": text.split('name="moment" value="')[1].partition('"')[0],
    }
    base = f"/groups/{full.group}/actions/promote/run"
    changed = http.post(base, data=fields, headers=full.own_origin)
    assert changed.status_code == 409
    assert "has changed since it was shown" in changed.text
    fields["input"] = '{"channel": "beta", "version": "7"}'
    assert http.post(base, data=fields, headers=full.own_origin).status_code == 303
    again = http.post(base, data=fields, headers=full.own_origin)
    assert again.status_code == 409
    assert "This form was sent before" in again.text
    assert len(full.children()) == len(before) + 1


def test_a4_a_task_action_needs_every_scope_and_has_no_more_than_the_decision_task(full: Full) -> None:
    full.person(
        "people/full",
        *READ,
        "x:y",
        "queue:create-task:lowest:local/unprivileged",
        "queue:create-task:project:none",
        "queue:scheduler-id:*",
    )
    base = f"/groups/{full.group}/actions/again"
    for who, status in (("people/full", 403), ("people/robin", 403)):
        http = full.signed_in(who)
        page = http.get(f"{base}?task={full.group}").text.split("<main")[1]
        shown = http.post(
            base, data={"form_token": token_in(page), "task": full.group}, headers=full.own_origin
        ).text
        fields = {
            "form_token": token_in(shown.split("<main")[1]),
            "task": full.group,
            "input": "null",
            "seal": shown.split('name="seal" value="')[1][:64],
            "moment": shown.split('name="moment" value="')[1].partition('"')[0],
        }
        answer = http.post(f"{base}/run", data=fields, headers=full.own_origin)
        assert answer.status_code == status, answer.text


def test_a4_a_task_action_makes_exactly_the_task_that_was_shown(full: Full) -> None:
    """Also where its template takes the new task's id and the time."""
    full.person(
        "people/maker",
        *READ,
        "x:*",
        "queue:create-task:lowest:local/unprivileged",
        "queue:create-task:project:none",
        "queue:scheduler-id:demo-level-1",
    )
    http = full.signed_in("people/maker")
    base = f"/groups/{full.group}/actions/again"
    page = http.get(f"{base}?task={full.group}").text.split("<main")[1]
    told = {"form_token": token_in(page), "task": full.group}
    shown = http.post(base, data=told, headers=full.own_origin).text.split("<main")[1]
    listed = json.loads(
        unescape(
            shown.split("The task that will be created</summary>")[1].split("<code>")[1].split("</code>")[0]
        )
    )
    fields = {
        "form_token": token_in(shown),
        "task": full.group,
        "input": "null",
        "seal": shown.split('name="seal" value="')[1][:64],
        "moment": shown.split('name="moment" value="')[1].partition('"')[0],
    }
    own, _, at = fields["moment"].partition(" ")
    assert listed["payload"]["env"]["OWN"] == own
    for changed, status in (
        ("x", 400),
        (f"{own} {int(at) - 900_000}", 409),
        (f"{own} {int(at) + 60_000}", 409),
    ):
        answer = http.post(f"{base}/run", data=fields | {"moment": changed}, headers=full.own_origin)
        assert answer.status_code == status, answer.text
    answer = http.post(f"{base}/run", data=fields, headers=full.own_origin)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"/tasks/{own}"
    made = full.queue.task(own)
    assert made["payload"] == listed["payload"]
    assert made["created"] == listed["created"]


def test_a14_access_explains_a_refusal_with_the_chain_and_who_could_grant(
    full: Full, browser: Browser
) -> None:
    page = full.visit(browser, "people/robin", "/access?need=hooks:trigger-hook:project-demo/promote")
    expect(page.locator(".state.big")).to_have_text("may not")
    expect(page.locator(".leaf").first).to_contain_text("missing")
    assert violations(page) == []
    page.goto("/access?need=queue:get-task:abc&reach=yes")
    expect(page.locator(".state.big")).to_have_text("may")
    assert violations(page) == []


def test_hooks_show_their_fires_with_who_and_what(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/morgan", "/hooks")
    page.get_by_role("link", name="project-demo").click()
    page.get_by_role("link", name="promote").click()
    expect(page.locator("h1")).to_have_text("promote")
    assert violations(page) == []


def test_forms_access_and_hooks_fit_a_phone_in_the_dark(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/morgan", "/account", viewport=PHONE, color_scheme="dark")
    for path in (
        "/account",
        f"/groups/{full.group}/actions",
        f"/groups/{full.group}/actions/promote",
        "/access?need=hooks:trigger-hook:project-demo/promote&reach=yes",
        "/hooks",
        "/hooks/project-demo/promote",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert violations(page) == [], path


def test_an_action_is_confirmed_and_run_by_keyboard_without_scripts(full: Full, browser: Browser) -> None:
    before = full.children()
    page = full.visit(
        browser, "people/morgan", f"/groups/{full.group}/actions/promote", java_script_enabled=False
    )
    page.get_by_label("Version").focus()
    page.keyboard.type("21")
    page.keyboard.press("Enter")
    expect(page.locator(".confirm")).to_contain_text('"name": "promote 21"')
    page.get_by_role("button", name="Promote now").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("promote 21")
    assert len(full.children()) == len(before) + 1
