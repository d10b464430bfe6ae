"""Write docs/threat-model/tests.md: every attack test by name; `--check` only compares and ends with 1."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import made_page

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "threat-model" / "tests.md"
HEAD = """\
# Every attack that is tried

<!-- Made by scripts/attack_list.py from tests/attack: add a test there, then run `make docs`. -->

Each line is a test that does it and sees it fail. What the attacks are about is in [the threat model](index.md).
"""


def sections() -> list[str]:
    """Return one section a file: its docstring's first line, and its tests as sentences."""
    found = []
    for path in sorted((ROOT / "tests" / "attack").glob("test_*.py")):
        module = ast.parse(path.read_text())
        tests = [
            node.name
            for node in module.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        ]
        title = (ast.get_docstring(module) or path.stem).splitlines()[0]
        lines = [f"- `{name}`" for name in tests]
        found.append(
            "\n".join(
                [f"## {path.stem.removeprefix('test_attack_').replace('_', ' ')}", "", title, "", *lines, ""]
            )
        )
    return found


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *sections()])


if __name__ == "__main__":
    sys.exit(made_page.run(sys.argv[1:], PAGE, page(), "tests/attack"))
