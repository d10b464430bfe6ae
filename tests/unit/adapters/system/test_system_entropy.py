"""The real entropy makes what the ids' parser accepts."""

from __future__ import annotations

from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.values.ids import is_task_id


def test_slugids_are_well_formed_and_differ() -> None:
    made = [SystemEntropy().slugid() for _ in range(1000)]
    assert all(map(is_task_id, made))
    assert len(set(made)) == 1000


def test_tokens_have_the_size_asked_for() -> None:
    assert len(SystemEntropy().token_bytes(33)) == 33


def test_the_clock_is_aware_and_in_utc() -> None:
    assert SystemClock().now().utcoffset().total_seconds() == 0


def test_no_slugid_looks_like_an_option_of_a_command() -> None:
    assert not any(SystemEntropy().slugid().startswith("-") for _ in range(1000))
