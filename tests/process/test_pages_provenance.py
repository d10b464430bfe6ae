"""Provenance in the browser: the walk with its links, what the run was given, and verifying again (B5, B9)."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from fakes.certified_signer import Pool
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME
from liftlock.domain.provenance.evidence import RunEvidence
from liftlock.domain.provenance.keys import to_text
from liftlock.domain.provenance.published import PUBLISHED_FORMAT
from liftlock.domain.pushes.movements import Movement
from pages_data import Data, fill
from pages_world import PHONE, Site, token_in, violations
from provenance_world import BUILD, DECISION, REVISION, SIGNING, WHEEL, ChainWorld
from queue_over_http import Stage
from task_builders import QUEUE, document

pytestmark = pytest.mark.process
READ = ("queue:get-task:*", "queue:status:*", "queue:list-artifacts:*", "pushes:list-pushes:*")
MANIFEST: dict[str, Any] = {
    "version": 1,
    "taskId": SIGNING,
    "runId": 0,
    "isolation": {"users": "separate"},
    "network": {
        "default": "none",
        "sealing": "sealed",
        "refused": [{"method": "CONNECT", "path": "evil.example:443", "why": "it was not <b>declared</b>"}],
        "refusedMore": 0,
    },
    "inputs": [
        {
            "name": "wheel",
            "kind": "task",
            "unpack": "/build/wheel",
            "producer": {"taskId": BUILD, "runId": 0},
            "files": [{"name": WHEEL, "sha256": "ab" * 32, "size": 9, "declared": ["ab" * 32]}],
        }
    ],
}


class Full(Site):
    """The pages, with a chain from a signed file over a wheel to a push."""

    stage: Stage
    blobs: Path


class World(ChainWorld):
    """The chain, whose last run has a manifest as well."""

    def _run(self, task_id: str, artifacts: dict[str, bytes]) -> RunEvidence:
        more = {"public/inputs.json": json.dumps(MANIFEST).encode()} if task_id == SIGNING else {}
        return super()._run(task_id, artifacts | more)


async def pushed(data: Data) -> None:
    await data.project()
    await data.push(movement=Movement("main", None, REVISION), task_id=DECISION)


def published(folder: Path) -> str:
    """Return the path of a file with the pool's key."""
    key = Pool().key
    said = {
        "pool": key.pool,
        "level": key.level,
        "keyId": key.id,
        "publicKey": to_text(key.public_key),
        "state": "current",
        "created": "2026-01-01T00:00:00.000Z",
    }
    file = folder / "published.json"
    file.write_text(
        json.dumps({"format": PUBLISHED_FORMAT, "pools": [said], "certificates": [], "revoked": []})
    )
    return str(file)


def upload(full: Full) -> None:
    """Run the three tasks, and store what their workers left."""
    evidence = World().evidence()
    files: dict[str, dict[str, bytes]] = {
        SIGNING: {"public/signed": b"signed", "public/inputs.json": json.dumps(MANIFEST).encode()},
        BUILD: {WHEEL: b"the wheel"},
        DECISION: {},
    }
    for task_id in (DECISION, BUILD, SIGNING):
        run = evidence.run(task_id)
        assert run is not None
        files[task_id] |= {**run.documents, CHAIN_NAME: run.chain, SIGNATURE_NAME: run.signature}
        full.stage.root.createTask(
            task_id,
            document(
                datetime.now(UTC), taskGroupId=DECISION, metadata={**META, "name": f"task {task_id[0]}"}
            ),
        )
        [claim] = full.stage.root.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w"})["tasks"]
        client = full.stage.queue(claim["credentials"])
        for name, content in files[task_id].items():
            made = full.stage.declare(client, task_id, name)
            packed = name.endswith(".json")
            headers = {"Content_Encoding": "gzip"} if packed else {}
            sent = full.stage.put(made, gzip.compress(content) if packed else content, **headers)
            assert sent.status_code == 200
        client.reportCompleted(task_id, 0)


