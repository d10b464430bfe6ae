"""The difference of two texts, line by line, bounded in length and in work, with everything invisible made visible.

Source: docs/reference/approvals.md#differences
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

MAX_TEXT: Final = 20_000
"""Characters of one difference that are shown."""
MAX_TEXTS: Final = 400_000
"""Characters of all differences of one file that are shown."""
MAX_LINES: Final = 20_000
MAX_LINE: Final = 1_000
"""Characters of one line that are shown."""
MAX_WORK: Final = 100_000_000
"""Pairs of equal lines, times lines: about what the comparison costs at worst, over all members of one file."""
_CONTEXT: Final = 3
_NEWLINE_NOTE: Final = "\\ No newline at end of file"


@dataclass(slots=True)
class Budget:
    """What is left to show, in characters, and to compute."""

    characters: int = MAX_TEXTS
    work: int = MAX_WORK


def visible(text: str) -> str:
    """Return `text` with everything that can't be seen, or that turns the direction of writing, as `\\u….`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\t" else _escaped(each) for each in text)


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def text_difference(before: bytes, after: bytes, budget: Budget) -> tuple[str, str]:
    """Return the unified difference without its head, and a note where it is not whole or not there; takes from `budget`."""
    try:
        old, new = before.decode(), after.decode()
    except UnicodeDecodeError:
        return "", "binary"
    if "\0" in old or "\0" in new:
        return "", "binary"
    left, right = _lines(old), _lines(new)
    if max(len(left), len(right)) > MAX_LINES:
        return "", f"more than {MAX_LINES} lines"
    start, left_core, right_core = _core(left, right)
    work = _work(left_core, right_core)
    if work > budget.work:
        return "", "too different to be compared line by line"
    budget.work -= work
    return _bounded(_hunks(start, left_core, right_core), budget)


def _lines(text: str) -> list[str]:
    """Return the lines with their ends, so that a missing last one counts."""
    *whole, rest = text.split("\n")
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def _core(left: list[str], right: list[str]) -> tuple[int, list[str], list[str]]:
    """Return what is between the equal beginnings and ends, with some context, and the number of lines before it."""
    most = min(len(left), len(right))
    start = next((at for at in range(most) if left[at] != right[at]), most)
    most -= start
    end = next((at for at in range(most) if left[-1 - at] != right[-1 - at]), most)
    start, end = max(0, start - _CONTEXT), max(0, end - _CONTEXT)
    return start, left[start : len(left) - end], right[start : len(right) - end]


def _work(left: list[str], right: list[str]) -> int:
    counts = Counter(right)
    pairs = sum(counts[line] for line in left)
    return (pairs + len(left) + len(right)) * (min(len(left), len(right)) + 1)


def _hunks(start: int, left: list[str], right: list[str]) -> Iterator[str]:
    matcher = SequenceMatcher(None, left, right)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        yield f"@@ -{_span(start, first[1], last[2])} +{_span(start, first[3], last[4])} @@"
        for tag, left_from, left_to, right_from, right_to in group:
            if tag == "equal":
                yield from _marked(" ", left[left_from:left_to])
                continue
            yield from _marked("-", left[left_from:left_to])
            yield from _marked("+", right[right_from:right_to])


def _span(start: int, begin: int, end: int) -> str:
    first = start + begin + (1 if end > begin else 0)
    return f"{first},{end - begin}"


def _marked(mark: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield mark + visible(line.removesuffix("\n")[:MAX_LINE]) + ("…" if len(line) > MAX_LINE + 1 else "")
        if not line.endswith("\n"):
            yield _NEWLINE_NOTE


def _bounded(lines: Iterator[str], budget: Budget) -> tuple[str, str]:
    """Return as many whole lines as may be shown."""
    room = min(MAX_TEXT, budget.characters)
    shown: list[str] = []
    for line in lines:
        if len(line) + 1 > room:
            return "".join(shown), "the rest is not shown"
        room -= len(line) + 1
        budget.characters -= len(line) + 1
        shown.append(f"{line}\n")
    return "".join(shown), ""
