"""`liftlock task run --local`: the same task here, with the same bytes, compared with what its chain of trust says."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import taskcluster

from liftlock.cli.exit_codes import Exit
from liftlock_up import LIFTLOCK, Up, up
from task_builders import document

pytestmark = pytest.mark.process
QUEUE = "local/unprivileged"
MADE = "public/made"
SCRIPT = "cat /inputs/greeting >made; cat /inputs/upstream >>made 2>/dev/null || true"


@pytest.fixture(scope="module")
def here() -> Iterator[Up]:
    with up() as started:
        yield started


def run_task(here: Up, script: str, **payload: Any) -> str:
    """Run a task of the operator's to its end; return its id."""
    queue, task_id = taskcluster.Queue(here.options()), taskcluster.slugId()
    given = {
        "command": ["sh", "-ec", script],
        "maxRunTime": 60,
        "inputs": [{"name": "greeting", "raw": {"content": "hello"}, "mount": "/inputs/greeting"}],
        "artifacts": [{"name": MADE, "path": "made", "type": "file"}],
        **payload,
    }
    queue.createTask(task_id, document(datetime.now(UTC), taskQueueId=QUEUE, payload=given, scopes=[]))
    deadline = time.monotonic() + 60
    while queue.status(task_id)["status"]["state"] not in ("completed", "failed", "exception"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return task_id


def again(here: Up, task_id: str, *more: str) -> tuple[int, dict[str, Any], str]:
    """Run it here; return the exit status, what it says, and what it tells people."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **here.environment()}
    command = [LIFTLOCK, "task", "run", "--local", "--json", *more, task_id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def expect_no_leftovers() -> None:
    """Fail if a directory of a rerun stays; others on this machine may be at work in theirs."""
    left = set(Path("/var/tmp").glob("liftlock-rerun-*"))
    deadline = time.monotonic() + 60
    while any(path.exists() for path in left):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_a_task_that_is_reproducible_makes_the_same_here(here: Up) -> None:
    upstream = run_task(here, "echo upstream >made")
    piped = [
        {"name": "greeting", "raw": {"content": "hello"}, "mount": "/inputs/greeting"},
        {"name": "upstream", "task": {"id": upstream, "artifact": MADE}, "mount": "/inputs/upstream"},
    ]
    status, said, told = again(here, run_task(here, SCRIPT, inputs=piped))
    assert status == Exit.OK, told
    [one] = said["artifacts"]
    assert (said["outcome"], one["name"], one["state"]) == ("completed", MADE, "same")
    assert one["was"] == one["now"]
    expect_no_leftovers()


def test_what_differs_is_said_with_both_digests(here: Up) -> None:
    status, said, _ = again(here, run_task(here, "head -c 16 /dev/urandom >made"))
    assert status == Exit.VERIFICATION_FAILED
    [one] = said["artifacts"]
    assert one["state"] == "differs"
    assert one["was"] != one["now"]


def test_a_rerun_that_fails_shows_its_log(here: Up) -> None:
    task_id = run_task(
        here, 'test ! -e /inputs/../build/x; date +%s >made; test -z "$FAIL"', env={"FAIL": "1"}
    )
    status, said, told = again(here, task_id)
    assert (status, said["outcome"]) == (Exit.FAILED, "failed")
    assert "the command ended with 1" in told


def test_a_task_that_calls_the_api_is_not_run_again(here: Up) -> None:
    task_id = run_task(here, "echo x >made", features={"taskclusterProxy": True})
    status, said, told = again(here, task_id)
    assert (status, said) == (Exit.USAGE, {})
    assert "it would do once more what it did" in told


def test_a_chain_that_does_not_hold_is_no_base_of_a_comparison(here: Up, tmp_path: Path) -> None:
    task_id = run_task(here, "echo x >made")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"version": 1, "pools": [], "certificates": [], "revoked": []}))
    status, _, told = again(here, task_id, "--keys", str(keys))
    assert status == Exit.VERIFICATION_FAILED, told


def test_a_pools_level_is_what_its_policy_says(tmp_path: Path) -> None:
    """A task that says level 3 in a pool of level 1 makes level-1 artifacts, for every verifier."""
    policy = tmp_path / "policy.toml"
    policy.write_text("level = 1")
    with up("--pool-policy", str(policy)) as low:
        queue, task_id = taskcluster.Queue(low.options()), taskcluster.slugId()
        payload = {"command": ["true"], "maxRunTime": 60}
        definition = document(
            datetime.now(UTC), taskQueueId=QUEUE, payload=payload, schedulerId="demo-level-3"
        )
        queue.createTask(task_id, definition)
        while queue.status(task_id)["status"]["state"] in ("unscheduled", "pending", "running"):
            time.sleep(0.1)
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **low.environment()}
        command = [LIFTLOCK, "task", "verify", "--json", "--level", "3", task_id]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == Exit.VERIFICATION_FAILED
        said = json.loads(done.stdout)
        assert said["level"] == 1
        assert any("below level 3" in check["text"] for check in said["checks"])
