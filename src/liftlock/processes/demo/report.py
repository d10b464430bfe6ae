"""What the demo expects and what it observed: one line a check, in the order in which the checks are declared.

The closing table is a contract that scripts rely on: `ok A5 …` or `FAIL A5 …`, and after a FAIL what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from liftlock.errors import LiftlockError


class DifferenceError(Exception):
    """What was observed is not what was expected; the text says both."""


@dataclass(frozen=True, slots=True)
class Check:
    """`requirement`: its number, such as `A5`; `expected`: what has to hold, as a sentence without a point."""

    requirement: str
    expected: str


@dataclass(slots=True)
class Report:
    """The checks by key, and for those that were made what differed (nothing, if all is well)."""

    checks: Mapping[str, Check]
    differences: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @contextmanager
    def check(self, key: str) -> Iterator[None]:
        """Record the check `key` as ok if the block ends, else as failed, with what the exception says.

        The exception goes no further: later checks are made as well. Only those of `DifferenceError` and liftlock's
        own errors count as observations; any other is a defect of the demo and is not caught.
        """
        if key not in self.checks:
            raise AssertionError(f"{key}: no such check")
        try:
            yield
        except (DifferenceError, LiftlockError) as error:
            code = f"{error.code}: " if isinstance(error, LiftlockError) else ""
            self.differences[key] = (*self.differences.get(key, ()), f"{code}{error}")
        else:
            self.differences.setdefault(key, ())

    def demand(self, key: str) -> None:
        """Raise DifferenceError unless the check `key` was made and is ok: what follows would make no sense."""
        if self.differences.get(key) != ():
            raise DifferenceError(f"{self.checks[key].expected}: this failed, and what follows needs it")

    @property
    def passed(self) -> bool:
        """Whether every declared check was made and none differed."""
        return all(self.differences.get(key) == () for key in self.checks)

    def line(self, key: str) -> str:
        """Return the check's first line."""
        check = self.checks[key]
        word = "ok" if self.differences.get(key) == () else "FAIL"
        return f"{word} {check.requirement} {check.expected}"

    def table(self) -> list[str]:
        """Return the closing table: a line a check, differences indented under those that failed."""
        lines = []
        for key in self.checks:
            lines.append(self.line(key))
            for difference in self.differences.get(key, ("not reached",)):
                lines += [f"    observed: {part}" for part in difference.splitlines() if part.strip()]
        return lines


def expect(holds: bool, difference: str) -> None:
    """Raise DifferenceError with the text unless `holds`."""
    if not holds:
        raise DifferenceError(difference)


def expect_equal(what: str, observed: object, expected: object) -> None:
    """Raise DifferenceError unless both are equal; the text names all three."""
    if observed != expected:
        raise DifferenceError(f"{what}: expected {expected!r}, found {observed!r}")
