"""Every process is killed while operations are under way: none is lost, and none is performed twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import Any

import pytest

from liftlock.cli.failures import AnsweredError, TimedOutError, UnreachableError
from operations_world import World
from stamping_world import stamping

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("kills")]


def asked(world: World, name: str) -> str:
    """Ask until the control plane answers; the key finds the operation if it was started before the answer was lost."""
    robin = world.apis["robin"]
    deadline = time.monotonic() + 60
    while True:
        try:
            wanted = {"ref": "main", "input": {"version": name}, "key": name}
            return str(robin.post("operations", "request", "stamp", payload=wanted)["operationId"])
        except (AnsweredError, TimedOutError, UnreachableError):
            assert time.monotonic() < deadline, world.up.log[-3000:]
            time.sleep(0.2)


def ended(world: World, operation_id: str, limit_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(AnsweredError, TimedOutError, UnreachableError):
            found: dict[str, Any] = world.root.get("operations", "operation", operation_id)
            if found["state"] not in ("building", "waiting", "scheduled"):
                return found
        assert time.monotonic() < deadline, f"{operation_id} has not ended\n{world.up.log[-6000:]}"
        time.sleep(0.2)


def check(world: World, operations: dict[str, str], limit_s: float) -> None:
    """Fail unless every operation was performed, and each tag was made once."""
    repository = world.repository
    for name, operation_id in operations.items():
        found = ended(world, operation_id, limit_s)
        assert found["state"] == "done", (
            f"{name}: {found['why']}\n{world.logs(found)}\n{world.up.log[-6000:]}"
        )
        assert world.result(found)["facts"]["reference"] == f"refs/tags/v{name}"
        log = (repository.bare / "logs/refs/tags" / f"v{name}").read_text().splitlines()
        assert len(log) == 1, f"{name} was pushed {len(log)} times"
        assert log[0].startswith("0" * 40)
    tags = repository.git("ls-remote", "--tags", "--refs", "origin").splitlines()
    assert sorted(line.rpartition("/")[2] for line in tags) == sorted(f"v{name}" for name in operations)
    rows = list(world.root.all_pages("audit", "rows", key="rows", query={"action": "operations.performed"}))
    performed = [row["subject"].removeprefix("operation/") for row in rows]
    assert sorted(performed) == sorted(operations.values()), "each is recorded as performed once"
    newest = world.root.get("operations", "operations", query={"project": "format"})["operations"]
    assert {each["operationId"] for each in newest} == set(operations.values()), (
        "a repeated request is one operation"
    )


def test_operations_survive_the_death_of_every_process() -> None:
    with stamping(seconds=0.3) as world:
        operations = {name: asked(world, name) for name in ("1", "2", "3")}
        victims = [pid for pid in sorted(world.up.processes()) if pid != world.up.process.pid]  # type: ignore[union-attr]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.3)
        operations["4"] = asked(world, "4")
        world.up.kill_supervisor()
        world.up.start()
        check(world, operations, 120)


@pytest.mark.soak
def test_many_operations_survive_many_deaths() -> None:
    choice = random.Random(7)
    with stamping() as world:
        operations: dict[str, str] = {}
        for number in range(60):
            operations[str(number)] = asked(world, str(number))
            time.sleep(choice.uniform(0.0, 1.5))
            world.up.kill_one(choice)
            if number % 20 == 19:
                world.up.kill_supervisor()
                world.up.start()
        check(world, operations, 600)
