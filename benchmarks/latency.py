"""How long a person or a task waits: start-up, unblocking, a push's way to its decision task."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from client import Client, task_definition
from installation import Installation, installation, resident_mib

from liftlock.adapters.system.entropy import SystemEntropy

slugid = SystemEntropy().slugid
QUEUE = "bench/latency"
IDENTITY = "https://github.com/liftlock-bench/push"

_TASKCLUSTER_YML = """\
version: 1
reporting: checks-v1
policy: {pullRequests: public}
tasks:
  - $if: 'tasks_for == "github-push"'
    then:
      taskId: {$eval: ownTaskId}
      taskGroupId: {$eval: taskGroupId}
      taskQueueId: local/unprivileged
      schedulerId: bench-level-3
      created: {$fromNow: ''}
      deadline: {$fromNow: '1 hour'}
      metadata: {name: decision, description: measures, owner: bench@example.com, source: 'https://example.com/bench'}
      payload: {command: [['true']], maxRunTime: 60}
"""


def start_up(rounds: int) -> tuple[list[float], list[float]]:
    """Return seconds from `liftlock up` to ready, and MiB resident of the idle control plane, for each round."""
    ready, idle = [], []
    for _ in range(rounds):
        with installation() as running:
            ready.append(running.ready_s)
            time.sleep(1)
            idle.append(resident_mib(running.control_plane()))
    return ready, idle


async def unblock(rounds: int) -> list[float]:
    """Return milliseconds from reporting a task completed until its dependent is claimed by a waiting worker."""
    with installation() as running:
        root, worker = running.client(), running.client()
        samples = [await _unblock_once(root, worker) for _ in range(rounds)]
        root.close()
        worker.close()
    return samples


async def _unblock_once(root: Client, worker: Client) -> float:
    first, second = slugid(), slugid()
    await root.call("PUT", f"queue/v1/task/{first}", task_definition(QUEUE))
    await root.call(
        "PUT", f"queue/v1/task/{second}", task_definition(QUEUE, dependencies=[first], taskGroupId=first)
    )
    claimed = await _claim(root)
    assert claimed["status"]["taskId"] == first
    waiting = asyncio.create_task(_claim(worker))
    await asyncio.sleep(0.05)
    began = time.perf_counter()
    completion = asyncio.create_task(root.call("POST", f"queue/v1/task/{first}/runs/0/completed"))
    second_claim = await waiting
    took = time.perf_counter() - began
    assert second_claim["status"]["taskId"] == second
    await completion
    await root.call("POST", f"queue/v1/task/{second}/runs/0/completed")
    return took * 1000


async def _claim(client: Client) -> Any:
    body = {"tasks": 1, "workerGroup": "bench", "workerId": "bench-1"}
    for _ in range(10):
        answer = await client.call("POST", f"queue/v1/claim-work/{QUEUE.replace('/', '%2F')}", body)
        if answer["tasks"]:
            return answer["tasks"][0]
    raise RuntimeError("nothing to claim")


def push_to_running(rounds: int) -> list[float]:
    """Return milliseconds from `git push` having moved the ref until the decision task's run started."""
    with (
        tempfile.TemporaryDirectory(prefix="liftlock-bench-git-") as folder,
        installation(workers=1) as running,
    ):
        Path(folder).chmod(0o755)
        return asyncio.run(_pushes(running, Path(folder), rounds))


async def _pushes(running: Installation, folder: Path, rounds: int) -> list[float]:
    bare, work = folder / "bare.git", folder / "work"
    _git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    _git(folder, "init", "--quiet", "--initial-branch=main", str(work))
    root = running.client()
    await register(root, str(bare))
    _install_hook(running, bare)
    samples = []
    for number in range(rounds + 1):
        (work / ".taskcluster.yml").write_text(_TASKCLUSTER_YML)
        (work / "number").write_text(str(number))
        _git(work, "add", "--all")
        _git(
            work,
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@example.com",
            "commit",
            "--quiet",
            "-m",
            f"{number}",
        )
        began = time.time()
        _git(work, "push", "--quiet", str(bare), "main")
        started = await _decision_started(root, number + 1)
        if number:  # the first push also makes the mirror
            samples.append((started - began) * 1000)
    root.close()
    return samples


async def register(root: Client, fetch: str) -> None:
    """Register the repository at `fetch` and give its role what a decision task needs."""
    project = {
        "identityUrl": IDENTITY,
        "fetchUrl": fetch,
        "level": 3,
        "branches": ["main"],
        "trustDomain": "bench",
    }
    await root.call("PUT", "pushes/v1/project/push", project)
    role = "repo:github.com/liftlock-bench/push:*".replace(":", "%3A").replace("/", "%2F").replace("*", "%2A")
    scopes = [
        "queue:create-task:highest:local/unprivileged",
        "queue:scheduler-id:bench-level-3",
        "queue:create-task:project:none",
    ]
    await root.call("PUT", f"auth/v1/roles/{role}", {"description": "measures", "scopes": scopes})


def _install_hook(running: Installation, bare: Path) -> None:
    from installation import LIFTLOCK  # noqa: PLC0415 -- only this measurement needs the command line

    environment = {
        "PATH": "/usr/bin:/bin",
        "TASKCLUSTER_ROOT_URL": running.root_url,
        "TASKCLUSTER_CLIENT_ID": running.credentials.client_id,
        "TASKCLUSTER_ACCESS_TOKEN": running.credentials.access_token,
    }
    subprocess.run(
        [LIFTLOCK, "push", "install-hook", "push", str(bare)],
        env=environment,
        check=True,
        capture_output=True,
    )


async def _decision_started(root: Client, pushlog_id: int) -> float:
    for _ in range(2000):
        found = await root.call("GET", "pushes/v1/project/push/pushes?limit=1000")
        push = next((push for push in found["pushes"] if push["id"] == pushlog_id), None)
        if push is not None and push["taskId"]:
            status = await root.call("GET", f"queue/v1/task/{push['taskId']}/status")
            runs = status["status"]["runs"]
            if runs and "started" in runs[0]:
                return datetime.fromisoformat(runs[0]["started"]).timestamp()
        await asyncio.sleep(0.02)
    raise RuntimeError(f"push {pushlog_id} started no decision task")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
