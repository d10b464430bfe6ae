"""Files that a commit may change: allowed paths, never what configures CI, and for a formatter the same program as before.

Meant for a confined process as well: what crossed is parsed, never run.

Source: docs/reference/operations.md#commit-files
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from liftlock.domain.operations.contract import is_plain_path, matches
from liftlock.errors import InputValidationError

NEVER: Final = (
    ".taskcluster.yml",
    "taskcluster/**",
    ".github/**",
    ".gitlab-ci.yml",
    ".gitlab/**",
    ".circleci/**",
    ".travis.yml",
    ".buildkite/**",
    "azure-pipelines.yml",
    "Jenkinsfile",
    ".pre-commit-config.yaml",
    "**/.gitattributes",
    "**/.gitmodules",
    "**/.gitignore",
    ".git/**",
    "**/.git/**",
    "**/.hg/**",
    ".hg*",
    "CODEOWNERS",
    "docs/CODEOWNERS",
)
"""Patterns of what no commit of liftlock's changes, whatever an operation's configuration says; case plays no part."""
MAX_PYTHON_BYTES: Final = 4 << 20


class Change(msgspec.Struct, frozen=True):
    """One file: its path, what is at the base (None: nothing), and what it shall be."""

    path: str
    before: bytes | None
    after: bytes


def check_paths(paths: Sequence[str], allowed: Sequence[str]) -> None:
    """Raise InputValidationError at the first path that is not plain, that no pattern allows, or that is never changed."""
    seen: set[str] = set()
    for path in paths:
        folded = path.casefold()
        if not is_plain_path(path) or folded in seen:
            raise InputValidationError(f"{path[:200]!r}: expected a plain path, once")
        seen.add(folded)
        forbidden = next((each for each in NEVER if matches(each.casefold(), folded)), None)
        if forbidden is not None:
            raise InputValidationError(f"{path}: a commit of liftlock never changes {forbidden}")
        if not any(matches(each, path) for each in allowed):
            raise InputValidationError(f"{path}: this operation may change {', '.join(allowed)} only")


def check_modes(paths: Sequence[str], modes: Mapping[str, str], *, only_existing: bool) -> None:
    """Raise InputValidationError unless what is at the base, `modes` by path, are regular files that the paths may replace."""
    folders = {"/".join(path.split("/")[:count]) for path in modes for count in range(1, path.count("/") + 1)}
    for path in paths:
        mode = modes.get(path)
        if mode is None and only_existing:
            raise InputValidationError(
                f"{path}: it does not exist at the base, and this operation adds no files"
            )
        if mode not in (None, "100644", "100755"):
            raise InputValidationError(f"{path}: at the base it is no regular file (mode {mode})")
        parents = {"/".join(path.split("/")[:count]) for count in range(1, path.count("/") + 1)}
        if path in folders or any(parent in modes for parent in parents):
            raise InputValidationError(f"{path}: a file and a folder would have the same name")


def check_same_program(changes: Sequence[Change]) -> None:
    """Raise InputValidationError unless every Python file means the same as before: equal syntax trees.

    Docstrings count as they are but for the white space around their lines, which formatters may change.
    """
    for change in changes:
        if not change.path.endswith((".py", ".pyi")):
            continue
        if change.before is None:
            raise InputValidationError(f"{change.path}: there is nothing to compare it with at the base")
        if _tree(change.path, change.before) != _tree(change.path, change.after):
            raise InputValidationError(
                f"{change.path}: it is another program than before: the syntax trees differ"
            )


def _tree(path: str, content: bytes) -> str:
    if len(content) > MAX_PYTHON_BYTES:
        raise InputValidationError(f"{path}: expected at most {MAX_PYTHON_BYTES} bytes of Python")
    try:
        tree = ast.parse(content, filename="file", type_comments=True)
        for node in ast.walk(tree):
            _normal_docstring(node)
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputValidationError(f"{path}: it can't be parsed as Python: {type(error).__name__}") from error


def _normal_docstring(node: ast.AST) -> None:
    if (
        not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        or not node.body
    ):
        return
    first = node.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        lines = [line.strip() for line in first.value.value.strip().splitlines()]
        first.value.value = "\n".join(lines)
