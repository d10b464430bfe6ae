"""Task groups and tasks in a real browser: the graph with its wall, the table, single tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from pages_data import Data, fill, wide_plan
from pages_world import PHONE, Site, violations

pytestmark = pytest.mark.process
READ = ("pushes:list-pushes:*", "queue:list-task-group:*", "queue:get-task:*", "queue:status:*")


async def two_groups(data: Data) -> tuple[list[str], list[str]]:
    await data.project()
    small, large = await data.push(), await data.push()
    return await data.group(small, progress=1), await data.group(large, wide_plan(1200), progress=2)


class Full(Site):
    """The pages, with a group of 13 tasks and one of 1,200."""

    small: list[str]
    large: list[str]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Full]:
    directory: Path = tmp_path_factory.mktemp("pages")
    small, large = fill(directory, two_groups)
    with serve(directory) as running:
        made = Full(running)
        made.small, made.large = small, large
        made.person("people/robin", *READ, "queue:list-artifacts:*")
        made.person("people/stranger")
        yield made
        made.close()


def test_the_graph_shows_the_wall_and_what_crosses_it(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", f"/groups/{full.small[0]}")
    expect(page.locator(".graph .node")).to_have_count(13)
    expect(page.get_by_text("privileged: holds secrets, runs no task code", exact=True)).to_be_visible()
    expect(page.locator(".contract").first.locator("title")).to_have_text(
        "Crosses the wall: public/widget-4.12-py3-none-any.whl"
    )
    above = page.locator(".node", has_text="package-wheel").bounding_box()
    below = page.locator(".node", has_text="sign-wheel").bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] < below["y"]
    assert above["x"] < below["x"]
    assert violations(page) == []


def test_the_table_says_the_same_with_what_failed_first(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", f"/groups/{full.small[0]}", java_script_enabled=False)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(13)
    expect(rows.first).to_contain_text("test-unit-2")
    expect(rows.first).to_contain_text("failed")
    expect(page.locator("tbody tr", has_text="sign-wheel")).to_contain_text("privileged")


def test_many_tasks_are_drawn_by_kind_and_opened_by_kind(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", f"/groups/{full.large[0]}")
    assert page.locator(".graph .node").count() <= 12
    page.locator(".graph .node", has_text="toolchain").click()
    expect(page.locator("tbody tr").first).to_contain_text("toolchain-")
    expect(page.locator(".pager")).to_contain_text("1–100 of 119")
    assert violations(page) == []
    phone = full.visit(browser, "people/robin", f"/groups/{full.large[0]}", viewport=PHONE)
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_task_is_shown_with_what_it_needs(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", f"/tasks/{full.small[10]}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("package-wheel")
    expect(page.locator(".markdown em")).to_have_text("package")
    page.get_by_role("link", name="build-macos").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("build-macos")
    assert violations(page) == []
    page.get_by_role("link", name="Definition").click()
    expect(page.locator("pre")).to_contain_text('"schedulerId": "demo-level-1"')
    assert violations(page) == []


def test_the_graph_follows_the_tasks(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", f"/groups/{full.large[0]}")
    listed = full.queue.listTaskGroup(full.large[0], query={"limit": 1000})["tasks"]
    task = next(one["status"] for one in listed if one["status"]["state"] == "running")
    before = page.locator(".counts").inner_text()
    full.queue.reportCompleted(task["taskId"], "0")
    expect(page.locator(".counts")).not_to_have_text(before)


def test_who_may_not_see_a_group_or_a_task_is_told_what_he_lacks(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/stranger", f"/groups/{full.small[0]}")
    expect(page.locator(".message")).to_contain_text(f"queue:list-task-group:{full.small[0]}")
    page.goto(f"/tasks/{full.small[1]}")
    expect(page.locator(".message")).to_contain_text(f"queue:get-task:{full.small[1]}")
    page.goto("/groups/nothing")
    expect(page.get_by_role("heading", name="Not here")).to_be_visible()
