"""scriptworker, unmodified, claims tasks from liftlock, runs them, uploads what they made and resolves them.

Its installation takes a while, so it is a soak test: `make soak`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import taskcluster

from control_plane_server import Served
from task_builders import document

pytestmark = [pytest.mark.process, pytest.mark.soak]
THIRD_PARTY = Path(__file__).parents[1] / "third_party" / "scriptworker"
PROVISIONER, WORKER_TYPE = "scriptworker-k8s", "signing"
SCOPES = [f"queue:claim-work:{PROVISIONER}/{WORKER_TYPE}", "queue:worker-id:group/sw-1"]


@contextlib.contextmanager
def scriptworker(python: str, served: Served, folder: Path, **changes: Any) -> Iterator[Path]:
    """Run scriptworker with credentials of its own; yield its log."""
    auth = taskcluster.Auth(served.options)
    expires = taskcluster.stringDate(taskcluster.fromNow("1 hour"))
    made = auth.createClient("worker/sw-1", {"description": "", "expires": expires, "scopes": SCOPES})
    script = [python, str(THIRD_PARTY / "script.py"), str(folder / "work"), str(folder / "artifacts")]
    config = {
        "taskcluster_root_url": served.root_url,
        "provisioner_id": PROVISIONER,
        "worker_group": "group",
        "worker_type": WORKER_TYPE,
        "worker_id": "sw-1",
        "credentials": {"clientId": "worker/sw-1", "accessToken": made["accessToken"]},
        "work_dir": str(folder / "work"),
        "log_dir": str(folder / "log"),
        "artifact_dir": str(folder / "artifacts"),
        "task_log_dir": str(folder / "artifacts/public/logs"),
        "task_script": script,
        "ed25519_private_key_path": str(folder / "key"),
        "poll_interval": 1,
        "sign_chain_of_trust": False,
        "cot_job_type": "signing",
        "cot_product": "firefox",
    }
    (folder / "scriptworker.yaml").write_text(json.dumps(config | changes))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "*"}
    with (folder / "output").open("wb") as output:
        command = [str(Path(python).with_name("scriptworker")), str(folder / "scriptworker.yaml")]
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            yield folder / "output"
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(40)
            finally:
                running.kill()


def new_task(served: Served, name: str, **payload: Any) -> str:
    task_id: str = taskcluster.slugId()
    given = document(datetime.now(UTC), taskQueueId=f"{PROVISIONER}/{WORKER_TYPE}", payload=payload)
    given["metadata"]["name"] = name
    taskcluster.Queue(served.options).createTask(task_id, given)
    return task_id


def ended(served: Served, task_id: str, log: Path) -> dict[str, Any]:
    """Return the task's status when it is resolved."""
    queue = taskcluster.Queue(served.options)
    for _ in range(600):
        status: dict[str, Any] = queue.status(task_id)["status"]
        if status["state"] not in ("pending", "running", "unscheduled"):
            return status
        time.sleep(0.1)
    raise AssertionError(f"{status}\n{log.read_text()[-4000:]}")


def content(served: Served, task_id: str, name: str) -> str:
    """Return an artifact, as a browser that is sent on reads it."""
    queue = taskcluster.Queue(served.options)
    answer = requests.get(queue.buildSignedUrl("getLatestArtifact", task_id, name), timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_scriptworker_claims_runs_and_resolves_tasks(
    scriptworker_python: str, served: Served, tmp_path: Path
) -> None:
    made = {"public/build/made.txt": "made\n" * 100, "public/build/made.json": "{}", "private/x.bin": "x"}
    good = new_task(served, "good", make=made)
    bad = new_task(served, "bad", exit=1)
    malformed = new_task(served, "malformed", exit=3)
    with scriptworker(scriptworker_python, served, tmp_path) as log:
        status = ended(served, good, log)
        assert (status["state"], status["runs"][0]["workerId"]) == ("completed", "sw-1"), log.read_text()[
            -4000:
        ]
        assert ended(served, bad, log)["state"] == "failed"
        run = ended(served, malformed, log)["runs"][0]
        assert (run["state"], run["reasonResolved"]) == ("exception", "malformed-payload")
    for name, text in made.items():
        assert content(served, good, name) == text
    assert "scriptworker ran good" in content(served, good, "public/logs/live_backing.log")
    artifacts = taskcluster.Queue(served.options).listLatestArtifacts(good)["artifacts"]
    assert {one["name"] for one in artifacts} >= {*made, "public/logs/live_backing.log"}


def test_a_task_that_scriptworker_asks_to_retry_gets_a_new_run(
    scriptworker_python: str, served: Served, tmp_path: Path
) -> None:
    task_id = new_task(served, "flaky", exit=7)
    with scriptworker(scriptworker_python, served, tmp_path, invalid_reclaim_status=7) as log:
        deadline = time.monotonic() + 60
        while len(taskcluster.Queue(served.options).status(task_id)["status"]["runs"]) < 2:
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.1)
    first = taskcluster.Queue(served.options).status(task_id)["status"]["runs"][0]
    assert (first["state"], first["reasonResolved"]) == ("exception", "intermittent-task")


def test_cancelling_ends_what_scriptworker_runs_and_it_goes_on_with_the_next(
    scriptworker_python: str, served: Served, tmp_path: Path
) -> None:
    """It notices at its next reclaim that its claim has ended, as it does with the reference."""
    sleeping = ["bash", "-c", "sleep 60"]
    task_id = new_task(served, "slow")
    with scriptworker(scriptworker_python, served, tmp_path, task_script=sleeping, reclaim_interval=1) as log:
        queue = taskcluster.Queue(served.options)
        deadline = time.monotonic() + 60
        while queue.status(task_id)["status"]["state"] != "running":
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.1)
        first = queue.status(task_id)["status"]["runs"][0]["takenUntil"]
        while queue.status(task_id)["status"]["runs"][0]["takenUntil"] == first:
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.1)
        queue.cancelTask(task_id)
        following = new_task(served, "next")
        while queue.status(following)["status"]["state"] != "running":
            assert time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.1)
