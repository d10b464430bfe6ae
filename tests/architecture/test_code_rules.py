"""Rules that no linter knows: names, suppressions with reasons, plain package files, a pure domain."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_tree import PACKAGE, python_files, shown, tree

BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
PURE = ("src/liftlock/domain", "src/liftlock/values")
IMPURE_BUILTINS = {"open", "input", "print", "eval", "exec", "compile", "__import__", "breakpoint"}
DECODERS = {"decode", "Decoder"}
MAY_DECODE = {
    "src/liftlock/values/json.py": "the one place, for JSON",
    "src/liftlock/values/packets.py": "the one place, for MessagePack",
    "src/liftlock/processes/settings.py": "settings that the parent wrote",
    "src/liftlock/adapters/sandbox/launcher_main.py": "settings that the worker wrote",
    "src/liftlock/adapters/sql/push_rows.py": "columns that we wrote: what is wrong there is nobody's payload",
    "src/liftlock/adapters/sql/task_rows.py": "as above",
    "src/liftlock/adapters/sql/worker_rows.py": "as above",
}
SUPPRESSION = re.compile(
    r"#\s*(noqa\b(?P<codes>:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?|type:\s*ignore(?P<kinds>\[[\w, -]+\])?)"
)
REASON = re.compile(r"[a-z]{2,}.*[a-z]{2,}")
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def test_no_module_has_a_name_that_says_nothing() -> None:
    parts = {
        part
        for path in python_files("src")
        for part in path.with_suffix("").relative_to(PACKAGE.parent).parts
    }
    assert parts & BANNED_MODULES == set()


@pytest.mark.parametrize("path", python_files("src"), ids=shown)
def test_a_package_file_has_one_line_of_docstring_and_nothing_else(path: Path) -> None:
    body = tree(path).body
    assert ast.get_docstring(tree(path)), f"{shown(path)} starts without a docstring"
    if path.name == "__init__.py" and path.parent != PACKAGE:  # the outermost one also holds the version
        assert len(body) == 1, f"{shown(path)} does more than name its package"
        assert "\n" not in (ast.get_docstring(tree(path)) or "")


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text()
    if not SUPPRESSION.search(text):
        return  # reading all files token by token takes long
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def unexplained(comment: str) -> bool:
    """Whether the comment suppresses a check without naming it, or without a reason beside it."""
    matches = list(SUPPRESSION.finditer(comment))
    if not matches:
        return False
    named = all(found["codes"] or found["kinds"] for found in matches)
    return not named or not REASON.search(SUPPRESSION.sub("", comment))


def test_every_suppression_names_its_rule_and_carries_a_reason() -> None:
    found = [
        f"{shown(path)}:{line} {comment}"
        for path in python_files("src", "scripts", "benchmarks", "tests")
        for line, comment in _comments(path)
        if unexplained(comment)
        and not (path.is_relative_to(PACKAGE.parents[1] / "tests") and "type:" in comment)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("comment", "refused"),
    [
        ("# noqa", True),
        ("# noqa: S608", True),
        ("# noqa: S608 -- only numbered placeholders", False),
        ("# noqa: S608  # only numbered placeholders", False),
        ("# type: ignore", True),
        ("# type: ignore[arg-type]", True),
        ("# type: ignore  # the stub is wrong", True),
        ("# type: ignore[arg-type]  # checked by the parser", False),
        ("# why the next line is as it is", False),
    ],
)
def test_the_rule_on_suppressions_tells_good_from_bad(comment: str, refused: bool) -> None:
    assert unexplained(comment) is refused


def _identifiers(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        match node:
            case (
                ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name))
            ):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name


def test_a_task_is_never_called_a_job() -> None:
    found = [
        f"{shown(path)}:{line} {name}"
        for path in python_files("src")
        for line, name in _identifiers(tree(path))
        if {"job", "jobs"} & {word.lower() for word in WORDS.findall(name)}
    ]
    assert found == [], "the word is task (or run, claim, statement): see docs/glossary.md"


def test_the_domain_opens_nothing_and_prints_nothing() -> None:
    found = [
        f"{shown(path)}:{node.lineno} {node.func.id}"
        for path in python_files(*PURE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS
    ]
    assert found == []


def own_decoding(module: ast.Module) -> list[int]:
    """Return the lines where msgspec decodes without the helpers of `liftlock.values`, or is imported in part to do so."""
    found = []
    for node in ast.walk(module):
        match node:
            case ast.Attribute(attr=name, value=ast.Attribute(value=ast.Name(id="msgspec"))) if (
                name in DECODERS
            ):
                found.append(node.lineno)
            case ast.ImportFrom(module=str(name)) if name.split(".")[0] == "msgspec":
                if name != "msgspec" or {one.name for one in node.names} & {
                    "json",
                    "msgpack",
                    "toml",
                    "yaml",
                }:
                    found.append(node.lineno)
            case ast.Import(names=names) if any(
                one.name.startswith("msgspec.") or (one.name == "msgspec" and one.asname) for one in names
            ):
                found.append(node.lineno)
    return found


def test_nothing_is_decoded_but_by_the_helpers_that_know_all_errors() -> None:
    found = [
        f"{shown(path)}:{line}"
        for path in python_files("src")
        if shown(path) not in MAY_DECODE
        for line in own_decoding(tree(path))
    ]
    assert found == [], (
        "decode by liftlock.values.json or .packets: msgspec's own errors are not all that it raises"
    )


@pytest.mark.parametrize("name", MAY_DECODE)
def test_who_may_decode_on_his_own_does(name: str) -> None:
    assert own_decoding(tree(PACKAGE.parents[1] / name))


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("msgspec.json.decode(data)", True),
        ("read = msgspec.msgpack.Decoder(int).decode", True),
        ("from msgspec import json", True),
        ("from msgspec.json import decode", True),
        ("import msgspec as m", True),
        ("import msgspec.json", True),
        ("import msgspec", False),
        ("from msgspec import Struct", False),
        ("msgspec.json.encode(data)", False),
        ("decode(data)", False),
    ],
)
def test_the_rule_on_decoding_tells_good_from_bad(line: str, refused: bool) -> None:
    assert bool(own_decoding(ast.parse(line))) is refused
