"""What a task can reach: the operator creates a test task that tries (B6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from liftlock.processes.demo import probe_in_sandbox
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import Stage
from liftlock.processes.state_directory import ENV_FILE


def play(stage: Stage) -> None:
    """Create the probe and judge what it reports; then a task whose payload makes no sense."""
    with stage.report.check("sandbox"):
        stage.say("\nWhat can a task reach? The operator creates a task that tries to get out.")
        wanted = _wanted(stage)
        _check_from_outside(stage, wanted)
        result = _run(stage, wanted)
        stage.say(f"  the task runs as uid {result['uid']}, sees the interfaces {result['interfaces']}")
        expect_equal(
            "what it must see, so that the probe is known to work",
            result["sees"],
            ["/inputs/probe.py", "/usr/bin/env"],
        )
        expect_equal("what it reached", result["reached"], [])
        expect(result["uid"] != 0, "it runs as uid 0")
        expect(set(result["interfaces"]) <= {"lo"}, f"it has the network interfaces {result['interfaces']}")

    with stage.report.check("malformed"):
        _malformed(stage)


def _malformed(stage: Stage) -> None:
    payload = {"command": ["true"], "maxRunTime": 60, "artefacts": []}
    task_id, task = stage.run_task("malformed", payload)
    expect_equal("its state", task.state, "exception")
    [run] = stage.root.api.get("queue", "task", task_id, "status")["status"]["runs"]
    expect_equal("why it was resolved", run["reasonResolved"], "malformed-payload")
    log = stage.log(task_id)
    stage.quote("\n".join(line for line in log.splitlines() if "payload" in line))
    for said in ("payload.artefacts", "expected"):
        expect(said in log, f"its log does not say {said!r}: {log}")


def _wanted(stage: Stage) -> dict[str, Any]:
    root_url = urlsplit(stage.root.profile.root_url)
    return {
        "files": [
            str(stage.server.state_dir / ENV_FILE),
            str(stage.server.log),
            "/etc/shadow",
            "/proc/1/root/etc/shadow",
        ],
        "folders": [
            str(stage.server.state_dir),
            str(stage.folder),
            str(Path.home()),
            "/home",
            "/root",
            "/var/lib",
        ],
        "addresses": [[root_url.hostname, root_url.port], ["192.0.2.1", 80]],
        "words": [stage.root.profile.access_token, stage.release_key],
    }


def _check_from_outside(stage: Stage, wanted: dict[str, Any]) -> None:
    """Make sure that what the probe must not reach is there to be reached."""
    expect(bool((stage.server.state_dir / ENV_FILE).read_bytes()), f"{ENV_FILE} is empty")
    expect(bool(stage.root.api.get("auth", "ping")), "the control plane does not answer")
    expect(all(wanted["words"]), "there are no secrets to look for")


def _run(stage: Stage, wanted: dict[str, Any]) -> dict[str, Any]:
    task_id, task = stage.run_task("probe", _probe(wanted))
    stage.completed(task)
    for line in stage.log(task_id).splitlines():
        if line.strip().startswith('{"reached"'):
            return dict(json.loads(line.strip()))
    stage.failed_tasks.append(task_id)
    raise DifferenceError(f"the log of the probe ({task_id}) has no report")


def _probe(wanted: dict[str, Any]) -> dict[str, Any]:
    program = Path(probe_in_sandbox.__file__).read_text(encoding="utf-8")
    return {
        "command": [["python3", "/inputs/probe.py", "/inputs/wanted.json"]],
        "maxRunTime": 120,
        "inputs": [
            {"name": "probe", "raw": {"content": program}, "mount": "/inputs/probe.py"},
            {"name": "wanted", "raw": {"content": json.dumps(wanted)}, "mount": "/inputs/wanted.json"},
        ],
    }
