"""How much one control-plane process does on each database, what each request costs, and what bounds it."""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import durable_postgres
import environment
import fill
import stages
import uvloop
from generator import Caller, callers, drive
from installation import Installation, cpu_s, installation, resident_mib
from operations import OPERATIONS, Operation, create, prepare

CONNECTIONS = 16
MANY = 32
STEPS = 1600
P99_GOAL_MS = 25


@dataclass(frozen=True, slots=True)
class Database:
    """What the control plane stores in: its name and version, `liftlock up`'s arguments, and its own processor time."""

    name: str
    arguments: tuple[str, ...] = ()
    cpu_s: Callable[[], float] = lambda: 0.0


@dataclass(slots=True)
class Figures:
    """Samples of one operation on one database; microseconds are of processor time, for one step."""

    operation: Operation
    rate: list[float] = field(default_factory=list)
    plane_us: list[float] = field(default_factory=list)
    database_us: list[float] = field(default_factory=list)
    generator_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def bound(self) -> str:
        """Say what the rate is bounded by."""
        rate, plane = statistics.median(self.rate), statistics.median(self.plane_us)
        parts = [plane, statistics.median(self.database_us), statistics.median(self.generator_us)]
        if rate * plane > 0.85e6:
            return "the control plane's core"
        cores = len(os.sched_getaffinity(0))
        if rate * sum(parts) > 0.85e6 * cores:
            shares = "/".join(f"{part / sum(parts):.0%}" for part in parts)
            return f"all {cores} cores (plane/database/load {shares})"
        return f"waiting (disk, other programs): {rate * sum(parts) / 1e6:.1f} of {cores} cores used"


@contextlib.contextmanager
def databases() -> Iterator[list[Database]]:
    """Yield SQLite and a new PostgreSQL."""
    with durable_postgres.server() as server:
        yield [
            Database(f"SQLite {environment.sqlite()}"),
            Database(f"PostgreSQL {server.version}", ("--database", server.dsn), server.cpu_s),
        ]


async def measure(running: Installation, database: Database, rounds: int, steps: int) -> list[Figures]:
    """Return the figures of every operation."""
    root = running.client()
    credentials = await prepare(root)
    root.close()
    few = await callers(running.root_url, credentials, CONNECTIONS)
    many = await callers(running.root_url, credentials, MANY)
    found = []
    for operation in OPERATIONS:
        if operation.name.startswith("claim"):  # what will be claimed is there before the clock runs
            await drive(many, create, (rounds * 2 + 1) * (steps + MANY))
        figures = Figures(operation)
        await drive(few, operation.step(few[0]), steps // 8)
        for _ in range(rounds):
            await _round(running, database, few, figures, steps)
            await _round(running, database, many, figures, steps)
        found.append(figures)
    for caller in (*few, *many):
        caller.close()
    return found


async def _round(
    running: Installation, database: Database, clients: list[Caller], figures: Figures, steps: int
) -> None:
    """Measure rate and cost with few connections, and the slowest of a hundred requests with many."""
    pid = running.control_plane()
    for client in clients:
        client.latencies.clear()
    before = (cpu_s(pid), database.cpu_s(), time.process_time(), time.perf_counter())
    await drive(clients, figures.operation.step(clients[0]), steps)
    after = (cpu_s(pid), database.cpu_s(), time.process_time(), time.perf_counter())
    plane, store, load, wall = (end - begin for begin, end in zip(before, after, strict=True))
    if len(clients) == MANY:
        slow = sorted(took for client in clients for took in client.latencies)
        figures.p99_ms.append(slow[int(len(slow) * 0.99)] * 1000)
        return
    figures.rate.append(steps / wall)
    figures.plane_us.append(plane / steps * 1e6)
    figures.database_us.append(store / steps * 1e6)
    figures.generator_us.append(load / steps * 1e6)


def table(database: Database, found: list[Figures], write: Callable[[str], object]) -> None:
    """Print the figures of one database."""
    write(
        f"\n{database.name}: medians; µs are processor time a step; a loop of 1,000 steps takes"
        f" {environment.loop_us():.0f} µs now\n"
        f"{'':27}{'/s':>7}{'goal':>7}{'refer.':>8}{'p99 ms':>8}{'plane µs':>10}{'least':>7}{'goal':>6}"
        f"{'database':>10}{'load':>6}  bounded by\n"
    )
    for one in found:
        goal = one.operation
        rate, p99, plane = map(statistics.median, (one.rate, one.p99_ms, one.plane_us))
        held = (rate >= goal.rate_goal, p99 <= P99_GOAL_MS, plane <= goal.cpu_goal)
        missed = [what for what, holds in zip(("rate", "p99", "cost"), held, strict=True) if not holds]
        reference = f"{goal.reference:.0f}" if goal.reference else "–"
        write(
            f"{goal.name:27}{rate:7.0f}{goal.rate_goal:7.0f}{reference:>8}{p99:8.1f}"
            f"{plane:10.0f}{min(one.plane_us):7.0f}{goal.cpu_goal:6.0f}"
            f"{statistics.median(one.database_us):10.0f}{statistics.median(one.generator_us):6.0f}"
            f"  {one.bound()}{'; misses ' if missed else ''}{', '.join(missed)}\n"
        )


def report(rounds: int, steps: int, filled: int, write: Callable[[str], object]) -> None:
    """Measure on both databases and print tables; with `filled`, again when the database holds that many tasks."""
    environment.print_facts(write)
    write(
        f"\n{CONNECTIONS} connections for rates and costs, {MANY} for the p99; {rounds} rounds of {steps} steps\n"
    )
    with databases() as both:
        for database in both:
            with installation(arguments=database.arguments) as running:
                found = uvloop.run(measure(running, database, rounds, steps))
                table(database, found, write)
                write(f"resident after the load: {resident_mib(running.control_plane()):.0f} MiB\n")
                if filled:
                    took = fill.fill(running, database.arguments, filled)
                    write(f"\nfilled with {filled} completed tasks in {took:.0f} s; the same again:\n")
                    table(database, uvloop.run(measure(running, database, rounds, steps)), write)
    stages.report(write)


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each measurement")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of one repetition")
    parser.add_argument(
        "--fill", type=int, default=0, metavar="TASKS", help="measure again with so many tasks stored"
    )
    given = parser.parse_args()
    report(given.rounds, given.steps, given.fill, sys.stdout.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
