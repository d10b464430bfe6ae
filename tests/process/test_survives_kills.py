"""E1, B6: any process may be killed at any time; no task is lost, none runs twice, no half artifact is seen."""

from __future__ import annotations

import gzip
import itertools
import os
import random
import signal
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import slugid

from liftlock_up import Up, up

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("kills")]

CONTENT = "0123456789abcdef" * 4096


def definition(command: str, *, retries: int = 40) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "taskQueueId": "local/unprivileged",
        "schedulerId": "kills",
        "created": now.isoformat(),
        "deadline": (now + timedelta(hours=1)).isoformat(),
        "retries": retries,
        "payload": {
            "command": [["/bin/sh", "-ec", command]],
            "maxRunTime": 120,
            "artifacts": [{"name": "public/out.txt", "path": "out.txt", "type": "file"}],
        },
        "metadata": {
            "name": "n",
            "description": "d",
            "owner": "o@example.com",
            "source": "https://example.com",
        },
    }


def create(running: Up, count: int, seconds: float) -> list[str]:
    script = (
        f"i=0; while [ $i -lt 4096 ]; do printf 0123456789abcdef; i=$((i+1)); done >out.txt; sleep {seconds}"
    )
    ids = [slugid.nice() for _ in range(count)]
    for task_id in ids:
        running.queue().createTask(task_id, definition(script))
    return ids


def wait_resolved(running: Up, ids: list[str], limit_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + limit_s
    while True:
        found = {task_id: running.queue().status(task_id)["status"] for task_id in ids}
        waiting = [
            task_id
            for task_id, status in found.items()
            if status["state"] in {"pending", "running", "unscheduled"}
        ]
        if not waiting:
            return found
        assert time.monotonic() < deadline, (
            f"{len(waiting)} tasks unresolved: {found[waiting[0]]}\n{running.log[-6000:]}"
        )
        time.sleep(0.2)


def check(running: Up, statuses: dict[str, Any]) -> None:
    for task_id, status in statuses.items():
        assert status["state"] == "completed", f"{status}\n{running.log[-6000:]}"
        runs = status["runs"]
        for earlier, later in itertools.pairwise(runs):
            assert earlier["state"] == "exception"
            assert earlier["reasonResolved"] in {"worker-shutdown", "claim-expired"}
            assert earlier["resolved"] <= later["started"], "two runs of one task were alive at once"
        answer = running.queue().latestArtifact(task_id, "public/out.txt")
        assert answer["storageType"] == "s3"
        assert download(answer["url"]) == CONTENT


def download(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        data = answer.read()
        return (gzip.decompress(data) if answer.headers["content-encoding"] == "gzip" else data).decode()


def run(*, kills: int, seed: int, tasks: int) -> None:
    choice = random.Random(seed)
    with up("--workers", "2") as running:
        ids = create(running, tasks, 0.5)
        for number in range(kills):
            time.sleep(choice.uniform(0.05, 1.0))
            if number % 5 == 4:
                running.kill_supervisor()
                running.start()
            else:
                running.kill_one(choice)
                running.wait_ready()
        statuses = wait_resolved(running, ids, 120 + kills * 5)
        check(running, statuses)


def test_killed_processes_lose_no_task() -> None:
    run(kills=10, seed=20260131, tasks=12)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_hundreds_of_kills_lose_no_task(seed: int) -> None:
    run(kills=40, seed=seed, tasks=60)


def test_a_killed_worker_is_reported_and_the_retry_starts_within_10_s() -> None:
    with up("--workers", "1") as running:
        [task_id] = create(running, 1, 3)
        while running.queue().status(task_id)["status"]["state"] != "running":
            time.sleep(0.05)
        time.sleep(0.5)
        worker = next(
            pid for pid, command in running.processes().items() if "liftlock.processes.worker" in command
        )
        os.kill(worker, signal.SIGKILL)
        began = time.monotonic()
        while True:
            runs = running.queue().status(task_id)["status"]["runs"]
            if len(runs) > 1 and runs[1]["state"] == "running":
                break
            assert time.monotonic() - began < 10, f"{runs}\n{running.log[-4000:]}"
            time.sleep(0.05)
        assert runs[0]["reasonResolved"] == "worker-shutdown"
        assert runs[1]["reasonCreated"] == "retry"
        check(running, wait_resolved(running, [task_id], 60))


def test_a_restart_goes_on_where_it_was() -> None:
    with up("--workers", "1") as running:
        before = running.environment()
        ids = create(running, 3, 0.2)
        running.stop()
        running.start()
        assert running.environment() == before
        check(running, wait_resolved(running, ids, 60))
