"""What passes between tasks: outputs that are read by name, and caches that nobody verifies (B7, B8)."""

from __future__ import annotations

import json
from typing import Any

from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import AnsweredError
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import BUILD, FIRST_TEST, Stage

MADE = "public/made.bin"
HIGH = "demo-level-3"
_CACHE = "deps"


def play(stage: Stage) -> None:
    """Ask the queue about a graph with a mistake in it; then fill a cache at level 1 and build from it at level 3."""
    stage.say("\nWhat passes between tasks? Outputs by name, and caches, each of one trust level.")
    with stage.report.check("piping"):
        _piping(stage)
    with stage.report.check("cache"):
        _cache(stage)


def _piping(stage: Stage) -> None:
    reader = stage.root.api.get("queue", "task", stage.task(FIRST_TEST).task_id)
    [wheel] = [one for one in reader["payload"]["inputs"] if "output" in one]
    expect_equal("what the tests read", (wheel["task"], wheel["output"]), ({"label": BUILD}, "wheel"))
    wrong = json.loads(json.dumps(reader["payload"]).replace('"output": "wheel"', '"output": "whel"'))
    graph = {
        "build": {"task": stage.root.api.get("queue", "task", stage.task(BUILD).task_id)},
        "test": {"dependencies": ["build", "AAAAAAAAQ2qAAAAAAAAAAA"], "task": {**reader, "payload": wrong}},
    }
    try:
        stage.root.api.post("queue", "check-task-graph", payload={"tasks": graph})
    except AnsweredError as error:
        stage.quote(error.message)
        for said in (
            f"'{BUILD}' declares no output 'whel'; it declares wheel",
            "is neither in the graph nor",
        ):
            expect(said in error.message, f"the answer does not say {said!r}: {error.message}")
    else:
        raise DifferenceError("a graph that reads what no task makes was not refused")


def _cache(stage: Stage) -> None:
    _, task = _run(stage, "fill a cache at level 1", "demo-level-1", "echo low >/build/c/x; cp c/x made.bin")
    stage.completed(task)
    _, task = _run(stage, "the same name at level 3", HIGH, "test ! -e /build/c/x; echo high >made.bin")
    stage.completed(task)
    built, task = _run(
        stage, "build at level 3 from the cache of level 1", HIGH, "echo built >made.bin", level=1
    )
    stage.completed(task)
    told = [
        (one["name"], one["level"])
        for one in stage.json_artifact(built, "public/chain-of-trust.json")["caches"]
    ]
    expect_equal("the caches in the signed chain", told, [(_CACHE, 1)])
    ended = stage.root.liftlock("task", "verify", built, "--level", "3", "--json")
    expect_equal("the exit status of verify", ended.status, int(Exit.VERIFICATION_FAILED))
    checks = [check for check in ended.json["checks"] if check["link"] == "run"]
    expect_equal("its signature, and its level", [check["state"] for check in checks], ["green", "red"])
    stage.quote("\n".join(check["text"] for check in checks))
    expect("it used the cache deps of level 1" in checks[1]["text"], f"it says {checks[1]['text']!r}")
    one = {"name": "made", "task": {"id": built, "artifact": MADE}, "mount": "/inputs/made"}
    payload = {"command": [["cat", "/inputs/made"]], "maxRunTime": 60, "inputs": [one]}
    reader, task = stage.run_task("read at level 3", payload, HIGH)
    expect_equal("the state of a level-3 task that reads it", task.state, "exception")
    expect("what a lower level made is no input" in stage.log(reader), "its log does not say why")


def _run(stage: Stage, name: str, scheduler: str, script: str, *, level: int | None = None) -> Any:
    """Run a task of the operator's with the cache; return its id and the task, resolved."""
    cache = {"name": _CACHE, "mount": "/build/c", **({} if level is None else {"level": level})}
    payload = {
        "command": [["sh", "-ec", script]],
        "maxRunTime": 60,
        "caches": [cache],
        "artifacts": [{"name": MADE, "path": "made.bin", "type": "file"}],
    }
    return stage.run_task(name, payload, scheduler, scopes=[f"worker:cache:{_CACHE}"])
