"""The message grammar: vectors, properties, and hostile input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.pushes.bug_references import MAX_REFERENCES, may_name, references
from liftlock.domain.pushes.message import SILENT, direction_of, read

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "gate_messages.json").read_text())
BUGS = st.integers(1, 10**8 - 1)


@pytest.mark.parametrize("case", VECTORS, ids=[case["message"][:40] for case in VECTORS])
def test_a_message_is_read_as_the_vectors_say(case: dict[str, object]) -> None:
    found = read(str(case["message"]).encode())
    assert list(found.subject) == case["subject"]
    assert list(found.body) == case["body"]
    if found is not SILENT:
        assert [value.decode() for value in found.approved_by] == case["approved_by"]
        assert found.direction == case["direction"]


@pytest.mark.parametrize("case", VECTORS, ids=[case["message"][:40] for case in VECTORS])
def test_no_bug_that_a_message_names_is_passed_over_unread(case: dict[str, object]) -> None:
    message = str(case["message"]).encode()
    found = read(message)
    for bug in found.subject + found.body:
        assert may_name(message, {bug})


_PARTS = st.sampled_from(
    [b"bug ", b"Bugs ", b"b=", b"#", b"0", b"00", b"1", b"12345678", b"99999999", b", ", b" and ", b"fix for ",
     b"show_bug.cgi?id=", b"x", b"\n", b"-", b"\xff"]
)  # fmt: skip


@given(st.lists(_PARTS, max_size=12).map(b"".join))
def test_whatever_is_read_of_a_message_was_worth_reading(message: bytes) -> None:
    found = read(message)
    for bug in found.subject + found.body:
        assert may_name(message, {bug, 5})


def test_a_message_without_the_numbers_is_not_worth_reading() -> None:
    assert not may_name(b"Bug 1234567 - x. D0012", {123, 12345678, 1234})
    assert may_name(b"Bug 0012 - x", {12})
    assert not may_name(b"9" * 100_000, {1})


@given(BUGS, st.binary(max_size=50))
def test_a_bug_at_the_beginning_is_found_whatever_bytes_follow_on_the_next_line(
    bug: int, rest: bytes
) -> None:
    assert read(b"Bug %d - x\n" % bug + rest).subject[0] == bug
    assert read(b"Bug %d - x\n\n" % bug + rest).subject == (bug,)


_GAPS = st.sampled_from(
    [" ", "\t", "\n", "\r\n", "\v", "\u00a0", "\u2009", "\u202f", "\u3000", "\u200b", "\ufeff", "\u2013", "\u2014",
     "\u2212", "\uff1a", "#", ":", "=", "-", "(", "[", '"', "_", "/"]
)  # fmt: skip


@given(
    st.integers(10**3, 10**8 - 1),
    st.lists(_GAPS, max_size=40).map("".join),
    st.sampled_from(["", "s", "zilla"]),
)
def test_whatever_spaces_dashes_and_brackets_stand_before_its_number_a_bug_is_named(
    bug: int, gap: str, end: str
) -> None:
    assert references(f"bug{end}{gap}{bug}".encode()) == (bug,)
    assert may_name(f"bug{end}{gap}{bug}".encode(), {bug})


@given(BUGS, st.sampled_from(["no bug", "(no bug)", "no-bug", "no bug left behind", "No bug."]))
def test_no_bug_never_hides_a_bug_that_the_subject_names(bug: int, said: str) -> None:
    for subject in (f"{said} - x, bug {bug}", f"Bug {bug} - x, {said}", f"x\n{said}, bug\n{bug}"):
        assert read(subject.encode()).subject == (bug,)


@given(
    st.sampled_from(["Revert", "Reverts", "Back out", "Backing out", "Bug 7 - Back out", "Bug 7 - Revert"]),
    st.sampled_from(
        [" of the loop", " if it fails", " to the checked path", ": the buffer", " effaced text", ""]
    ),
)
def test_only_what_names_its_target_right_after_the_verb_is_a_backout(verb: str, rest: str) -> None:
    assert direction_of(f"{verb}{rest}, bug 7".encode()) == "forward"
    for target in (
        "0123456789ab",
        "changeset 0123456789ab",
        "2 changesets",
        '"Bug 7 - x"',
        "bug 7",
        "of bug 7",
    ):
        assert direction_of(f"{verb} {target}{rest}".encode()) == "backout"


@given(st.lists(BUGS, min_size=1, max_size=10, unique=True))
def test_a_list_keeps_its_order(bugs: list[int]) -> None:
    assert references(b"bugs " + b", ".join(b"%d" % bug for bug in bugs)) == tuple(bugs)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_and_the_same_bug_is_named_once(message: bytes) -> None:
    found = read(message)
    named = found.subject + found.body
    assert len(set(named)) == len(named)
    assert all(0 < bug < 10**8 for bug in named)


@given(BUGS, st.sampled_from([b"a", b"z", b"9", b"_"]))
def test_a_word_that_only_ends_in_bug_names_none(bug: int, before: bytes) -> None:
    assert references(before + b"bug %d" % bug) == ()


@given(st.integers(0, 12))
def test_every_revert_turns_the_direction(times: int) -> None:
    subject = b'Revert "' * times + b"Bug 1 - x" + b'"' * times
    assert direction_of(subject) == ("backout" if times % 2 else "forward")


@given(st.text(max_size=40))
def test_an_approval_needs_a_name_after_the_sign(text: str) -> None:
    found = read(f"Bug 1 - {text} a= x".encode()).approved_by
    assert b"x" not in found or "a=" in text


def test_text_that_is_not_utf8_is_read() -> None:
    assert read(b"Bug 77 - na\xefve \xff\xfe a=dv\xe9").subject == (77,)
    assert read(b"Bug 77 - na\xefve a=dv\xe9").approved_by == (b"dv\xe9",)


def test_closing_on_purpose_is_one_word_in_capitals() -> None:
    assert read(b"Bug 1 - x CLOSEDBUG").closed_on_purpose
    assert not read(b"Bug 1 - x closedbug").closed_on_purpose
    assert not read(b"Bug 1 - x UNCLOSEDBUGS").closed_on_purpose


def test_only_so_many_bugs_are_read_of_one_message() -> None:
    message = b"bugs " + b", ".join(b"%d" % bug for bug in range(1, 1000))
    assert len(references(message)) == MAX_REFERENCES


@pytest.mark.parametrize(
    "piece",
    [
        b"bug ",
        b"bug 1, ",
        b"b=",
        b"show_bug.cgi?a=",
        b"bug #",
        b"fix for ",
        b"a=a",
        b"revert ",
        b"bugs 1 and ",
        b"bug\xa0",
        b"bugs 1 ",
        b"bugno.",
        b"show_bug.cgi?;",
        b"f(",
        b"a=<",
        b"\n ",
        b"bug 12345_",
    ],
)
def test_long_repetitions_take_linear_time(piece: bytes) -> None:
    """A million bytes that almost match: quadratic matching would need hours."""
    read(piece * (1_000_000 // len(piece)))
