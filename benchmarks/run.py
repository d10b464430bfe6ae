"""`make bench`: measures in one run and prints medians, their spread, and the ratio to a stated baseline.

The baseline of a limit is the limit; the baseline of a rate is what the reference implementation (one Node process a
service, PostgreSQL) was measured at on a machine of the same size. Exit status 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

import configuration
import gate
import latency
import load
import pages
import two_stage


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its samples, its unit, and what it is held against."""

    name: str
    unit: str
    samples: list[float]
    baseline: float
    source: str
    higher_is_better: bool = False
    binding: bool = True

    @property
    def median(self) -> float:
        """Return the median of the samples."""
        return statistics.median(self.samples)

    @property
    def holds(self) -> bool:
        """Tell whether the median is on the right side of the baseline."""
        return self.median >= self.baseline if self.higher_is_better else self.median <= self.baseline


def rows(rounds: int) -> list[Row]:
    """Measure everything."""
    start, idle = latency.start_up(rounds)
    found = [
        Row("start to ready", "s", start, 1.5, "limit"),
        Row("control plane, idle", "MiB", idle, 150, "limit"),
        Row(
            "dependency completed to dependent claimed",
            "ms",
            asyncio.run(latency.unblock(rounds * 10)),
            50,
            "limit",
        ),
        Row("push to decision task running", "ms", latency.push_to_running(rounds * 2), 300, "limit"),
    ]
    found += [
        Row(cost.name, cost.unit, cost.samples, cost.limit, "goal", binding=False)
        for cost in gate.rows(rounds)
    ]
    found += [
        Row(cost.name, cost.unit, cost.samples, cost.limit, "limit") for cost in configuration.rows(rounds)
    ]
    found += [Row(one.name, one.unit, one.samples, one.limit, "limit") for one in pages.rows(rounds)]
    together = two_stage.measure()
    wrong = float(together.lost + together.mixed + together.twice)
    found += [
        Row("100 operations at once: lost, mixed up or twice", "", [wrong], 0, "limit"),
        Row("100 operations at once, in all", "s", [together.whole_s], 120, "goal", binding=False),
    ]
    return found


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each measurement")
    rounds = parser.parse_args().rounds
    write: Callable[[str], object] = sys.stdout.write
    load.report(rounds, load.STEPS, 0, write)
    measured = rows(rounds)
    write("\nlatencies and limits, on SQLite with durable commits\n\n")
    write(f"{'figure':46} {'median':>10} {'min':>10} {'max':>10}  {'baseline':>18}  ratio\n")
    for row in measured:
        verdict = "" if row.holds else ("  EXCEEDED" if row.binding else "  not reached")
        baseline = f"{row.baseline:g} {row.unit} ({row.source})"
        write(
            f"{row.name:46} {row.median:10.1f} {min(row.samples):10.1f} {max(row.samples):10.1f}"
            f"  {baseline:>18}  {row.median / row.baseline if row.baseline else row.median:.2f}{verdict}\n"
        )
    return 0 if all(row.holds or not row.binding for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
