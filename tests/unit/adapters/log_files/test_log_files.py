"""Logs by line: what is appended in any pieces is read and found as from one piece."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from liftlock.adapters.log_files.anonymous import MAX_LINE_BYTES, AnonymousLogFile, AnonymousLogFiles

WORDS = st.lists(
    st.sampled_from([b"ok\n", b"an error here\n", b"x" * 3000 + b"\n", b"Needle\n", b"\n", b"tail"]),
    max_size=90,
)


def log_of(data: bytes, piece: int) -> AnonymousLogFile:
    made = AnonymousLogFiles(Path(tempfile.gettempdir())).new()
    for start in range(0, len(data), piece):
        made.append(data[start : start + piece])
    return made


@given(WORDS, st.integers(1, 200_000))
def test_lines_are_read_and_found_however_they_came(words: list[bytes], piece: int) -> None:
    data = b"".join(words)
    whole = data.split(b"\n")
    lines = whole if whole[-1] else whole[:-1]
    log = log_of(data, max(piece, len(data) // 500 + 1))
    assert (log.size, log.lines) == (len(data), len(lines))
    assert log.read(0, len(lines) + 5) == lines
    middle = len(lines) // 2
    assert log.read(middle, 3) == lines[middle : middle + 3]
    expected = [number for number, line in enumerate(lines) if b"needle" in line.lower()]
    assert list(log.search(b"NEEDLE", 0, 1000).lines) == expected
    finished = whole[:-1]
    errors = [number for number, line in enumerate(finished) if b"error" in line]
    assert log.first_error == (errors[0] if errors else None)


def test_a_search_says_whether_there_is_more_and_goes_on_from_a_line() -> None:
    log = log_of(b"needle\n" * 10, 7)
    found = log.search(b"needle", 0, 4)
    assert (found.lines, found.more) == ((0, 1, 2, 3), True)
    found = log.search(b"needle", 4, 6)
    assert (found.lines, found.more) == ((4, 5, 6, 7, 8, 9), False)
    assert log.search(b"", 0, 4).lines == ()
    assert log.search(b"a\nb", 0, 4).lines == ()
    assert log.search(b"needle", 10, 4).lines == ()


def test_a_line_of_many_megabytes_is_given_out_in_part_and_keeps_the_numbers_right() -> None:
    log = log_of(b"first\n" + b"y" * 5_000_000 + b"\nlast\n", 1_000_000)
    assert log.lines == 3
    assert log.read(2, 1) == [b"last"]
    assert log.read(1, 1) == [b"y" * MAX_LINE_BYTES]
    assert log.search(b"last", 0, 5).lines == (2,)


def test_the_workers_own_lines_are_noted_where_they_begin_a_line() -> None:
    log = log_of(
        b"[liftlock 2026-03-01T12:00:00.000Z] one\nx [liftlock no\n[liftlock 2026-03-01T12:00:05.000Z] two\n",
        11,
    )
    assert [number for number, _ in log.notes] == [0, 2]
    assert log.notes[1][1] == b"[liftlock 2026-03-01T12:00:05.000Z] two"
