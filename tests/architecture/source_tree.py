"""What the architecture tests look at: the repository's files as git sees them, and the package's syntax trees."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "liftlock"


@cache
def files(*suffixes: str) -> tuple[Path, ...]:
    """Return all files that are committed or about to be (not ignored), sorted; of these suffixes if any is given."""
    listed = subprocess.run(
        [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = sorted(ROOT / name for name in listed.split("\0") if name)
    return tuple(path for path in found if path.is_file() and (not suffixes or path.suffix in suffixes))


def python_files(*folders: str) -> list[Path]:
    """Return the Python files under `folders` of the repository, sorted."""
    return [path for path in files(".py") if any(path.is_relative_to(ROOT / folder) for folder in folders)]


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text(), str(path))


def shown(path: Path) -> str:
    """Return the path as a report names it: from the repository's root."""
    return str(path.relative_to(ROOT))


@cache
def functions(path: Path) -> tuple[tuple[str, int], ...]:
    """Return (where and name, number of lines) of each function in the file, nested ones too."""
    return tuple(
        (f"{shown(path)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
