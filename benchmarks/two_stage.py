"""A hundred operations of two stages at once, from the request to the end: told apart, none lost, none performed twice.

Each is asked for with a version of its own; stage 1 runs in a real sandbox and hands over what it was told, and the privileged worker tags
the revision by that version. `two_stage.py` alone prints the figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from liftlock.cli.client import Api
from liftlock_up import Up
from operations_world import World
from stamping_world import stamping

OPERATIONS = 100
ASKERS = 10
LIMIT_S = 900.0
ENDED = ("done", "failed", "refused", "voided", "rejected", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one round. `whole_s`: from the first request to the last end; `each_s`: of each operation; `asked_s`: of each request."""

    whole_s: float
    each_s: list[float]
    asked_s: list[float]
    lost: int
    mixed: int
    twice: int


def measure(count: int = OPERATIONS, workers: int = 2) -> Measured:
    """Run `count` operations at once with `workers` sandboxes, and look at what came of each."""
    with stamping("--workers", str(workers)) as world:
        began = time.perf_counter()
        with ThreadPoolExecutor(ASKERS) as askers:
            asked = list(askers.map(lambda number: _ask(world, number), range(count)))
        ids = {number: operation_id for number, operation_id, _ in asked}
        found = _ended(world, set(ids.values()))
        whole = time.perf_counter() - began
        return Measured(
            whole_s=whole,
            each_s=[_seconds(each["created"], each["changed"]) for each in found.values()],
            asked_s=[took for _, _, took in asked],
            lost=sum(found[each]["state"] != "done" for each in ids.values()),
            mixed=sum(_is_mixed(world, found[each], f"{number}") for number, each in ids.items()),
            twice=_performed_twice(world, ids),
        )


def _ask(world: World, number: int) -> tuple[int, str, float]:
    api, began = Api(world.apis["robin"].profile), time.perf_counter()
    wanted = {"ref": "main", "input": {"version": str(number)}, "key": str(number)}
    made = api.post("operations", "request", "stamp", payload=wanted)
    api.close()
    return number, str(made["operationId"]), time.perf_counter() - began


def _ended(world: World, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Return every operation once all have ended."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        listed = list(world.root.all_pages("operations", "operations", key="operations"))
        found = {each["operationId"]: each for each in listed if each["state"] in ENDED}
        if wanted <= set(found):
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(wanted - set(found))} operations have not ended:\n{_tail(world.up)}")
        time.sleep(0.5)


def _is_mixed(world: World, found: dict[str, Any], version: str) -> bool:
    """Tell whether anything of the operation is another's: its input, what its stage 1 was told, or what was done."""
    told = json.loads(world.root.artifact(found["stage1TaskId"], "artifacts/verdict.json"))
    facts = json.loads(world.root.artifact(found["stage2TaskId"], "public/result.json"))["facts"]
    said = (told["operationId"], told["input"]["version"], found["input"]["version"], facts["reference"])
    return said != (found["operationId"], version, version, f"refs/tags/v{version}")


def _performed_twice(world: World, ids: dict[int, str]) -> int:
    """Return how many tags were written more than once, by the log that the repository keeps."""
    logs = [world.repository.bare / "logs/refs/tags" / f"v{number}" for number in ids]
    return sum(log.exists() and len(log.read_text().splitlines()) != 1 for log in logs)


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _tail(up: Up) -> str:
    return up.log[-4000:]


def main() -> int:
    """Print the figures; return 1 if an operation was lost, mixed up or performed twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=OPERATIONS)
    parser.add_argument("--workers", type=int, default=2)
    told = parser.parse_args()
    found = measure(told.operations, told.workers)
    each = sorted(found.each_s)
    sys.stdout.write(
        f"{told.operations} operations at once, {told.workers} sandboxes: {found.whole_s:.1f} s in all,"
        f" {told.operations / found.whole_s:.1f} a second\n"
        f"each: median {statistics.median(each):.1f} s, least {each[0]:.1f} s, most {each[-1]:.1f} s\n"
        f"answer to a request, {ASKERS} at once: median {statistics.median(found.asked_s) * 1000:.0f} ms\n"
        f"lost {found.lost}, mixed up {found.mixed}, performed twice {found.twice}\n"
    )
    return 1 if found.lost or found.mixed or found.twice else 0


if __name__ == "__main__":
    sys.exit(main())
