"""`liftlock task` against a control plane over real HTTP."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mohawk
import pytest
import requests
import taskcluster

from control_plane_server import ROOT, Served
from liftlock.cli import main
from liftlock.cli.exit_codes import Exit
from task_builders import QUEUE, document

pytestmark = pytest.mark.process

BACKING = "public/logs/live_backing.log"


@pytest.fixture(autouse=True)
def _as_root(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    taskcluster.Auth(served.options).createRole(
        "anonymous", {"description": "", "scopes": ["queue:get-artifact:public/*"]}
    )
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", served.root_url)
    monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", ROOT.client_id)
    monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", ROOT.access_token)
    monkeypatch.delenv("TASKCLUSTER_CERTIFICATE", raising=False)


@pytest.fixture
def queue(served: Served) -> taskcluster.Queue:
    return taskcluster.Queue(served.options)


def new_task(queue: taskcluster.Queue, **changes: Any) -> str:
    task_id: str = taskcluster.slugId()
    queue.createTask(task_id, document(datetime.now(UTC), **changes))
    return task_id


def claim(served: Served, queue: taskcluster.Queue) -> tuple[taskcluster.Queue, dict[str, Any]]:
    [taken] = queue.claimWork(QUEUE, {"workerGroup": "local", "workerId": "w"})["tasks"]
    options = {"rootUrl": served.root_url, "credentials": taken["credentials"], "maxRetries": 0}
    return taskcluster.Queue(options), taken["credentials"]


def append(
    served: Served,
    run: taskcluster.Queue,
    given: dict[str, Any],
    task_id: str,
    offset: int,
    data: bytes,
    name: str = BACKING,
) -> None:
    url = f"{served.root_url}/api/queue/v1/task/{task_id}/runs/0/live-log/{name}?offset={offset}"
    sender = mohawk.Sender(
        {"id": given["clientId"], "key": given["accessToken"], "algorithm": "sha256"},
        url,
        "POST",
        content=data,
        content_type="text/plain",
        ext=run.makeHawkExt(),
    )
    headers = {"Authorization": sender.request_header, "Content-Type": "text/plain"}
    requests.post(url, data=data, headers=headers, timeout=30).raise_for_status()


def upload(run: taskcluster.Queue, task_id: str, name: str, data: bytes) -> None:
    expires = taskcluster.stringDate(datetime.now(UTC) + timedelta(days=1))
    given = {"storageType": "s3", "contentType": "text/plain", "expires": expires}
    made = run.createArtifact(task_id, 0, name, given)
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    requests.put(made["putUrl"], data=gzip.compress(data), headers=headers, timeout=30).raise_for_status()


def test_show_tells_a_task_with_its_runs(
    served: Served, queue: taskcluster.Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    task_id = new_task(queue)
    assert main.run(["task", "show", task_id]) == Exit.OK
    assert "state:    pending" in capsys.readouterr().out
    run, _given = claim(served, queue)
    run.reportFailed(task_id, 0)
    assert main.run(["task", "show", task_id]) == Exit.FAILED
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "local/w" in shown
    assert main.run(["task", "show", task_id, "--json"]) == Exit.FAILED
    assert json.loads(capsys.readouterr().out)["status"]["state"] == "failed"
    assert main.run(["task", "show", taskcluster.slugId()]) == Exit.USAGE


def test_logs_follow_a_running_task_to_its_end(
    served: Served, queue: taskcluster.Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    task_id = new_task(queue)
    statuses: list[int] = []
    follower = threading.Thread(target=lambda: statuses.append(main.run(["task", "logs", "-f", task_id])))
    follower.start()
    run, given = claim(served, queue)
    append(served, run, given, task_id, 0, "first \x1b]0;title\x07é\n".encode())
    append(served, run, given, task_id, 19, b"second\n")
    run.reportCompleted(task_id, 0)
    follower.join(30)
    assert statuses == [Exit.OK]
    assert capsys.readouterr().out == "first ]0;titleé\nsecond\n"
    assert main.run(["task", "logs", task_id]) == Exit.OK
    assert capsys.readouterr().out.endswith("second\n")


def test_logs_of_a_finished_task_come_from_its_artifact(
    served: Served, queue: taskcluster.Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    task_id = new_task(queue)
    run, _given = claim(served, queue)
    upload(run, task_id, BACKING, b"the log\n")
    expires = taskcluster.stringDate(datetime.now(UTC) + timedelta(days=1))
    link = {"storageType": "link", "contentType": "text/plain", "artifact": BACKING, "expires": expires}
    run.createArtifact(task_id, 0, "public/logs/live.log", link)
    run.reportFailed(task_id, 0)
    assert main.run(["task", "logs", task_id]) == Exit.OK
    assert capsys.readouterr().out == "the log\n"
    assert main.run(["task", "logs", "-f", task_id]) == Exit.FAILED


def test_artifacts_are_listed_and_downloaded(
    served: Served, queue: taskcluster.Queue, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    task_id = new_task(queue)
    run, _given = claim(served, queue)
    upload(run, task_id, "public/a.txt", b"content")
    assert main.run(["task", "artifacts", task_id]) == Exit.OK
    assert "public/a.txt  s3       7" in capsys.readouterr().out
    target = tmp_path / "a.txt"
    assert main.run(["task", "artifacts", task_id, "--get", "public/a.txt", "-o", str(target)]) == Exit.OK
    assert target.read_bytes() == b"content"


def test_group_cancel_and_rerun(queue: taskcluster.Queue, capsys: pytest.CaptureFixture[str]) -> None:
    first = new_task(queue)
    second = new_task(queue, taskGroupId=first)
    assert main.run(["task", "group", first]) == Exit.OK
    assert second in capsys.readouterr().out
    assert main.run(["task", "cancel", second]) == Exit.OK
    assert main.run(["task", "group", first]) == Exit.FAILED
    assert main.run(["task", "rerun", second]) == Exit.OK
    assert main.run(["task", "group", first, "--json"]) == Exit.OK


SHELL = {"command": [["sh"]], "maxRunTime": 60, "features": {"shell": True}}


def typed(served: Served, run: taskcluster.Queue, given: dict[str, Any], task_id: str, after: int) -> Any:
    """Read what was typed, as the task's worker does."""
    url = f"{served.root_url}/api/queue/v1/task/{task_id}/runs/0/shell-input?after={after}"
    sender = mohawk.Sender(
        {"id": given["clientId"], "key": given["accessToken"], "algorithm": "sha256"},
        url,
        "GET",
        content="",
        content_type="",
        ext=run.makeHawkExt(),
    )
    answer = requests.get(url, headers={"Authorization": sender.request_header}, timeout=30)
    answer.raise_for_status()
    return answer.json()["input"]


