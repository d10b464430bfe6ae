"""A package is published in two stages: a hostile setup.py, an approval, a new commit, and the index (C1, C2, C3, C7)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.cli.exit_codes import Exit
from liftlock.cli.profiles import Profile
from liftlock.processes.demo import index_server
from liftlock.processes.demo.operations_files import (
    APPROVER,
    OPERATION,
    PROJECT,
    REQUESTER,
    SECRET,
    USER,
    OperationsFiles,
)
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.repository import Repository
from liftlock.processes.demo.stage import Stage
from liftlock.values.instants import format_instant

LIMIT_S = 120.0
ATTEMPTS = ("read the token", "reach the index", "poison a cache")
_HOSTILE = """

import os
import pathlib
import urllib.request


def _read_the_token():
    if not any("TOKEN" in name or "SECRET" in name for name in os.environ):
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            if "TOKEN" in path.read_text(errors="replace"):
                return
        raise LookupError("no token in the environment and none in /proc")


def _reach_the_index():
    urllib.request.urlopen("{index}/simple/", timeout=10)


def _poison_a_cache():
    pathlib.Path("/inputs/tools/setuptools/__init__.py").write_text("evil")


for act in (_read_the_token, _reach_the_index, _poison_a_cache):
    what = act.__name__.strip("_").replace("_", " ")
    try:
        act()
        print("hostile setup.py:", what + ": DONE", flush=True)
    except BaseException as error:
        print("hostile setup.py:", what + ": refused,", type(error).__name__, error, flush=True)
