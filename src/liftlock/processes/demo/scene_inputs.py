"""What a task was given: a byte is flipped in the store, restored again, and a task tries the network (B2, B5, B6)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from liftlock.processes.demo.graph import Task
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import Stage

INGREDIENT = "public/ingredient.txt"
CONTENT = b"a toolchain that another task made\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
_ATTEMPTS = ("http://files.example/a", "https://index.example/simple/", "http://169.254.169.254/latest")
_PROBE = """
import sys, urllib.request
for address in sys.argv[1:]:
    try:
        urllib.request.urlopen(address, timeout=10)
        print("reached", address)
    except OSError as error:
        print("refused", address, error)
"""


def play(stage: Stage) -> None:
    """Make an artifact, use it, use it with a flipped byte, use it restored; then try to get out."""
    stage.say("\nWhat was a task given? A task makes a file, another one uses it.")
    payload = {
        "command": ["sh", "-c", f"printf '%s' '{CONTENT.decode()}' >made"],
        "maxRunTime": 60,
        "artifacts": [{"name": INGREDIENT, "path": "made", "type": "file"}],
    }
    producer, task = stage.run_task("make the ingredient", payload)
    stage.completed(task)
    with stage.report.check("flipped"):
        stage.completed(_use(stage, producer)[1])
        with _flipped(stage):
            _expect_refused(stage, *_use(stage, producer))
    with stage.report.check("sealed"):
        _expect_sealed(stage, *_use(stage, producer))
    with stage.report.check("attempts"):
        _try_the_network(stage)


def _use(stage: Stage, producer: str) -> tuple[str, Task]:
    payload = {
        "command": ["cat", "/inputs/ingredient"],
        "maxRunTime": 60,
        "inputs": [
            {
                "name": "ingredient",
                "task": {"id": producer, "artifact": INGREDIENT},
                "mount": "/inputs/ingredient",
            }
        ],
    }
    return stage.run_task("use the ingredient", payload)


@contextmanager
def _flipped(stage: Stage) -> Iterator[None]:
    """Flip one byte of the ingredient in every worker's store, and restore it in the end."""
    stores = sorted((stage.server.state_dir / "workers").glob("store-*/blobs/sha256"))
    blobs = [store / SHA256 for store in stores]
    if not any(blob.exists() for blob in blobs):
        raise DifferenceError(f"no worker's store has {SHA256}")
    stage.say(f"  one byte is flipped in the store, in the file {SHA256[:12]}…")
    for blob in blobs:
        _write(blob, b"A" + CONTENT[1:])
    try:
        yield
    finally:
        stage.say("  the byte is restored")
        for blob in blobs:
            _write(blob, CONTENT)


def _write(blob: Path, content: bytes) -> None:
    if blob.exists():
        blob.chmod(0o644)
    blob.write_bytes(content)
    blob.chmod(0o444)


def _expect_refused(stage: Stage, task_id: str, task: Task) -> None:
    expect_equal("the state of a task whose input was changed", task.state, "exception")
    [run] = stage.root.api.get("queue", "task", task_id, "status")["status"]["runs"]
    expect_equal("why it was resolved", run["reasonResolved"], "resource-unavailable")
    log = stage.log(task_id)
    observed = hashlib.sha256(b"A" + CONTENT[1:]).hexdigest()
    stage.quote("\n".join(line for line in log.splitlines() if "observed" in line))
    for said in (f"declared sha256 {SHA256}", f"observed {observed}"):
        expect(said in log, f"its log does not say {said!r}: {log}")
    expect("command 1" not in log, "its command was started")


def _expect_sealed(stage: Stage, task_id: str, task: Task) -> None:
    stage.completed(task)
    manifest = stage.json_artifact(task_id, "public/inputs.json")
    expect_equal("the manifest's network", manifest["network"]["sealing"], "sealed")
    [given] = manifest["inputs"]
    expect_equal("what it was given", given["files"][0]["sha256"], SHA256)
    expect(bool(given["producer"]), "the manifest does not name the producer")
    shown = {key: given[key] for key in ("name", "kind", "declared", "files", "producer")}
    stage.quote(json.dumps({"network": manifest["network"]["sealing"], "input": shown}, indent=1))


def _try_the_network(stage: Stage) -> None:
    stage.say("  a task tries the network")
    payload = {"command": ["python3", "-I", "-c", _PROBE, *_ATTEMPTS], "maxRunTime": 120}
    task_id, task = stage.run_task("try the network", payload)
    stage.completed(task)
    reached = [line for line in stage.log(task_id).splitlines() if line.startswith("reached ")]
    expect_equal("what it reached", reached, [])
    refused = stage.json_artifact(task_id, "public/inputs.json")["network"]["refused"]
    stage.quote("\n".join(f"{one['method']} {one['path']}: {one['why']}" for one in refused))
    expect_equal(
        "the attempts in its manifest",
        [(one["method"], one["path"]) for one in refused],
        [("GET", _ATTEMPTS[0]), ("CONNECT", "index.example:443"), ("GET", _ATTEMPTS[2])],
    )
