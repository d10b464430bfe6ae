"""Pages of docs/ that are made from the program: written, or with `--check` compared."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path


def run(arguments: list[str], path: Path, made: str, source: str) -> int:
    """Write `made` to `path`; with `--check` write nothing and say on stderr how the page differs from its `source`.

    Returns the exit status: 1 if it was compared and differs.
    """
    if arguments != ["--check"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made)
        return 0
    there = path.read_text() if path.exists() else ""
    difference = list(difflib.unified_diff(there.splitlines(), made.splitlines(), str(path), source, n=1))
    if difference:
        print("\n".join(difference), "\nrun `make docs` and commit the page", sep="\n", file=sys.stderr)
    return 1 if difference else 0
