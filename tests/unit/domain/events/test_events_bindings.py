"""Patterns of routing keys mean what they mean to a message broker, and matching them is cheap."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.events.bindings import MAX_BINDINGS, Binding, check_bindings, matches
from liftlock.domain.events.naming import EXCHANGES
from liftlock.errors import InputInvalidError

DEFINED = f"{EXCHANGES}task-defined"


def by_regex(pattern: list[str], key: list[str]) -> bool:
    """Return the same by a regular expression over words, each followed by a dot."""
    parts = {"*": r"[^.]*\.", "#": r"(?:[^.]*\.)*"}
    text = "".join(parts.get(word, re.escape(word) + r"\.") for word in pattern)
    return re.fullmatch(text, "".join(f"{word}." for word in key)) is not None


WORDS = st.sampled_from(["a", "b", ""])


@given(st.lists(st.sampled_from(["a", "b", "*", "#", ""]), max_size=6), st.lists(WORDS, max_size=7))
def test_a_pattern_matches_as_its_definition_says(pattern: list[str], key: list[str]) -> None:
    assert matches(pattern, key) == by_regex(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("#", "a.b.c", True),
        ("a.#", "a", True),
        ("a.*", "a", False),
        ("*.b", "a.b", True),
        ("a.#.c", "a.c", True),
        ("a.#.c", "a.b.b.c", True),
        ("a.#.c", "a.b", False),
        ("a.b", "a.b.c", False),
        ("A", "a", False),
    ],
)
def test_examples_of_patterns(pattern: str, key: str, *, expected: bool) -> None:
    assert matches(pattern.split("."), key.split(".")) is expected


def test_a_pattern_made_to_be_slow_is_not() -> None:
    began = time.process_time()
    assert not matches(["#", "*"] * 64, ["a"] * 60)
    assert not matches([*["#", "a"] * 60, "b"], ["a"] * 500)
    assert time.process_time() - began < 1


def test_bindings_are_counted_and_name_exchanges_of_ours() -> None:
    assert check_bindings([Binding(DEFINED, "#")] * MAX_BINDINGS).topics == ("task-defined",)
    with pytest.raises(InputInvalidError, match="bindings: expected 1 to 64, got 65"):
        check_bindings([Binding(DEFINED, "#")] * (MAX_BINDINGS + 1))
    with pytest.raises(InputInvalidError, match="bindings: expected 1 to 64, got 0"):
        check_bindings([])
    with pytest.raises(
        InputInvalidError, match=r"bindings\[1\]\.exchange: expected exchange/.*got 'elsewhere'"
    ):
        check_bindings([Binding(DEFINED, "#"), Binding("elsewhere", "#")])
