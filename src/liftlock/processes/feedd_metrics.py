"""feedd's figures, written to a file for a textfile collector: feedd serves no port.

Source: docs/reference/gate-feed.md#metrics
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from liftlock.gate.tracker_intake import TrackerIntake

_log = structlog.get_logger(__name__)
EVERY_S = 5.0


class FeedFigures(Collector):
    """What the intakes have counted, and how they stand now."""

    def __init__(self, intakes: Mapping[str, TrackerIntake]) -> None:
        self._intakes = intakes

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        counts = CounterMetricFamily(
            "liftlock_feed_happenings", "What happened, by kind.", labels=["source", "kind"]
        )
        for name, intake in sorted(self._intakes.items()):
            for kind, number in sorted(intake.counts.items()):
                counts.add_metric([name, kind], number)
        yield counts
        yield from self._standing()

    def _standing(self) -> Iterator[Metric]:
        age = GaugeMetricFamily(
            "liftlock_feed_age_seconds", "Time since the tracker last answered.", labels=["source"]
        )
        waiting = GaugeMetricFamily(
            "liftlock_feed_waiting_events", "Events that the gate has not acknowledged.", labels=["source"]
        )
        frozen = GaugeMetricFamily(
            "liftlock_feed_frozen", "1 if the tracker's access is not what it should be.", labels=["source"]
        )
        now = asyncio.get_running_loop().time()
        for name, intake in sorted(self._intakes.items()):
            health, place = intake.health, intake.place()
            age.add_metric([name], float("inf") if health.contacted is None else now - health.contacted)
            waiting.add_metric([name], 0 if place is None else place.head - place.floor + 1)
            frozen.add_metric([name], float(health.frozen is not None))
        yield from (age, waiting, frozen)


async def write_figures(intakes: Mapping[str, TrackerIntake], path: Path) -> None:
    """Write the figures for ever; each version of the file is whole. What can't be written is logged, and no more."""
    registry = CollectorRegistry()
    registry.register(FeedFigures(intakes))
    while True:
        try:
            write_to_textfile(str(path), registry)
            os.chmod(path, 0o644)
        except OSError as error:
            _log.warning("the figures can't be written", path=str(path), error=str(error))
        await asyncio.sleep(EVERY_S)
