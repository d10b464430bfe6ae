"""What people look at: a developer is signed in by a one-time link and sees the push, its tasks and where they come from (E2)."""

from __future__ import annotations

import re
from typing import Final

import httpx2

from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import BUILD, Stage

LIMIT_S: Final = 30.0
VALID_S: Final = 3600
_TOKEN: Final = re.compile(r'name="form_token" value="([^"]+)"')


def play(stage: Stage, developer: Person) -> None:
    """Sign the developer in, and look around."""
    stage.say("\nPeople look rather than read: the developer opens a one-time link.")
    with stage.report.check("pages"), httpx2.Client(timeout=LIMIT_S) as browser:
        link = sign_in_link(stage, developer.profile.client_id or "")
        _sign_in(browser, link)
        _look(stage, browser)
        expect_equal("the link, opened again", browser.get(link).status_code, 401)


def sign_in_link(stage: Stage, client_id: str) -> str:
    """Return a link that signs the client in once, within an hour."""
    made = stage.root.api.post(
        "auth", "clients", client_id, "sign-in-link", payload={"validForSeconds": VALID_S}
    )
    return str(made["url"])


def _sign_in(browser: httpx2.Client, link: str) -> None:
    page = browser.get(link)
    found = _TOKEN.search(page.text)
    if found is None:
        raise DifferenceError(f"the link's page has no form: {page.status_code}")
    origin = link.partition("/sign-in/")[0]
    answer = browser.post(link, data={"form_token": found[1]}, headers={"origin": origin})
    expect_equal("the answer to the form", answer.status_code, 303)


def _look(stage: Stage, browser: httpx2.Client) -> None:
    root, push, build = stage.root.profile.root_url, stage.latest, stage.task(BUILD)
    for path, wanted in (
        ("/pushes", push.revision[:10]),
        (f"/groups/{push.group}", BUILD),
        (f"/tasks/{build.task_id}/runs/0/log", "liftlock"),
        (f"/tasks/{build.task_id}/provenance", "of widget"),
        ("/account", "hooks:trigger-hook:"),
    ):
        page = browser.get(root + path)
        expect_equal(f"the answer to {path}", page.status_code, 200)
        expect(wanted in page.text, f"{path}: expected {wanted!r} on the page")
        framing = "frame-ancestors 'none'" in page.headers.get("content-security-policy", "")
        expect(framing, f"{path}: expected that nobody may frame it")


def sign_in_links(stage: Stage) -> list[tuple[str, str]]:
    """Return one-time links for who is left to look around: (who, address)."""
    root = stage.root.profile.client_id or ""
    people = (
        ("a developer, robin", "people/robin"),
        ("a release manager, morgan", "people/morgan"),
        ("an administrator", root),
    )
    return [(who, sign_in_link(stage, client_id)) for who, client_id in people]
