"""Where a command writes: data on stdout, progress and errors on stderr, colour only where it is wanted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

_STYLES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "dim": "2"}
_CONTROL = {code: None for code in range(32) if code not in {9, 10}} | dict.fromkeys(range(127, 160))


def printable(text: str) -> str:
    """Return `text` without control characters: names and titles come from repositories and must not drive a terminal."""
    return text.translate(_CONTROL)


@dataclass(frozen=True, slots=True)
class Output:
    """One command's way out."""

    as_json: bool
    colour: bool
    stdout: TextIO
    stderr: TextIO

    @classmethod
    def open(cls, *, as_json: bool, no_color: bool) -> Output:
        """Return the process's own streams; colour needs a terminal and no NO_COLOR."""
        return cls(as_json, sys.stdout.isatty() and not no_color, sys.stdout, sys.stderr)

    def data(self, value: Any, lines: Iterable[str] = ()) -> None:
        """Write `value` as JSON under `--json`, else `lines`, control characters removed."""
        if self.as_json:
            print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False), file=self.stdout)
            return
        for line in lines:
            print(line if self.colour else printable(line), file=self.stdout)

    def progress(self, text: str) -> None:
        """Write one line on stderr."""
        print(printable(text), file=self.stderr, flush=True)

    def styled(self, text: str, style: str) -> str:
        """Return `text`, made safe, in `style` where colours are on."""
        clean = printable(text)
        return f"\x1b[{_STYLES[style]}m{clean}\x1b[0m" if self.colour else clean

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        """Return aligned lines under `header`; cells are made safe and kept on one line."""
        cells = [[printable(str(cell)).replace("\n", " ") for cell in row] for row in rows]
        widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
        head = "  ".join(name.ljust(width) for name, width in zip(header, widths, strict=True)).rstrip()
        body = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        return [self.styled(head, "bold"), *body]
