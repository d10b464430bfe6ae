"""Lines of logs as HTML: colours are classes, all else is text; which line is an error."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.tasks.log_lines import MAX_SHOWN, html_of, is_error, note_of

OURS = re.compile(r'<span class="a-[a-z-]+(?: a-[a-z-]+)*">|</span>')


def test_colours_become_classes_and_end_where_they_end() -> None:
    assert html_of(b"\x1b[1;31mbad\x1b[0m \x1b[92mgood\x1b[39m plain") == (
        '<span class="a-bold a-fg-red">bad</span> <span class="a-fg-green">good</span> plain'
    )
    assert (
        html_of(b"\x1b[31;44mx\x1b[49my")
        == '<span class="a-fg-red a-bg-blue">x</span><span class="a-fg-red">y</span>'
    )
    assert html_of(b"\x1b[38;5;200mx\x1b[48;2;1;2;3my\x1b[4mz") == 'xy<span class="a-line">z</span>'
    assert html_of(b"\x1b[38;5;31mx") == "x", "the number of a colour is no code"


def test_what_a_worker_masked_is_marked_in_every_colour() -> None:
    assert html_of(b"token=[hidden]!") == 'token=<span class="a-hidden">[hidden]</span>!'
    assert html_of(b"\x1b[31m<[hidden]>") == (
        '<span class="a-fg-red">&lt;<span class="a-hidden">[hidden]</span>&gt;</span>'
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        (b'"><img src=x onerror=1>', "&quot;&gt;&lt;img src=x onerror=1&gt;"),
        (b"\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07", "click"),
        (b"\x1b]0;title\x07x", "x"),
        (b"\x1b[2J\x1b[10;10Hx", "x"),
        (b"a\x00b\x08c", "a\ufffdb\ufffdc"),
        ("a\u202eb".encode(), "a\ufffdb"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"done\r", "done"),
        (b"a\tb", "a\tb"),
    ],
)
def test_a_hostile_line_is_text(line: bytes, shown: str) -> None:
    assert html_of(line) == shown


@given(st.binary(max_size=300) | st.text(alphabet="<>&\"'\x1b[0;1m3]8abc\x07", max_size=200).map(str.encode))
def test_nothing_but_our_own_spans_comes_out_and_they_are_closed(line: bytes) -> None:
    html = html_of(line)
    rest = OURS.sub("", html)
    assert "<" not in rest
    assert ">" not in rest
    assert '"' not in rest
    assert html.count("<span") == html.count("</span>")
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", html) is None


def test_a_long_line_is_cut_and_says_so() -> None:
    assert html_of(b"x" * MAX_SHOWN) == "x" * MAX_SHOWN
    assert html_of(b"x" * (MAX_SHOWN + 1)) == "x" * MAX_SHOWN + (
        '<span class="a-cut">… the line goes on; see the raw log</span>'
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"error: no such file", True),
        (b"make: *** [all] Error 2", True),
        (b"Traceback (most recent call last):", True),
        (b"FAILED tests/x.py::test_y", True),
        (b"ValueException: x", True),
        (b"fatal: not a git repository", True),
        (b"0 errors, 2 warnings", False),
        (b"no errors found", False),
        (b"errors: 0", False),
        (b"gcc -Werror x.c --fail-on-error", False),
        (b"an errorless day, terrors", False),
        (b"all good", False),
    ],
)
def test_what_looks_like_an_error(line: bytes, expected: bool) -> None:
    assert is_error(line) is expected


def test_the_workers_lines_carry_their_time() -> None:
    note = note_of(b"[liftlock 2026-03-01T12:00:05.250Z] unpacked the inputs\n")
    assert note is not None
    assert note.at == datetime(2026, 3, 1, 12, 0, 5, 250_000, tzinfo=UTC)
    assert note.text == "unpacked the inputs"
    assert note_of(b"[liftlock yesterday-is-no-instant-at-all] x") is None
    assert note_of(b"plain") is None
