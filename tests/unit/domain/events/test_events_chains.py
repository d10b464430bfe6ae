"""Hooks that events fire don't fire themselves, and chains of them end."""

from __future__ import annotations

from liftlock.domain.events.chains import MAX_CHAIN, MAX_FIRES_PER_MINUTE, refusal


def test_an_event_that_no_hook_led_to_fires() -> None:
    assert refusal("g/a", (), 0) is None


def test_a_hook_does_not_fire_for_what_its_own_fire_led_to() -> None:
    assert refusal("g/a", ("g/a",), 0) == (
        "the event is about a task that this hook's own fire led to (g/a → g/a)"
    )
    assert refusal("g/a", ("g/a", "g/b"), 0) is not None
    assert refusal("g/c", ("g/a", "g/b"), 0) is None


def test_a_chain_ends_after_three() -> None:
    assert MAX_CHAIN == 3
    assert refusal("g/d", ("g/a", "g/b", "g/c"), 0) == (
        "3 hooks have fired one another by events: g/a → g/b → g/c; at most 3 may"
    )


def test_a_hook_fires_at_most_sixty_times_a_minute_by_events() -> None:
    assert refusal("g/a", (), MAX_FIRES_PER_MINUTE - 1) is None
    assert refusal("g/a", (), 60) == "events have fired it 60 times within a minute; at most 60 may"
