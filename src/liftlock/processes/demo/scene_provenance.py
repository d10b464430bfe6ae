"""Where an artifact comes from: chains of trust, verified online and offline; inputs that nobody vouches for (B4, B5, B9)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.people import Ended
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import BUILD, Stage

CHAIN, SIGNATURE, STATEMENT = (
    "public/chain-of-trust.json",
    "public/chain-of-trust.json.sig",
    "public/provenance.intoto.json",
)
MANIFEST = "public/inputs.json"
MADE = "public/made.bin"


def play(stage: Stage) -> None:
    """Verify the build as anybody could, then feed tasks with what they must not read."""
    stage.say(
        "\nWhere does the wheel come from? Its worker signed what it did; anybody can follow that to the push."
    )
    build = stage.task(BUILD).task_id
    with stage.report.check("attested"):
        _attested(stage, build)
    with stage.report.check("walk"):
        _green(stage, stage.root.liftlock("task", "verify", build, "--level", "3", "--json"))
    with stage.report.check("offline"):
        _offline(stage, build)
    with stage.report.check("upstream"):
        _upstream(stage)


def _attested(stage: Stage, task_id: str) -> None:
    chain = stage.json_artifact(task_id, CHAIN)
    expect_equal("the signature's bytes", len(stage.artifact(task_id, SIGNATURE)), 64)
    manifest = hashlib.sha256(stage.artifact(task_id, MANIFEST)).hexdigest()
    expect_equal("the manifest's digest in the chain", chain["artifacts"][MANIFEST]["sha256"], manifest)
    expect_equal("inputs in the chain", [one["name"] for one in chain["inputs"]], ["repo", "tools"])
    envelope = stage.json_artifact(task_id, STATEMENT)
    expect_equal("the statement's type", envelope["payloadType"], "application/vnd.in-toto+json")


def _green(stage: Stage, ended: Ended) -> dict[str, Any]:
    expect_equal("the exit status of verify", ended.status, int(Exit.OK))
    said: dict[str, Any] = ended.json
    links = {check["link"] for check in said["checks"] if check["state"] == "green"}
    expect_equal("what was checked", sorted(links), ["artifact", "decision", "graph", "input", "push", "run"])
    expect_equal("verdict and level", (said["verdict"], said["level"]), ("green", 3))
    [push] = [check for check in said["checks"] if check["link"] == "push"]
    stage.quote(push["text"])
    return said


def _offline(stage: Stage, task_id: str) -> None:
    folder = stage.folder / "verify"
    folder.mkdir()
    bundle, keys, wheel = folder / "build.bundle.json", folder / "keys.json", folder / "widget.whl"
    wrote = stage.root.liftlock("task", "bundle", task_id, "-o", str(bundle))
    expect_equal("the exit status of bundle", wrote.status, int(Exit.OK))
    keys.write_text(stage.root.liftlock("keys", "show").stdout, encoding="utf-8")
    name = next(name for name in stage.json_artifact(task_id, CHAIN)["artifacts"] if name.endswith(".whl"))
    content = stage.artifact(task_id, name)
    wheel.write_bytes(content)
    arguments = ["task", "verify", str(bundle), "--keys", str(keys), "--artifact", name, str(wheel), "--json"]
    expect_equal("verdict of the wheel", stage.root.liftlock(*arguments).json["verdict"], "green")
    wheel.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    ended = stage.root.liftlock(*arguments)
    expect_equal("the exit status for a flipped bit", ended.status, int(Exit.VERIFICATION_FAILED))
    reds = [check["text"] for check in ended.json["checks"] if check["state"] == "red"]
    stage.quote("\n".join(reds))
    expect(len(reds) == 1 and "mutated" in reds[0], f"expected one red check, found {reds}")


def _upstream(stage: Stage) -> None:
    stage.say("A task reads what another made. First as it was made, then with a byte flipped in the store.")
    high = _run(stage, "make at level 3", "demo-level-3", _maker("high"))
    low = _run(stage, "make at level 1", "-", _maker("low"))
    other = _run(stage, "make again", "demo-level-3", _maker("again"))
    expect_equal("makers", [_state(stage, each) for each in (high, low, other)], ["completed"] * 3)
    reader = _run(stage, "read level 3", "demo-level-3", _reader(high))
    expect_equal("a reader of what is sound", _state(stage, reader), "completed")
    _flip(stage, stage.json_artifact(other, CHAIN)["artifacts"][MADE]["sha256"])
    for source, why in (
        (low, "what a lower level made is no input"),
        (other, "input made (payload.inputs[0])"),
    ):
        reader = _run(stage, "read", "demo-level-3", _reader(source))
        expect_equal("the reader's state", _state(stage, reader), "exception")
        log = stage.log(reader)
        stage.quote("\n".join(line for line in log.splitlines() if "input" in line))
        expect(why in log and "the task reads" not in log, f"expected {why!r} and no command, found: {log}")
    said = stage.root.liftlock("task", "verify", other, "--json").json
    reds = [
        check["subject"]
        for check in said["checks"]
        if check["state"] == "red" and check["link"] == "artifact"
    ]
    expect_equal("what verify finds mutated", reds, [MADE])


def _state(stage: Stage, task_id: str) -> str:
    return str(stage.root.api.get("queue", "task", task_id, "status")["status"]["state"])


def _maker(text: str) -> dict[str, Any]:
    return {
        "command": [["sh", "-c", f"echo made {text} >made.bin"]],
        "artifacts": [{"name": MADE, "path": "made.bin", "type": "file"}],
    }


def _reader(task_id: str) -> dict[str, Any]:
    one = {"name": "made", "task": {"id": task_id, "artifact": MADE}, "mount": "/inputs/made"}
    return {"command": [["sh", "-c", "echo the task reads; cat /inputs/made"]], "inputs": [one]}


def _run(stage: Stage, name: str, scheduler: str, payload: dict[str, Any]) -> str:
    """Run a task of the operator's, and return its id once it is resolved."""
    return stage.run_task(name, payload | {"maxRunTime": 60}, scheduler)[0]


def _flip(stage: Stage, sha256: str) -> None:
    """Change the last byte of a stored artifact, as whoever owns the disk could."""
    found = [path for path in Path(stage.server.state_dir).rglob(sha256) if path.is_file()]
    if not found:
        raise DifferenceError(f"there is no stored file {sha256}")
    for path in found:
        content = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
