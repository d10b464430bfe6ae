"""How much a pusher may learn, and figures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liftlock.gate.metrics import MAX_SERIES, Metrics
from liftlock.gate.quota import DAY_MS, Quota
from liftlock.ports.gate_state import Hit

NOW = 1_000 * DAY_MS


def test_what_was_shown_once_is_free_for_a_day() -> None:
    quota = Quota([])
    assert quota.spend("p", [1, 2, 1], NOW, 2) == [Hit("p", 1, NOW), Hit("p", 2, NOW)]
    assert quota.spend("p", [1], NOW + DAY_MS - 1, 2) == []
    assert quota.spend("p", [3], NOW + DAY_MS - 1, 2) is None
    assert quota.spend("p", [3], NOW + DAY_MS, 2) == [Hit("p", 3, NOW + DAY_MS)]


def test_too_much_at_once_counts_nothing_and_others_are_not_touched() -> None:
    quota = Quota([Hit("p", 1, NOW)])
    assert quota.spend("p", [2, 3], NOW, 2) is None
    assert quota.used("p", NOW) == 1
    assert quota.spend("q", [2, 3], NOW, 2) is not None


def test_a_clock_that_was_set_back_gives_nothing_back() -> None:
    quota = Quota([Hit("p", bug, NOW + 5 * DAY_MS) for bug in (1, 2)])
    assert quota.spend("p", [3], NOW, 2) is None


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, DAY_MS // 4)), max_size=80), st.integers(0, 6))
def test_never_more_new_bugs_than_the_limit_in_any_day(asked: list[tuple[int, int]], limit: int) -> None:
    quota, learned, now = Quota([]), [], NOW
    for bug, later in asked:
        now += later
        learned += [hit.at_ms for hit in quota.spend("p", [bug], now, limit) or []]
        assert sum(at > now - DAY_MS for at in learned) <= limit


def test_metrics_are_bounded_and_escaped() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 10):
        metrics.count("pushes_total", repository=f"r{number}", outcome="allow")
    assert metrics.value("pushes_total", repository="other", outcome="other") == 10
    metrics.gauge("frozen", 1, source='a"b\\c\nd')
    assert 'liftlock_gate_frozen{source="a\\"b\\\\c\\nd"} 1' in metrics.text()


def test_decision_times_fall_into_their_buckets() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.0005, 0.003, 9.0):
        metrics.decided(seconds)
    text = metrics.text()
    assert 'le="0.0005"} 2' in text
    assert 'le="0.005"} 3' in text
    assert 'le="+Inf"} 4' in text
    assert "liftlock_gate_decision_seconds_count 4" in text
