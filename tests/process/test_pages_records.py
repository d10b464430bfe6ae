"""The audit log and configuration plans in the browser (E4, E5)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.values.json import digest
from pages_data import Data, fill
from pages_world import PHONE, Site, violations

pytestmark = pytest.mark.process
CHANGES: list[dict[str, Any]] = [
    {
        "change": "update",
        "resource": "Role=repo:github.com/demo/widget:branch:main",
        "place": "grants.yml:12",
        "widens": ["gains secrets:get:release-<script>alert(1)</script>"],
        "narrows": ["loses queue:x"],
        "fields": ["scopes"],
        "drift": False,
        "before": {"scopes": ["queue:x"]},
        "after": {"scopes": ["secrets:get:release"]},
    },
    {
        "change": "update",
        "resource": "Client=people/kim",
        "place": None,
        "widens": [],
        "narrows": [],
        "fields": ["description"],
        "drift": True,
        "before": {"description": "changed by hand"},
        "after": {"description": "kim"},
    },
]
PLAN = {"digest": digest(CHANGES), "changes": CHANGES, "widening": 1, "drifted": 1, "unchanged": 40}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Site]:
    with serve(tmp_path_factory.mktemp("records")) as running:
        made = Site(running)
        made.person("people/auditor", "liftlock:audit:read", "configuration:get-applied:*")
        made.person("people/kim", "x:*")
        api = made.api()
        api.put(
            "configuration",
            "applied",
            "example",
            payload={"expected": 0, "digests": {}, "target": {"Role=x": "0" * 64}},
        )
        deadline = time.monotonic() + 30
        while not api.get("audit", "checkpoints")["checkpoints"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        api.close()
        yield made
        made.close()


def test_the_audit_log_is_searched_and_a_row_is_verified_in_the_browser(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/auditor", "/audit")
    expect(page.get_by_role("region", name="Rows of the audit log")).to_contain_text("auth.createClient")
    assert violations(page) == []
    page.get_by_label("About begins with").fill("client/people/kim")
    page.get_by_label("Action begins with").fill("auth.createClient")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("body").press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("Yes, says the server")
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.locator("#verdict")).to_have_text("Yes: verified in this browser.")
    expect(page.locator("#verify-steps .tag.ok")).to_have_count(4)
    assert violations(page) == []
    plain = full.visit(browser, "people/auditor", page.url, java_script_enabled=False, viewport=PHONE)
    expect(plain.locator("#verdict")).to_contain_text("Yes, says the server")
    expect(plain.get_by_role("button", name="Verify in this browser")).to_have_count(0)


@pytest.mark.parametrize(
    ("forge", "step"),
    [
        ("document.querySelector('[data-column=\"3\"]').textContent = 'people/mallory'", 0),
        ("proof.dataset.path = '00'.repeat(32)", 2),
        ("proof.dataset.note = proof.dataset.note.replace(/^(.*)\\n\\d+\\n/, '$1\\n999999\\n')", 2),
        ("proof.dataset.key = proof.dataset.key.replace(/.{6}$/, 'AAAAAA')", 3),
    ],
)
def test_a_forged_row_path_checkpoint_or_key_does_not_verify(
    full: Site, browser: Browser, forge: str, step: int
) -> None:
    page = full.visit(browser, "people/auditor", "/audit?action=auth.createClient")
    page.locator("tbody a").first.click()
    page.evaluate(f"() => {{ const proof = document.getElementById('proof'); {forge}; }}")
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.locator("#verdict")).to_contain_text("No")
    expect(page.locator("#verify-steps li").nth(step).locator(".tag")).to_have_text("no")


async def other_sequencer(data: Data) -> None:
    """Hold the lease of the loop that gives rows their places."""
    held = await SqlLeases(data.engine).hold(
        "sequence audit", "another control plane", now=data.now, duration=timedelta(minutes=10)
    )
    assert held


def test_a_row_without_a_place_is_shown_as_unsequenced(tmp_path: Path) -> None:
    fill(tmp_path, other_sequencer)
    with serve(tmp_path) as running:
        site = Site(running)
        site.person("people/auditor", "liftlock:audit:read")
        http = site.signed_in("people/auditor")
        listed = http.get("/audit").text
        assert "Nothing is signed yet" in listed
        assert (
            listed.count('title="It has no place in the signed log yet') == listed.count("<tr><td><time") > 0
        )
        shown = http.get("/audit/1").text
        assert "unsequenced" in shown
        assert "No checkpoint covers this row yet" in shown
        assert "Nothing is signed yet" in http.get("/audit/checkpoints").text
        site.close()


def test_checkpoints_are_listed_and_rows_are_exported(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/auditor", "/audit/checkpoints", viewport=PHONE, color_scheme="dark")
    expect(page.get_by_role("region", name="Checkpoints").locator("tbody tr").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    answer = full.signed_in("people/auditor").get("/audit/export?actor=static/liftlock/root")
    assert answer.headers["content-disposition"].startswith("attachment")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert {row["actor"] for row in rows} == {"static/liftlock/root"}
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)


def test_who_may_not_read_the_log_reads_nothing_of_it(full: Site) -> None:
    http = full.signed_in("people/kim")
    for path in ("/audit", "/audit/1", "/audit/export", "/audit/checkpoints"):
        answer = http.get(path)
        assert answer.status_code == 403, path
        assert "liftlock:audit:read" in answer.text
        assert "createClient" not in answer.text


def test_e4_a_plan_is_shown_widening_first_with_its_drift(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/kim", "/configuration")
    assert violations(page) == []
    page.get_by_label("A file with the plan").set_input_files(
        {"name": "plan.json", "mimeType": "application/json", "buffer": json.dumps(PLAN).encode()}
    )
    page.get_by_role("button", name="Show it").click()
    expect(page.locator("h2").first).to_have_text("Lets somebody do more than before (1)")
    expect(page.locator(".change.widens ins")).to_contain_text("<script>alert(1)</script>")
    expect(page.locator("#drift")).to_contain_text("Client=people/kim")
    expect(page.locator(".change")).to_have_count(2)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert violations(page) == []


def test_a_plan_that_was_changed_or_is_none_is_told_from_one(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/kim", "/configuration", java_script_enabled=False, viewport=PHONE)
    changed = json.dumps({**PLAN, "changes": CHANGES[1:]})
    page.locator("#plan-text").fill(changed)
    page.get_by_role("button", name="Show it").click()
    expect(page.get_by_role("alert")).to_contain_text("The digest is not that of these changes")
    page.goto("/configuration")
    page.locator("#plan-text").fill('{"digest": 1}')
    page.get_by_role("button", name="Show it").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "expected what `liftlock config plan FOLDER --json` writes"
    )


def test_an_apply_that_has_not_ended_is_shown_as_such(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/auditor", "/configuration?name=example", viewport=PHONE)
    expect(page.locator("#unfinished")).to_contain_text("An apply that static/liftlock/root began")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    assert full.signed_in("people/kim").get("/configuration?name=example").status_code == 403
