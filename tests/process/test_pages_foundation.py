"""Signing in and the list of pushes, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from liftlock.cli import main
from pages_data import Data, fill
from pages_world import PHONE, Site, violations

pytestmark = pytest.mark.process
READ = ("pushes:list-pushes:*", "queue:list-task-group:*")


async def some_pushes(data: Data) -> list[str]:
    await data.project("widget")
    await data.project("gadget", level=1)
    groups = []
    for progress, name in ((0, "widget"), (1, "gadget"), (2, "widget")):
        group = await data.push(name)
        await data.group(group, progress=progress)
        groups.append(group)
    await data.push("widget", decision="failed", message="<script>alert(1)</script> hostile & co")
    return groups


@pytest.fixture
def full(tmp_path: Path) -> Any:
    fill(tmp_path, some_pushes)
    with serve(tmp_path) as running:
        made = Site(running)
        made.person("people/robin", *READ)
        yield made
        made.close()


def test_a_person_signs_in_by_a_link_and_out(
    site: Site, browser: Browser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.person("people/robin", "x:*")
    who: Any = site.served.options["credentials"]
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", site.url)
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", who["clientId"])
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", who["accessToken"])
    assert main.run(["access", "sign-in-link", "people/robin", "--valid-for", "60"]) == 0
    page = site.visit(browser, path=capsys.readouterr().out.strip())
    expect(page.get_by_role("heading")).to_have_text("Sign in as people/robin?")
    assert violations(page) == []
    page.get_by_role("button", name="Sign in as people/robin").click()
    page.get_by_role("link", name="people/robin").click()
    expect(page.get_by_text("All that you may do")).to_be_visible()
    expect(page.locator(".scopes")).to_contain_text("x:*")
    assert violations(page) == []
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pushes_are_listed_with_their_tasks(full: Site, browser: Browser, scheme: Any) -> None:
    page = full.visit(browser, "people/robin", color_scheme=scheme)
    rows = page.locator(".row")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("<script>alert(1)</script> hostile & co")
    expect(rows.first).to_contain_text("decision failed")
    expect(rows.nth(1).locator(".sym.running").first).to_be_visible()
    expect(rows.nth(2)).to_contain_text("1 failed")
    expect(rows.nth(3)).to_contain_text("13/13")
    assert violations(page) == []


def test_filters_stand_in_the_address_and_keys_walk_the_list(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/robin")
    page.get_by_label("Project").select_option("widget")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".row")).to_have_count(3)
    assert "project=widget" in page.url
    page.locator("body").press("j")
    page.keyboard.press("j")
    expect(page.locator(".row").nth(1).locator("[data-key]")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(".row").nth(0).locator("[data-key]")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Message or revision")).to_be_focused()


def test_the_list_renews_itself_when_a_task_ends(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/robin")
    group = str(page.locator(".row").nth(1).locator("[data-key]").get_attribute("data-group"))
    before = page.locator(".row").nth(1).locator(".row-progress").inner_text()
    listed = full.queue.listTaskGroup(group)["tasks"]
    task = next(one["status"] for one in listed if one["status"]["state"] == "running")
    with page.expect_response(lambda answer: answer.url == page.url, timeout=10_000):
        full.queue.reportFailed(task["taskId"], "0")
    expect(page.locator(".row").nth(1).locator(".row-progress")).not_to_have_text(before)
    expect(page.locator(".row").nth(1)).to_contain_text("1 failed")


def test_the_list_is_readable_without_scripts_and_on_a_phone(full: Site, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", java_script_enabled=False)
    expect(page.locator(".row")).to_have_count(4)
    phone = full.visit(browser, "people/robin", viewport=PHONE)
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(phone) == []


def test_who_is_not_signed_in_sees_what_everybody_may_see(full: Site, browser: Browser) -> None:
    page = full.visit(browser)
    expect(page.get_by_text("Sign in to see the pushes of your projects.")).to_be_visible()
    page.goto("/pushes?project=widget")
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()
    assert violations(page) == []