META = {"description": "d", "owner": "o@example.org", "source": "https://example.org"}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Full]:
    directory: Path = tmp_path_factory.mktemp("provenance")
    fill(directory, pushed)
    with serve(directory, published_keys=published(tmp_path_factory.mktemp("keys"))) as running:
        made = Full(running)
        made.stage = Stage(running)
        upload(made)
        made.person("people/robin", *READ)
        made.person("people/stranger", "queue:get-task:*", "queue:status:*")
        yield made
        made.close()


def test_b9_the_chain_is_walked_to_the_push_link_by_link(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", f"/tasks/{SIGNING}")
    page.get_by_role("link", name="Inputs and provenance").click()
    checks = page.get_by_role("region", name="Checks")
    expect(checks.locator("tr", has_text="push 1 of widget")).to_contain_text("green")
    expect(checks.locator("tr", has_text="public/signed")).to_contain_text("green")
    expect(page.locator(".chain .link.green")).to_have_count(6)
    expect(page.locator(".state.big", has_text="holds")).to_have_count(1)
    assert violations(page) == []
    checks.get_by_role("link", name=BUILD).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("task B")


def test_b5_the_manifest_says_what_the_run_was_given_and_refused(full: Full, browser: Browser) -> None:
    page = full.visit(
        browser, "people/robin", f"/tasks/{SIGNING}/provenance", viewport=PHONE, java_script_enabled=False
    )
    expect(page.locator("#sealing")).to_have_text("sealed")
    expect(page.get_by_role("region", name="Inputs")).to_contain_text("the same")
    expect(page.get_by_text("CONNECT evil.example:443")).to_be_visible()
    expect(page.get_by_text("it was not <b>declared</b>")).to_be_visible()


def test_a_phone_shows_the_chain(full: Full, browser: Browser) -> None:
    page = full.visit(
        browser, "people/robin", f"/tasks/{SIGNING}/provenance", viewport=PHONE, color_scheme="dark"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


def test_who_may_not_see_the_push_is_told_that_it_is_missing(full: Full) -> None:
    text = full.signed_in("people/stranger").get(f"/tasks/{SIGNING}/provenance").text
    assert "no push is recorded that started this group" in text
    assert "does not hold" in text
    assert "push 1 of widget" not in text


def test_verifying_now_reads_the_bytes_again_and_finds_what_was_changed_on_disk(
    full: Full, browser: Browser
) -> None:
    page = full.visit(browser, "people/robin", f"/tasks/{SIGNING}/provenance")
    page.get_by_role("button", name="Read the artifacts again").click()
    expect(page.get_by_text("The artifacts were read again just now.")).to_be_visible()
    expect(page.locator(".chain .link.green")).to_have_count(6)
    [blob] = [
        path
        for path in full.served.directory.rglob("*")
        if path.is_file() and path.stat().st_size == 6 and path.read_bytes() == b"signed"
    ]
    blob.chmod(0o600)
    blob.write_bytes(b"forged")
    page.goto(f"/tasks/{SIGNING}/provenance")
    expect(page.locator(".chain .link.green")).to_have_count(6)
    page.get_by_role("button", name="Read the artifacts again").click()
    expect(page.locator(".chain .link.red")).to_have_count(1)
    expect(page.get_by_role("region", name="Checks").locator("tr", has_text="mutated")).to_contain_text("red")
    assert violations(page) == []


def test_reading_everything_again_takes_a_form_of_this_site(full: Full) -> None:
    http = full.signed_in("people/robin")
    token = token_in(http.get(f"/tasks/{SIGNING}/provenance").text.split("<main")[1])
    answer = http.post(
        f"/tasks/{SIGNING}/provenance",
        data={"form_token": token},
        headers={"origin": "https://evil.example"},
    )
    assert answer.status_code == 403
