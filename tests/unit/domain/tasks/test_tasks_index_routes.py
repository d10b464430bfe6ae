"""What routes insert into the index."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.tasks.index_routes import ancestors, entries_of, namespace, split_namespace
from liftlock.errors import InputInvalidError, RequestArgumentsError
from liftlock.values.instants import format_ms


def test_only_routes_of_the_index_insert() -> None:
    found = entries_of(("checks", "index.a.b", "index.c"), {"index": {"rank": 7, "data": {"x": 1}}}, 5000)
    assert [(entry.namespace, entry.rank, entry.data, entry.expires_ms) for entry in found] == [
        ("a.b", 7.0, {"x": 1}, 5000),
        ("c", 7.0, {"x": 1}, 5000),
    ]


def test_an_entry_expires_with_its_task_or_earlier() -> None:
    for given, expected in ((3000, 3000), (9000, 5000)):
        [entry] = entries_of(("index.a",), {"index": {"expires": format_ms(given)}}, 5000)
        assert entry.expires_ms == expected


@pytest.mark.parametrize(
    ("route", "index"),
    [("index.a..b", {}), ("index.", {}), ("index.a b", {}), ("index.a", {"rank": "1"}), ("index.a", [])],
)
def test_impossible_index_routes_are_refused_at_creation(route: str, index: Any) -> None:
    with pytest.raises(InputInvalidError):
        entries_of((route,), {"index": index}, 5000)


def test_namespaces_split_and_have_ancestors() -> None:
    assert split_namespace("a.b.c") == ("a.b", "c")
    assert split_namespace("a") == ("", "a")
    assert ancestors("a.b.c") == ["a", "a.b"]
    with pytest.raises(RequestArgumentsError):
        namespace("a/b")
