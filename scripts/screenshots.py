#!/usr/bin/env python3
"""Writes docs/images/*.png: every screen in the system's Chromium, on data that is the same at each run.

`make screenshots` runs it. Its exit status is 1 if an image is larger than it may be.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/process"))

import taskcluster
import test_pages_actions as actions
import test_pages_provenance as provenance
import test_pages_records as records
from playwright.sync_api import Browser, Page

from control_plane_server import serve
from gate_world import GitPair, gate_world, record
from liftlock.domain.pushes.movements import Movement
from operations_data import VERSION, OperationData, operations_file
from pages_data import Data, fill
from pages_world import chromium
from passkeys import HeldPasskey
from provenance_world import DECISION, REVISION, SIGNING
from queue_over_http import QUEUE, Stage

ROOT: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = ROOT / "docs/images"
MAX_BYTES: Final = 150_000
SIZE: Final = {"width": 1200, "height": 680}
KEEPER: Final = "people/robin"
MANAGER: Final = "people/morgan"
SESSIONS: Final = {
    "description": "Build widget and publish it",
    "input": VERSION,
    "approvals": {"need": 2, "acceptSessions": True, "voidOnMove": False},
}
LOG: Final = b"".join(
    [
        b"[liftlock 2026-03-01T12:00:00.000Z] fetched 3 inputs: repository, toolchain, wheels\n",
        b"[liftlock 2026-03-01T12:00:02.140Z] every digest is what was declared\n",
        b"[liftlock 2026-03-01T12:00:02.190Z] running make check\n",
        *(b"\x1b[32mok\x1b[0m   tests/test_widget.py::test_case_%d\n" % number for number in range(1, 19)),
        b"\x1b[31mFAIL\x1b[0m tests/test_widget.py::test_wheel_is_verified\n",
        b"error: expected sha256 8f14e45f, observed 1679091c\n",
        b"[liftlock 2026-03-01T12:00:41.480Z] uploaded 2 artifacts\n",
    ]
)


def approvers(origin: str) -> dict[str, Any]:
    """Return who may approve: morgan and alex."""
    return {
        name: {
            "clients": [f"people/{name}"],
            "operations": ["*"],
            "keys": {"webauthn": [HeldPasskey.make(name).entry(origin)]},
        }
        for name in ("morgan", "alex")
    }


async def data_of(data: Data) -> dict[str, str]:
    """Write pushes, tasks and operations; return ids."""
    await data.project()
    await data.project("gadget", level=1)
    await data.push(movement=Movement("main", None, REVISION), task_id=DECISION, age=timedelta(hours=6))
    data.heads["widget"] = REVISION
    group = ""
    for number, (name, progress) in enumerate(
        (("widget", 0), ("gadget", 1), ("widget", 2), ("gadget", 0), ("widget", 1))
    ):
        pushed = await data.push(name, age=timedelta(minutes=200 - 40 * number))
        await data.group(pushed, progress=progress)
        group = pushed
    await data.push(
        "widget", age=timedelta(minutes=3), decision="pending", message="Bug 7 - Check bounds before the copy"
    )
    made = OperationData(data, operations_file(approvers("http://localhost:1"), publish_widget=SESSIONS))
    before = {"input": {"version": "4.11"}, "files": {"dist/widget-4.11-py3-none-any.whl": 47_104}}
    await made.make("publish-widget", "done", age=timedelta(days=21), **before)
    waiting = await made.make("publish-widget", "waiting")
    return {"group": group, "operation": waiting.operation_id}


class Pictures(provenance.Full):
    """The pages with all that is to be seen."""

    ids: dict[str, str]
    log: str
    actions: str


def prepare(site: Pictures) -> None:
    """Make people, a log, an action with its hook, and a chain of trust."""
    site.stage = Stage(site.served)
    provenance.upload(site)
    task_id, run = site.stage.claim(metadata={**provenance.META, "name": "test-unit-2"})
    site.stage.store(run, task_id, "public/logs/live_backing.log", LOG)
    link = {"storageType": "link", "contentType": "text/plain", "artifact": "public/logs/live_backing.log"}
    run.createArtifact(
        task_id, 0, "public/logs/live.log", {**link, "expires": taskcluster.fromNowJSON("1 day")}
    )
    run.reportFailed(task_id, 0)
    site.log = task_id
    group = site.actions = taskcluster.slugId()
    site.stage.root.createTask(group, actions.decision(group))
    [claim] = site.stage.root.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w"})["tasks"]
    client = site.stage.queue(claim["credentials"])
    offered = json.dumps(actions.ACTIONS).replace("<script>alert(1)</script> [no](javascript:alert(1))", "")
    site.stage.store(client, group, "public/actions.json", offered.encode(), contentType="application/json")
    client.reportCompleted(group, 0)
    scopes = [
        "queue:create-task:lowest:local/unprivileged",
        "queue:create-task:project:none",
        "queue:scheduler-id:demo-level-3",
    ]
    site.auth.createRole(
        "hook-id:project-demo/promote", {"description": "", "scopes": [*scopes, "secrets:get:release-key"]}
    )
    taskcluster.Hooks(site.served.options).createHook("project-demo", "promote", actions.HOOK)
    site.auth.createRole(
        "group:release", {"description": "", "scopes": ["hooks:trigger-hook:project-demo/promote"]}
    )
    look = (
        "queue:*",
        "pushes:list-pushes:*",
        "hooks:get:*",
        "hooks:list-hooks:*",
        "auth:*",
        "liftlock:*",
        "gate:*",
        "configuration:*",
    )
    site.person(KEEPER, *look)
    site.person(MANAGER, *look, "assume:group:release")
    site.person("people/alex", "liftlock:list-operations", "liftlock:approve:*")
    time.sleep(2.5)  # the audit log signs a checkpoint every two seconds


def operate(site: Pictures, browser: Browser) -> Page:
    """Return the page of an operation that one of two people approved."""
    other = site.visit(browser, "people/alex", f"/operations/{site.ids['operation']}", viewport=SIZE)
    other.get_by_label("Why").fill("Built it again: the same bytes")
    other.get_by_role("button", name="Approve", exact=True).click()
    other.get_by_text("1 of 2").wait_for()
    page = site.visit(browser, MANAGER, f"/operations/{site.ids['operation']}", viewport=SIZE)
    page.get_by_role("heading", name="What is frozen").scroll_into_view_if_needed()
    page.evaluate("scrollTo(0, 190)")
    return page


def act(site: Pictures, browser: Browser, *, confirmed: bool) -> Page:
    """Return the form of an action, or its confirmation."""
    page = site.visit(browser, MANAGER, f"/groups/{site.actions}/actions/promote", viewport=SIZE)
    page.get_by_label("Version").fill("412")
    page.get_by_label("release").check()
    if confirmed:
        page.get_by_role("button", name="See what will happen").click()
        page.get_by_role("button", name="Promote now").wait_for()
    return page


def verified(site: Pictures, browser: Browser) -> Page:
    """Return a row of the audit log, verified."""
    page = site.visit(browser, KEEPER, "/audit?subject=client/people/morgan", viewport=SIZE)
    page.locator("tbody a").last.click()
    page.get_by_role("button", name="Verify in this browser").click()
    page.get_by_text("verified in this browser").wait_for()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    return page


def planned(site: Pictures, browser: Browser) -> Page:
    """Return a plan."""
    page = site.visit(browser, KEEPER, "/configuration", viewport=SIZE)
    page.locator("#plan-text").fill(json.dumps(records.PLAN).replace("-<script>alert(1)</script>", "-key"))
    plan = json.loads(page.locator("#plan-text").input_value())
    plan["digest"] = records.digest(plan["changes"])
    page.locator("#plan-text").fill(json.dumps(plan))
    page.get_by_role("button", name="Show it").click()
    page.locator(".change").first.wait_for()
    return page


def explained(site: Pictures, browser: Browser) -> Page:
    """Return the gate with an explanation."""
    page = site.visit(browser, KEEPER, "/gate", viewport=SIZE)
    page.get_by_label("or a commit message").fill("Bug 7 - Check bounds before the copy. r=sasha")
    page.get_by_role("button", name="Explain").click()
    page.locator("#explained").wait_for()
    return page


def screens(site: Pictures, browser: Browser) -> dict[str, Callable[[], Page]]:
    """Return how to come to each screen."""

    def at(path: str, **options: Any) -> Callable[[], Page]:
        return lambda: site.visit(browser, KEEPER, path, **({"viewport": SIZE} | options))

    group = f"/groups/{site.ids['group']}"
    need = "hooks:trigger-hook:project-demo/promote"
    return {
        "pushes": at("/pushes"),
        "pushes-dark": at("/pushes", color_scheme="dark"),
        "task-graph": at(group),
        "log": at(f"/tasks/{site.log}/runs/0/log#L22"),
        "action-form": lambda: act(site, browser, confirmed=False),
        "action-confirm": lambda: act(site, browser, confirmed=True),
        "access": at(f"/access?need={need}"),
        "operation": lambda: operate(site, browser),
        "audit": lambda: verified(site, browser),
        "provenance": at(f"/tasks/{SIGNING}/provenance"),
        "gate": lambda: explained(site, browser),
        "configuration-plan": lambda: planned(site, browser),
        "phone": at(group, viewport={"width": 390, "height": 780}),
    }


def write() -> int:
    """Write every image; return how many are too large."""
    IMAGES.mkdir(exist_ok=True)
    large = 0
    with (
        tempfile.TemporaryDirectory(prefix="liftlock-pictures-") as name,
        gate_world() as gate,
        chromium() as browser,
    ):
        folder = Path(name) / "state"
        folder.mkdir()
        ids = fill(folder, data_of)
        gate.start()
        feed = gate.fed(record(7), record(9, reason="approved"))
        pair = GitPair(gate)
        pair.commit("Bug 7 - Check bounds before the copy")
        pair.push()
        gate.ask("override", bug=9, reason="the release must go out; approved by phone", seconds=7200)
        told = {"published_keys": provenance.published(Path(name)), "gate_run": str(gate.run)}
        with serve(
            folder,
            at=lambda root: {"operations": operations_file(approvers(root), publish_widget=SESSIONS)},
            **told,
        ) as served:
            site = Pictures(served)
            site.ids = ids
            prepare(site)
            for image, come in screens(site, browser).items():
                page = come()
                page.wait_for_load_state("load")
                file = IMAGES / f"{image}.png"
                page.screenshot(path=file, animations="disabled", caret="hide")
                sys.stdout.write(f"{file.relative_to(ROOT)} {file.stat().st_size} bytes\n")
                large += file.stat().st_size > MAX_BYTES
            site.close()
        feed.close()
    return large


if __name__ == "__main__":
    sys.exit(1 if write() else 0)
