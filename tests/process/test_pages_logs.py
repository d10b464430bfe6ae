"""The log viewer in a real browser: 100 MB open at once, searched, linked; a running log is followed; nothing hostile runs."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request
from pages_world import PHONE, Site, violations
from queue_over_http import Stage, soon

pytestmark = pytest.mark.process
BACKING, SHOWN = "public/logs/live_backing.log", "public/logs/live.log"
READ = ("queue:get-task:*", "queue:status:*", "queue:get-artifact:public/*", "queue:list-task-group:*")
HOSTILE = b"<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\n"


class Full(Site):
    """The pages, with a way to make tasks that have logs."""

    stage: Stage

    def stored(self, data: bytes) -> str:
        """Return a completed task with this log, packed as workers pack it."""
        task_id, run = self.stage.claim()
        made = self.stage.declare(run, task_id, BACKING)
        assert self.stage.put(made, gzip.compress(data, 1), Content_Encoding="gzip").status_code == 200
        link = {
            "storageType": "link",
            "contentType": "text/plain",
            "expires": soon(days=1),
            "artifact": BACKING,
        }
        run.createArtifact(task_id, 0, SHOWN, link)
        run.reportCompleted(task_id, 0)
        return task_id

    def running(self) -> tuple[str, Any]:
        """Return a running task and the client of its run."""
        return self.stage.claim()

    def say(self, task_id: str, run: Any, offset: int, data: bytes) -> int:
        """Append to the task's live log; return its size."""
        name = BACKING.replace("/", "%2F")
        url = f"{self.url}/api/queue/v1/task/{task_id}/runs/0/live-log/{name}?offset={offset}"
        said = run.options["credentials"]
        who = Credentials(
            *(
                one if isinstance(one, str) else one.decode()
                for one in (said["clientId"], said["accessToken"], said["certificate"])
            )
        )
        header = sign_request(who, "POST", url, ts=int(time.time()), nonce=f"n{time.monotonic_ns()}")
        answer = httpx2.post(url, content=data, headers={"authorization": header}, timeout=20)
        assert answer.status_code == 200, answer.text
        size: int = answer.json()["size"]
        return size


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Full]:
    directory: Path = tmp_path_factory.mktemp("logs")
    with serve(directory) as running:
        made = Full(running)
        made.stage = Stage(running)
        made.person("people/robin", *READ)
        yield made
        made.close()


def test_a_hundred_megabytes_open_at_once_and_any_line_is_near(full: Full, browser: Browser) -> None:
    line = b"[%07d] compiling something/of/some/length/module.c with many flags -O2 -Wall\n"
    data = b"".join(line % number for number in range(1_300_000)) + b"error: the end\nNeedle in the stack\n"
    assert len(data) > 100_000_000
    task_id = full.stored(data)
    page = full.visit(browser, "people/robin", "/")
    page.goto(f"/tasks/{task_id}/runs/0/log")
    expect(page.locator(".ln").first).to_contain_text("[0000000] compiling")
    expect(page.locator("#log-count")).to_have_text("1,300,002", timeout=30_000)
    assert page.locator(".ln").count() < 200
    page.goto(f"/tasks/{task_id}/runs/0/log#L900001-L900003")
    expect(page.locator(".ln.marked").first).to_contain_text("[0900000]")
    expect(page.locator(".ln.marked")).to_have_count(3)
    page.get_by_role("searchbox", name="Search the whole log").fill("needle in")
    page.get_by_role("searchbox", name="Search the whole log").press("Enter")
    expect(page.locator("#log-found")).to_have_text("1 of 1")
    expect(page.locator(".ln.marked")).to_contain_text("Needle in the stack")
    page.reload()
    expect(page.locator(".note.bad")).to_contain_text("line 1300001")


def test_a_running_log_is_followed_and_ends(full: Full, browser: Browser) -> None:
    task_id, run = full.running()
    size = full.say(task_id, run, 0, b"first\n\x1b[31mred\x1b[0m line\n")
    page = full.visit(browser, "people/robin", f"/tasks/{task_id}/runs/0/log")
    expect(page.locator(".ln").first).to_contain_text("first")
    expect(page.locator(".a-fg-red")).to_have_text("red")
    size = full.say(task_id, run, size, b"half a")
    expect(page.locator(".ln").nth(2)).to_contain_text("half a")
    size = full.say(task_id, run, size, b" line\n" + b"".join(b"more %d\n" % n for n in range(600)))
    expect(page.locator("#log-count")).to_have_text("603")
    expect(page.get_by_text("more 599", exact=True)).to_be_visible()
    page.locator("#log").evaluate("box => { box.scrollTop = 0 }")
    expect(page.locator(".ln").nth(2)).to_contain_text("half a line")
    expect(page.get_by_label("follow the end")).not_to_be_checked()
    assert violations(page) == []
    run.reportCompleted(task_id, 0)
    expect(page.locator("#log-live")).to_have_text("ended")


def test_a_resumed_stream_sends_what_came_meanwhile(full: Full) -> None:
    task_id, run = full.running()
    full.say(task_id, run, 0, b"one\ntwo\nthree\n")
    http = full.signed_in("people/robin")
    with http.stream("GET", f"/tasks/{task_id}/runs/0/log/events", headers={"last-event-id": "1"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for text in answer.iter_text():
            if "event: lines" in text:
                assert "id: 3" in text
                assert '"start":0,"lines":["one","two","three"]' in text
                break


def test_a_hostile_log_is_text_with_and_without_scripts(full: Full, browser: Browser) -> None:
    task_id = full.stored(HOSTILE + b"error: " + HOSTILE)
    for options in ({}, {"java_script_enabled": False}, {"viewport": PHONE}):
        page = full.visit(browser, "people/robin", f"/tasks/{task_id}/runs/0/log?q=onerror", **options)
        expect(page.locator(".ln").first).to_contain_text("<script>document.title='owned'</script>")
        assert page.locator("#main img").count() == 0
        assert "owned" not in page.title()
    found = full.visit(
        browser, "people/robin", f"/tasks/{task_id}/runs/0/log?q=onerror", java_script_enabled=False
    )
    expect(found.locator("section.card li")).to_have_count(2)


def test_steps_lead_to_their_lines(full: Full, browser: Browser) -> None:
    said = b"[liftlock 2026-03-01T12:00:00.000Z] fetched 3 inputs\nx\n[liftlock 2026-03-01T12:00:07.000Z] running\ny\n"
    page = full.visit(browser, "people/robin", f"/tasks/{full.stored(said)}/runs/0/log")
    expect(page.locator(".steps li").first).to_contain_text("fetched 3 inputs 7 s")
    page.get_by_role("link", name="running").click()
    expect(page.locator(".ln.marked")).to_contain_text("running")
    assert violations(page) == []


def test_an_artifact_is_a_download_whatever_it_says_it_is(full: Full) -> None:
    task_id, run = full.running()
    full.stage.store(run, task_id, "public/page.html", b"<script>1</script>", contentType="text/html")
    full.stage.store(run, task_id, "public/x.svg", b"<svg/>", contentType="image/svg+xml")
    http = full.signed_in("people/robin")
    for name in ("public/page.html", "public/x.svg"):
        answer = http.get(f"/tasks/{task_id}/runs/0/artifacts/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
