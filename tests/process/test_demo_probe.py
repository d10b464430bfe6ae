"""The demo's probe finds what it looks for where it can be found: outside of a sandbox it reaches everything."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from liftlock.processes.demo import probe_in_sandbox

pytestmark = pytest.mark.process


def run_probe(tmp_path: Path, wanted: dict[str, object], **environment: str) -> dict[str, object]:
    told = tmp_path / "wanted.json"
    told.write_text(json.dumps({"files": [], "folders": [], "addresses": [], "words": [], **wanted}))
    done = subprocess.run(
        [sys.executable, "-I", probe_in_sandbox.__file__, str(told)],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_the_probe_reports_every_file_folder_and_address_that_it_reaches(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = run_probe(
            tmp_path,
            {
                "files": [str(tmp_path / "secret")],
                "folders": [str(tmp_path)],
                "addresses": [["127.0.0.1", port]],
            },
        )
    assert found["reached"] == [str(tmp_path / "secret"), str(tmp_path), f"127.0.0.1:{port}"]
    assert found["uid"] == os.getuid()


def test_the_probe_reports_words_in_its_own_environment_and_in_that_of_other_processes(
    tmp_path: Path,
) -> None:
    word = "word-that-nobody-else-has"
    assert "environment" in run_probe(tmp_path, {"words": [word]}, TOKEN=word)["reached"]
    with subprocess.Popen(["/bin/sleep", "60"], env={"TOKEN": word}) as other:
        reached = run_probe(tmp_path, {"words": [word]})["reached"]
        other.kill()
    assert reached == [f"/proc/{other.pid}/environ"]


def test_the_probe_reports_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = {
        "files": [str(tmp_path / "none")],
        "folders": [str(empty)],
        "addresses": [["127.0.0.1", port]],
        "words": ["word-that-is-nowhere"],
    }
    assert run_probe(tmp_path, nothing)["reached"] == []
