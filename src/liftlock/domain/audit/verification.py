"""Verification of a whole log: rows against the hashes recorded when they were sequenced, these against checkpoints.

Every difference becomes a finding that names the row. Rows come as a stream, in order; a million take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from liftlock.domain.audit.entry import Row, leaf_of
from liftlock.domain.audit.note import Checkpoint
from liftlock.domain.audit.tree import Frontier

MAX_FINDINGS: Final = 1000
Kind = Literal["edited", "removed", "reordered", "rewritten", "truncated"]


class Sequenced(NamedTuple):
    """What stands at one place of the log: the hash recorded for it, and the row, None if it is gone."""

    seq: int
    leaf: bytes
    row: Row | None


class Finding(NamedTuple):
    """One difference; `seq` is the place (from 0), or where a range begins that ends before `until`."""

    kind: Kind
    seq: int
    until: int
    text: str


class Report(NamedTuple):
    """What was verified: `rows` in all, `covered` by the newest checkpoint that holds, and what differs."""

    rows: int
    covered: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.findings


def verify(entries: Iterable[Sequenced], checkpoints: Sequence[Checkpoint]) -> Report:
    """Return what differs between rows, recorded hashes and checkpoints.

    Args:
        entries: Every place from 0 on, in order, without gaps (a lost row is an entry without one).
        checkpoints: Whose signatures were verified already; any order, several of one size allowed.
    """
    return _Verification(checkpoints).run(iter(entries))


class _Verification:
    def __init__(self, checkpoints: Sequence[Checkpoint]) -> None:
        self._wanted = sorted(set(checkpoints), key=lambda each: each.size)
        self._frontier = Frontier()
        self._found: list[Finding] = []
        self._displaced: list[tuple[Sequenced, bytes]] = []
        self._held = 0

    def run(self, entries: Iterator[Sequenced]) -> Report:
        at = 0
        append = self._frontier.append
        at = self._compare(at)
        for entry in entries:
            if entry.row is None:
                self._note(Finding("removed", entry.seq, entry.seq + 1, f"row {entry.seq} was removed"))
            elif (now := leaf_of(entry.row)) != entry.leaf and len(self._displaced) < MAX_FINDINGS:
                self._displaced.append((entry, now))
            append(entry.leaf)
            if at < len(self._wanted) and self._wanted[at].size == self._frontier.size:
                at = self._compare(at)
        self._ends(self._wanted[at:])
        self._name_displaced()
        self._found.sort(key=lambda each: (each.seq, each.until))
        return Report(self._frontier.size, self._held, tuple(self._found[:MAX_FINDINGS]))

    def _note(self, finding: Finding) -> None:
        if len(self._found) < MAX_FINDINGS:
            self._found.append(finding)

    def _compare(self, at: int) -> int:
        """Compare the tree as it is with every checkpoint of this size; return the next checkpoint's place."""
        size, root = self._frontier.size, self._frontier.root()
        end = at
        while end < len(self._wanted) and self._wanted[end].size == size:
            end += 1
        if any(each.root != root for each in self._wanted[at:end]):
            text = f"rows {self._held} to {size - 1} are not those that the checkpoint of size {size} was signed over"
            self._note(Finding("rewritten", self._held, size, text))
        elif end > at:
            self._held = size
        return end

    def _ends(self, beyond: Sequence[Checkpoint]) -> None:
        size = self._frontier.size
        for checkpoint in beyond[-1:]:
            text = f"rows {size} to {checkpoint.size - 1} were removed: a checkpoint of size {checkpoint.size} was signed"
            self._note(Finding("truncated", size, checkpoint.size, text))

    def _name_displaced(self) -> None:
        """Tell rows that stand at one another's places from rows that were edited."""
        places = {entry.leaf: entry.seq for entry, _ in self._displaced}
        there = {now for _, now in self._displaced}
        for entry, now in self._displaced:
            row, home = entry.row, places.get(now)
            what = "" if row is None else f" (id {row.id}: {row.actor} {row.action} {row.subject})"
            if home is None:
                text = f"row {entry.seq}{what} was edited after it was sequenced"
                self._note(Finding("edited", entry.seq, entry.seq + 1, text))
            else:
                text = f"row {entry.seq}{what} stands at the place of another: it was sequenced as row {home}"
                self._note(Finding("reordered", entry.seq, entry.seq + 1, text))
                if entry.leaf not in there:
                    self._note(Finding("removed", entry.seq, entry.seq + 1, f"row {entry.seq} was removed"))
