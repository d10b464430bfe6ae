"""Artifacts are what their run made, whole, once, and shown only to who may see them."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from control_plane_server import serve
from liftlock.domain.scopes.satisfaction import AllOf
from liftlock.domain.tasks.artifacts import need_to_read
from queue_over_http import Stage, soon, status_of


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with serve(tmp_path) as served:
        yield Stage(served)


def text_of(stage: Stage, task_id: str, name: str) -> bytes:
    return requests.get(stage.root.getLatestArtifact(task_id, name)["url"], timeout=30).content


def test_an_artifact_can_not_be_overwritten_by_its_own_run(stage: Stage) -> None:
    task_id, run = stage.claim()
    stage.store(run, task_id, "public/a", b"first")
    assert stage.put(stage.declare(run, task_id, "public/a"), b"second").status_code == 409
    assert status_of(lambda: stage.declare(run, task_id, "public/a", contentType="text/html")) == 409
    link = {"storageType": "link", "artifact": "public/b", "expires": soon(hours=1)}
    assert status_of(lambda: run.createArtifact(task_id, 0, "public/a", link)) == 409
    assert text_of(stage, task_id, "public/a") == b"first"


def test_an_upload_address_is_used_once(stage: Stage) -> None:
    task_id, run = stage.claim()
    made = stage.declare(run, task_id, "public/a")
    assert stage.put(made, b"first").status_code == 200
    assert stage.put(made, b"first").status_code == 200, "the same bytes again are a repeated request"
    assert stage.put(made, b"other").status_code == 409
    assert text_of(stage, task_id, "public/a") == b"first"


def test_an_upload_address_can_not_be_guessed_or_used_after_the_run(stage: Stage) -> None:
    task_id, run = stage.claim()
    made = stage.declare(run, task_id, "public/a")
    guessed = {**made, "putUrl": made["putUrl"][:-1] + ("0" if made["putUrl"][-1] != "0" else "1")}
    assert stage.put(guessed, b"x").status_code == 404
    run.reportCompleted(task_id, 0)
    assert stage.put(made, b"late").status_code == 409
    assert stage.root.listArtifacts(task_id, 0)["artifacts"] == []


def test_half_an_upload_is_never_seen(stage: Stage) -> None:
    task_id, run = stage.claim()
    made = stage.declare(run, task_id, "public/a")
    parts = urlsplit(made["putUrl"])
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as cut:
        head = f"PUT {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n"
        cut.sendall(head.encode() + b"only half")
    assert stage.root.listArtifacts(task_id, 0)["artifacts"] == []
    assert status_of(lambda: stage.root.getArtifact(task_id, 0, "public/a")) == 404
    assert stage.put(made, gzip.compress(b"x" * 99)[:-9], Content_Encoding="gzip").status_code == 400
    assert stage.put(made, b"not gzip", Content_Encoding="gzip").status_code == 400
    assert stage.root.listArtifacts(task_id, 0)["artifacts"] == []
    assert stage.put(made, b"whole").status_code == 200
    left = stage.served.directory / "blobs" / "tmp"
    for _ in range(300):  # the server notices the cut connection in its own time
        if not list(left.iterdir()):
            break
        time.sleep(0.1)
    assert list(left.iterdir()) == []


def test_links_in_a_cycle_end_in_an_error(stage: Stage) -> None:
    task_id, run = stage.claim()
    for name, target in (("public/a", "public/b"), ("public/b", "public/a"), ("public/self", "public/self")):
        stage.declare(run, task_id, name, storageType="link", artifact=target)
    for name in ("public/a", "public/self"):
        assert status_of(lambda name=name: stage.root.getLatestArtifact(task_id, name)) == 400


def test_a_public_link_does_not_open_a_private_artifact(stage: Stage) -> None:
    task_id, run = stage.claim()
    stage.store(run, task_id, "private/key", b"secret")
    stage.declare(run, task_id, "public/key", storageType="link", artifact="private/key")
    anonymous = stage.queue(None)
    assert status_of(lambda: anonymous.getLatestArtifact(task_id, "public/key")) == 403
    assert status_of(lambda: anonymous.latestArtifact(task_id, "public/key")) == 403
    assert text_of(stage, task_id, "public/key") == b"secret"


def test_a_download_address_opens_what_it_was_made_for_and_nothing_else(stage: Stage) -> None:
    task_id, run = stage.claim()
    stage.store(run, task_id, "public/a", b"public")
    stage.store(run, task_id, "private/key", b"secret")
    url = stage.root.getLatestArtifact(task_id, "public/a")["url"]
    assert requests.get(url, timeout=30).content == b"public"
    other = url.replace("public%2Fa", "private%2Fkey")
    assert other != url
    assert requests.get(other, timeout=30).status_code == 403
    assert requests.get(other.partition("?")[0], timeout=30).status_code == 403
    middle = len(url) - 20
    forged = url[:middle] + ("A" if url[middle] != "A" else "B") + url[middle + 1 :]
    assert requests.get(forged, timeout=30).status_code == 403


def test_a_page_as_an_artifact_is_never_shown_in_our_origin(stage: Stage) -> None:
    task_id, run = stage.claim()
    for name, kind in (("public/x.html", "text/html"), ("public/x.svg", "image/svg+xml")):
        stage.store(run, task_id, name, b"<script>alert(1)</script>", contentType=kind)
        answer = requests.get(stage.root.getLatestArtifact(task_id, name)["url"], timeout=30)
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]


def test_an_artifact_can_not_set_headers_of_its_answer(stage: Stage) -> None:
    task_id, run = stage.claim()
    hostile = "text/plain\r\nSet-Cookie: a=b"
    assert status_of(lambda: stage.declare(run, task_id, "public/a", contentType=hostile)) == 400
    assert status_of(lambda: stage.declare(run, task_id, "public/a\r\nx", contentType="text/plain")) == 400
    assert (
        status_of(
            lambda: stage.declare(run, task_id, "public/a", storageType="reference", url="javascript:x")
        )
        == 400
    )


def test_a_damaged_blob_is_not_served_as_if_it_were_whole(stage: Stage) -> None:
    task_id, run = stage.claim()
    stage.store(run, task_id, "public/a", b"whole")
    [blob] = list((stage.served.directory / "blobs" / "sha256").glob("*/*"))
    blob.chmod(0o600)
    blob.write_bytes(b"wrong")
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(stage.root.getLatestArtifact(task_id, "public/a")["url"], timeout=30)


def test_only_a_name_that_begins_with_public_is_public() -> None:
    assert need_to_read("public/build.zip") == AllOf()
    for name in ("private/key", "public", "Public/x", "xpublic/y", " public/x"):
        assert need_to_read(name) == f"queue:get-artifact:{name}"