"""


def play(stage: Stage, files: OperationsFiles, example: Path) -> None:
    """Ask, be refused, approve, see it voided, approve again, publish and install."""
    stage.say("\nA package is published in two stages. Its setup.py is hostile.")
    token = SystemEntropy().token_bytes(24).hex()
    robin, morgan = _people(stage)
    repository = _repository(stage, files, example)
    _seal(stage, token)
    with _index(stage.folder / "index", files.port, token):
        first = _ask(stage, robin)
        with stage.report.check("hostile"):
            _expect_refusals(stage, first)
        with stage.report.check("not-oneself"):
            ended = _approve(robin, first, files.keys["robin"], "it is mine")
            expect_equal("who asked approves", ended.status, Exit.DENIED)
            stage.quote(ended.text)
        with stage.report.check("approved"):
            ended = _approve(
                morgan, first, files.keys["morgan"], "version 1.0.0, as planned", early=repository
            )
            expect(ended.status == Exit.OK, f"morgan's approval: {ended.text}")
        with stage.report.check("voided"):
            found = _until(stage, first["operationId"], "voided", "done")
            expect_equal("after a new commit", found["state"], "voided")
            stage.say(f"  | {found['why']}")
        with stage.report.check("published"):
            _publish(stage, robin, morgan, files, token)


def _people(stage: Stage) -> tuple[Person, Person]:
    role = f"hook-id:liftlock-operations/{OPERATION}"
    scopes = [
        "queue:create-task:low:local/unprivileged",
        "queue:create-task:project:none",
        "queue:scheduler-id:liftlock-operations",
        f"pushes:get-source:{PROJECT}",
    ]
    stage.root.api.put("auth", "roles", role, payload={"scopes": scopes, "description": "Stage 1"})
    read = ["liftlock:list-operations"]
    return (
        _client(stage, REQUESTER, [f"liftlock:request:{OPERATION}", f"liftlock:approve:{OPERATION}", *read]),
        _client(stage, APPROVER, [f"liftlock:approve:{OPERATION}", *read]),
    )


def _client(stage: Stage, client_id: str, scopes: list[str]) -> Person:
    """Return the person, with a client of their own for operations."""
    made = stage.root.api.put(
        "auth",
        "clients",
        client_id,
        payload={
            "expires": format_instant(SystemClock().now() + timedelta(days=1)),
            "description": "For operations",
            "scopes": scopes,
        },
    )
    profile = Profile(stage.root.profile.root_url, client_id, made["accessToken"])
    return stage.person(client_id.rpartition("/")[2], profile)


def _repository(stage: Stage, files: OperationsFiles, example: Path) -> Repository:
    robin = stage.repository
    made = Repository(
        stage.folder / "gadget.git", robin.clone.parent / "gadget", robin.home, robin.author, robin.email
    )
    made.create(example, needs="operations.yml")
    setup = made.clone / "setup.py"
    setup.write_text(setup.read_text() + _HOSTILE.replace("{index}", files.index))
    made.commit("A gadget, and more than it says")
    made.push()
    ended = stage.root.liftlock(
        *("project", "add", PROJECT, "--identity", f"https://github.com/liftlock-demo/{PROJECT}"),
        *(
            "--fetch",
            str(made.bare),
            "--level",
            "1",
            "--branch",
            "main",
            "--trust-domain",
            "demo",
            "--decide-existing",
        ),
    )
    expect(ended.status == Exit.OK, f"project add {PROJECT}: {ended.text}")
    return made


def _seal(stage: Stage, token: str) -> None:
    arguments = ("operation", "seal-secret", OPERATION, SECRET, "--state-dir", str(stage.server.state_dir))
    ended = stage.root.liftlock(*arguments, given=token)
    expect(ended.status == Exit.OK, f"seal-secret: {ended.text}")


@contextmanager
def _index(folder: Path, port: int, token: str) -> Iterator[None]:
    """Run the index for as long as the block lasts."""
    folder.mkdir()
    server = subprocess.Popen(
        [sys.executable, "-P", "-m", index_server.__name__, str(port), str(folder), USER],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin is not None
    server.stdin.write(token.encode())
    server.stdin.close()
    try:
        yield
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()


def _ask(stage: Stage, robin: Person) -> dict[str, Any]:
    """Return the operation, which waits for approval."""
    ended = robin.liftlock(
        *("operation", "request", OPERATION, "--ref", "main", "--input", "-", "--wait", "--json"),
        given=json.dumps({"version": "1.0.0"}),
    )
    expect(
        ended.status == Exit.WAITING, f"the request: expected status 4, found {ended.status}: {ended.text}"
    )
    found: dict[str, Any] = ended.json
    stage.say(f"  | it waits: sha256:{found['digest']}")
    return found


def _expect_refusals(stage: Stage, found: dict[str, Any]) -> None:
    lines = [line for line in stage.log(found["stage1TaskId"]).splitlines() if "hostile setup.py:" in line]
    seen = {what for what in ATTEMPTS for line in lines if f"{what}: refused" in line}
    for line in dict.fromkeys(lines):
        stage.say(f"  | {line}")
    expect_equal("attempts that were refused", sorted(seen), sorted(ATTEMPTS))
    expect(not any("DONE" in line for line in lines), "an attempt of setup.py came through")


def _approve(
    who: Person, found: dict[str, Any], key: Path, reason: str, early: Repository | None = None
) -> Any:
    """Approve; with `early`, a new commit is pushed right before, so that there is something to void."""
    arguments = ("approval", "approve", found["operationId"], "--digest", found["digest"], "--key", str(key))
    name = key.name.removesuffix(".key")
    if early is not None:
        (early.clone / "NEWS.md").write_text("More bells.\n")
        early.commit("News")
        early.push()
    return who.liftlock(*arguments, "--approver", name, "--reason", reason)


def _until(stage: Stage, operation_id: str, *states: str) -> dict[str, Any]:
    began = time.monotonic()
    while True:
        found: dict[str, Any] = stage.root.api.get("operations", "operation", operation_id)
        if found["state"] in states:
            return found
        if time.monotonic() - began > LIMIT_S:
            raise DifferenceError(f"operation {operation_id} is {found['state']}: {found['why']}")
        time.sleep(0.2)


def _publish(stage: Stage, robin: Person, morgan: Person, files: OperationsFiles, token: str) -> None:
    again = _ask(stage, robin)
    ended = _approve(morgan, again, files.keys["morgan"], "the same, with news")
    expect(ended.status == Exit.OK, f"morgan's second approval: {ended.text}")
    found = _until(stage, again["operationId"], "done", "failed", "voided", "refused")
    log = stage.log(found["stage2TaskId"])
    stage.quote(log)
    expect_equal(
        "the operation", f"{found['state']}: {found['why']}", "done: performed by the privileged worker"
    )
    expect(token not in log + stage.server.log_tail(5000), "a log shows the index's token")
    target = stage.folder / "installed"
    for command in (
        ["/usr/bin/python3", "-m", "venv", str(target)],
        [
            str(target / "bin/pip"),
            "install",
            "--quiet",
            "--index-url",
            f"{files.index}/simple/",
            "gadget==1.0.0",
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        expect(done.returncode == 0, f"{' '.join(command[:3])}: {done.stderr[-500:]}")
    told = subprocess.run(
        [str(target / "bin/python"), "-c", "import gadget; print(gadget.bells(12, 30))"],
        capture_output=True,
        text=True,
        check=False,
    )
    expect_equal("the installed package says", told.stdout.strip(), "1")