def test_a12_shell_sends_what_is_typed_and_shows_what_the_terminal_shows(
    served: Served, queue: taskcluster.Queue
) -> None:
    task_id = new_task(queue, payload=SHELL)
    run, given = claim(served, queue)
    program = "import sys; from liftlock.cli.main import run; sys.exit(run(['task', 'shell', sys.argv[1]]))"
    with subprocess.Popen(
        [sys.executable, "-c", program, task_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"echo hi\n")
        shell.stdin.flush()
        [piece] = typed(served, run, given, task_id, 0)
        assert (piece["actor"], b64decode(piece["data"])) == (ROOT.client_id, b"echo hi\n")
        append(served, run, given, task_id, 0, b"$ echo hi\r\nhi\r\n", "private/shell/terminal")
        shell.stdin.close()
        upload(run, task_id, "private/shell/terminal", b"$ echo hi\r\nhi\r\nexit\r\n")
        run.reportCompleted(task_id, 0)
        assert shell.stdout.read() == b"$ echo hi\r\nhi\r\nexit\r\n"
        assert shell.wait(30) == Exit.OK


def test_a12_shell_of_a_task_that_has_none_or_has_ended_says_so(
    served: Served, queue: taskcluster.Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["task", "shell", new_task(queue)]) == Exit.USAGE
    assert "has no shell: its payload does not ask for features.shell" in capsys.readouterr().err
    queue.cancelTask(task_id := new_task(queue, payload=SHELL))
    assert main.run(["task", "shell", task_id]) == Exit.USAGE
    assert f"task {task_id} is exception: its shell has ended" in capsys.readouterr().err
