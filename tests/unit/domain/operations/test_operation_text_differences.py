"""Differences of texts: bounded, numbered as other tools number them, and with nothing invisible in them."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.operations.text_differences import (
    MAX_LINE,
    MAX_LINES,
    MAX_TEXT,
    MAX_TEXTS,
    Budget,
    text_difference,
    visible,
)

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "d e"]), max_size=30)


def test_a_changed_line_is_shown_with_three_lines_around_it() -> None:
    before = "".join(f"{number}\n" for number in range(1, 21))
    text, note = text_difference(before.encode(), before.replace("10\n", "ten\n").encode(), Budget())
    assert text == "@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n"
    assert note == ""


@given(LINES, LINES)
def test_hunks_are_those_of_the_standard_library(before: list[str], after: list[str]) -> None:
    old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
    text, note = text_difference(old.encode(), new.encode(), Budget())
    changed = [line for line in text.splitlines() if not line.startswith((" ", "@@"))]
    assert sum(line.startswith("-") for line in changed) - sum(
        line.startswith("+") for line in changed
    ) == len(before) - len(after)
    assert _applied(before, text) == after
    assert note == ""
    assert bool(text) == (before != after)


def _applied(before: list[str], text: str) -> list[str]:
    """Return what `patch` would make of it."""
    made, at = [], 0
    for line in text.splitlines():
        if line.startswith("@@"):
            first, count = (int(part) for part in line.split(" ")[1][1:].split(","))
            start = first - 1 if count else first
            made += before[at:start]
            at = start
        elif line.startswith(" "):
            assert before[at] == line[1:]
            made.append(line[1:])
            at += 1
        elif line.startswith("-"):
            assert before[at] == line[1:]
            at += 1
        else:
            made.append(line[1:])
    return made + before[at:]


def test_a_new_file_is_numbered_as_the_standard_library_does() -> None:
    expected = "\n".join(list(difflib.unified_diff([], ["x", "y"], lineterm=""))[2:]) + "\n"
    assert expected == "@@ -0,0 +1,2 @@\n+x\n+y\n"
    assert text_difference(b"", b"x\ny\n", Budget())[0] == expected


def test_a_missing_end_of_line_is_told() -> None:
    text, _ = text_difference(b"x\n", b"x", Budget())
    assert text == "@@ -1,1 +1,1 @@\n-x\n+x\n\\ No newline at end of file\n"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b"])
def test_what_is_no_text_is_called_binary(content: bytes) -> None:
    assert text_difference(b"", content, Budget()) == ("", "binary")


def test_letters_that_turn_the_direction_of_writing_are_shown_as_what_they_are() -> None:
    text, _ = text_difference(b"", "if access_level != 'user\u202e \u2066// admin':\n".encode(), Budget())
    assert "\u202e" not in text
    assert "'user\\u202e \\u2066// admin'" in text


def test_what_would_drive_a_terminal_is_shown_as_what_it_is() -> None:
    assert visible("\x1b[2K\rsafe\töß\u200b") == "\\x1b[2K\\x0dsafe\töß\\u200b"


def test_a_long_line_and_a_long_difference_are_cut() -> None:
    text, note = text_difference(b"", b"x" * (MAX_LINE + 5) + b"\n", Budget())
    assert text == "@@ -0,0 +1,1 @@\n+" + "x" * MAX_LINE + "…\n"
    text, note = text_difference(b"", b"0123456789\n" * 5000, Budget())
    assert note == "the rest is not shown"
    assert MAX_TEXT - 20 < len(text) <= MAX_TEXT


def test_all_differences_together_show_no_more_than_the_budget() -> None:
    budget, shown = Budget(), 0
    for _ in range(100):
        shown += len(text_difference(b"", b"0123456789\n" * 5000, budget)[0])
    assert MAX_TEXTS - 30 < shown <= MAX_TEXTS


def test_a_text_that_costs_too_much_to_compare_is_not_compared() -> None:
    left, right = (b"a\n" * 3000, b"b\n" + b"a\n" * 2999 + b"b\n")
    assert text_difference(b"c\n" + left, right, Budget()) == (
        "",
        "too different to be compared line by line",
    )
    assert text_difference(b"", b"\n" * (MAX_LINES + 1), Budget()) == ("", f"more than {MAX_LINES} lines")
