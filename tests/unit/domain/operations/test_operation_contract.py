"""What may cross: names, counts, sizes and types; a violation names the file and the rule."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.operations.contract import (
    Contract,
    Crossing,
    Item,
    is_plain_path,
    matches,
    type_violation,
    violations,
)

CONTRACT = Contract([Item("dist/*.whl", "zip", 1, 1, 100), Item("**/*.txt", "text", 0, 2, 10)], 120)
WHEEL = Crossing("dist/w.whl", "0" * 64, 100)


def broken(*files: Crossing) -> list[tuple[str, str]]:
    return [(each.rule, each.path) for each in violations(CONTRACT, files)]


def text(path: str, size: int = 10) -> Crossing:
    return Crossing(path, "1" * 64, size)


def test_what_fits_crosses_and_the_limits_are_inclusive() -> None:
    assert broken(WHEEL) == []
    assert broken(WHEEL, text("a.txt"), text("b/c/d.txt")) == []


def test_each_rule_names_the_file() -> None:
    assert broken() == [("count", "")]
    assert broken(WHEEL, msgspec.structs.replace(WHEEL, path="dist/x.whl")) == [("total", ""), ("count", "")]
    assert broken(msgspec.structs.replace(WHEEL, size=101)) == [("size", "dist/w.whl")]
    assert broken(WHEEL, text("a.py")) == [("names", "a.py")]
    assert broken(WHEEL, text("dist/deep/w.whl")) == [("names", "dist/deep/w.whl")]
    assert broken(WHEEL, text("a.txt", 11)) == [("size", "a.txt")]
    assert broken(WHEEL, text("a.txt", 1), text("b.txt", 1), text("c.txt", 1)) == [("count", "")]


@pytest.mark.parametrize(
    "path",
    [
        "../x.txt",
        "/x.txt",
        "a//x.txt",
        "./x.txt",
        "a/../x.txt",
        "x\\y.txt",
        "c:x.txt",
        "a\n.txt",
        "",
        "\0.txt",
    ],
)
def test_a_path_that_is_not_plain_does_not_cross(path: str) -> None:
    assert not is_plain_path(path)
    assert ("path", path) in broken(WHEEL, text(path, 1))


@given(st.lists(st.text("ab.*", min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_path_matches_itself_and_every_wildcard_for_it(parts: list[str]) -> None:
    path = "/".join(part.replace("*", "x") for part in parts)
    assert matches(path, path)
    assert matches("**", path)
    assert matches("/".join("*" for _ in parts), path)
    assert not matches("/".join("*" for _ in [*parts, ""]), path)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("zip", b"PK\x03\x04rest", b"MZ"),
        ("gzip", b"\x1f\x8b\x08rest", b"PK\x03\x04"),
        ("text", "grüße\n".encode(), b"\xff"),
        ("text", b"", b"a\0b"),
        ("json", b'{"a": 1}', b"{"),
        ("json", b"1", b"[" * 100_000),
    ],
)
def test_a_type_is_told_by_the_bytes(kind: str, good: bytes, bad: bytes) -> None:
    contract = msgspec.convert({"files": [{"names": "x", "type": kind}]}, Contract)
    assert type_violation(contract, "x", good) is None
    wrong = type_violation(contract, "x", bad)
    assert wrong is not None
    assert (wrong.rule, wrong.path) == ("type", "x")
