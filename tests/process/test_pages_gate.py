"""The push gate in the browser: a real gated beside the control plane (D4, D5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from gate_world import GateWorld, GitPair, gate_world, record
from pages_data import Data, fill
from pages_world import PHONE, Site, token_in, violations

pytestmark = pytest.mark.process


async def some_pushes(data: Data) -> None:
    await data.project()
    await data.push(message="Bug 8 - ordinary")
    await data.push(message="Bug 7 - overflow")


class Full(Site):
    """The pages, with gated on the same host."""

    gate: GateWorld


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Full]:
    directory: Path = tmp_path_factory.mktemp("gate")
    fill(directory, some_pushes)
    with gate_world() as gate:
        gate.start()
        feed = gate.fed(record(7), record(9, reason="approved"))
        pair = GitPair(gate)
        pair.commit("Bug 7 - overflow")
        assert pair.push().returncode == 1
        gate.ask("override", bug=9, reason="chemspill", seconds=600)
        with serve(directory, gate_run=str(gate.run)) as running:
            made = Full(running)
            made.gate = gate
            made.person("people/keeper", "gate:see", "gate:explain:*", "pushes:list-pushes:*")
            made.person("people/robin", "pushes:list-pushes:*")
            yield made
            made.close()
        feed.close()


def test_the_gates_state_and_its_rejections_are_shown(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/keeper", "/gate")
    expect(page.get_by_role("region", name="Lists")).to_contain_text("good")
    expect(page.get_by_text("bug 9", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Latest entries")).to_contain_text("security-approval")
    assert violations(page) == []
    page.get_by_role("link", name="override", exact=True).click()
    expect(page.get_by_role("region", name="Latest entries").locator("tbody tr")).to_have_count(1)


def test_what_would_become_of_a_message_is_explained_without_scripts(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/keeper", "/gate", java_script_enabled=False)
    page.get_by_label("or a commit message").fill("Bug 7 - fix <script>alert(1)</script>")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#explained")).to_contain_text("reject")
    expect(page.locator("#explained")).to_contain_text("Bug 7: unapproved, blocked")
    page.goto("/gate")
    page.get_by_label("Bug").fill("123456")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator("#explained")).to_contain_text("nothing is known of it")


def test_pushes_show_what_the_gate_makes_of_them(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/keeper", "/pushes", viewport=PHONE, color_scheme="dark")
    expect(
        page.locator(".row", has_text="Bug 7").get_by_role("link", name="gate: would reject")
    ).to_be_visible()
    expect(page.locator(".row", has_text="Bug 8").get_by_role("link", name="gate: fine")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto("/gate")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


def test_d3_who_may_not_ask_the_gate_learns_nothing_of_a_bug_from_pages(full: Full) -> None:
    http = full.signed_in("people/robin")
    assert "gate:" not in http.get("/pushes").text.split("<main")[1]
    answer = http.get("/gate")
    assert answer.status_code == 403
    assert "override" not in answer.text
    token = token_in(http.get("/account").text)
    said = {"form_token": token, "repository": "widget", "bug": "7", "message": "", "ref": ""}
    refused = http.post("/gate/explain", data=said, headers=full.own_origin)
    assert refused.status_code == 403
    assert "unapproved" not in refused.text


def test_a_gate_that_does_not_answer_is_said_so_and_pushes_are_listed_all_the_same(full: Full) -> None:
    http = full.signed_in("people/keeper")
    full.gate.stop()
    try:
        assert "gated does not answer" in http.get("/gate").text
        listed = http.get("/pushes").text
        assert "Bug 7 - overflow" in listed
        assert "gate: " not in listed
    finally:
        full.gate.start()
