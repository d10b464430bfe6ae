"""gated's figures, in the text form that Prometheus reads; gated itself serves them to operators only.

Written without a client library: those bring an HTTP server along, and gated has no network.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0)
MAX_SERIES: Final = 1_000
_HELP: Final = {
    "liftlock_gate_pushes_total": ("counter", "Pushes, by repository and outcome."),
    "liftlock_gate_would_reject_total": (
        "counter",
        "Pushes that a rule in warn mode would have rejected, by repository.",
    ),
    "liftlock_gate_findings_total": ("counter", "Broken rules, by rule and severity."),
    "liftlock_gate_feed_total": ("counter", "Messages of the feed, by source and what became of them."),
    "liftlock_gate_rereads_total": ("counter", "Bugs that were read again before a rejection, by result."),
    "liftlock_gate_quota_alerts_total": ("counter", "Pushers that asked about too many sensitive bugs."),
    "liftlock_gate_slipped_total": ("counter", "Commits found afterwards that should have been rejected."),
    "liftlock_gate_errors_total": ("counter", "Failures, by kind."),
    "liftlock_gate_list_age_seconds": ("gauge", "Time since the last contact with the tracker, by source."),
    "liftlock_gate_sensitive_bugs": ("gauge", "Sensitive bugs in the list, by source."),
    "liftlock_gate_frozen": ("gauge", "1 if a feed says that its records are not complete, by source."),
}


class Metrics:
    """Counters, gauges and one histogram."""

    def __init__(self) -> None:
        self._values: dict[str, dict[tuple[tuple[str, str], ...], float]] = defaultdict(dict)
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._seconds = 0.0

    def count(self, name: str, by: float = 1, /, **labels: str) -> None:
        """Add to a counter; new series beyond `MAX_SERIES` a name are counted under `other`."""
        series = self._values[f"liftlock_gate_{name}"]
        key = tuple(sorted(labels.items()))
        if key not in series and len(series) >= MAX_SERIES:
            key = tuple((label, "other") for label, _ in key)
        series[key] = series.get(key, 0) + by

    def gauge(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._values[f"liftlock_gate_{name}"][tuple(sorted(labels.items()))] = value

    def decided(self, seconds: float) -> None:
        """Note how long gated took from the end of a push's commits to the answer."""
        self._seconds += seconds
        self._buckets[next((n for n, bound in enumerate(BUCKETS_S) if seconds <= bound), len(BUCKETS_S))] += 1

    def value(self, name: str, **labels: str) -> float:
        """Return a counter's or gauge's value."""
        return self._values[f"liftlock_gate_{name}"].get(tuple(sorted(labels.items())), 0)

    def text(self) -> str:
        """Return everything in the exposition format."""
        lines = []
        for name, (kind, told) in _HELP.items():
            lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
            for labels, value in sorted(self._values[name].items()):
                inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
                lines.append(f"{name}{{{inner}}} {value:g}" if inner else f"{name} {value:g}")
        name, total = "liftlock_gate_decision_seconds", 0
        lines += [f"# HELP {name} From the last commit to the answer.", f"# TYPE {name} histogram"]
        for bound, count in zip([*map(str, BUCKETS_S), "+Inf"], self._buckets, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return "\n".join([*lines, f"{name}_sum {self._seconds:.6f}", f"{name}_count {total}", ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
