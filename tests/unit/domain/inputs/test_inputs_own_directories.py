"""Which directories of a root may be a task's own, and which paths lie in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.inputs.own_directories import artifact_path, can_be_own, top_of
from liftlock.domain.inputs.places import in_scratch, seen_at
from liftlock.errors import InputValidationError
from liftlock.worker.payload import Bounds, Payload, parse


def read(**payload: Any) -> Payload:
    bounds = Bounds(1 << 30, 64, 2.0, 1 << 30, 3600, 1 << 30)
    given_payload = {"command": ["true"], "maxRunTime": 60, **payload}
    return parse(given_payload, bounds=bounds, task_expires=datetime(2030, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("name", ["builds", "home", "work", "tmp", "opt", "data-1", "_x"])
def test_a_directory_that_is_nobodys_may_be_a_tasks_own(name: str) -> None:
    assert can_be_own(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".root", "usr", "etc", "bin", "lib64", "proc", "dev", "sys", "run", "build", "inputs",
     "a/b", "a\0", "-x", "é", "x" * 65],
)  # fmt: skip
def test_the_systems_and_liftlocks_directories_are_never_a_tasks_own(name: str) -> None:
    assert not can_be_own(name)
    with pytest.raises(InputValidationError, match=r"payload\.own\[0\]: expected a directory at the top"):
        read(own=[f"/{name}"])


def test_a_directory_is_named_once() -> None:
    with pytest.raises(InputValidationError, match=r"payload\.own\[1\]: the directory 'work' is taken by"):
        read(own=["/work", "/work"])


def test_an_artifact_may_lie_in_a_directory_that_is_the_tasks_own_and_in_no_other() -> None:
    one = {"name": "public/a", "type": "file", "path": "/work/a"}
    [found] = read(own=["/work"], artifacts=[one]).artifacts
    assert found.path == ".root/work/a"
    for own in ([], ["/builds"]):
        with pytest.raises(InputValidationError, match=r"payload\.artifacts\[0\]\.path: expected a path of"):
            read(own=own, artifacts=[one])


@pytest.mark.parametrize(
    "path",
    [".root", ".root/work/a", "/build/.root/work", "/work/../etc/passwd", "/work//a", "/work/./a", "//work/a",
     "/", "", "../a", 7],
)  # fmt: skip
def test_no_path_leads_around_the_directories(path: object) -> None:
    with pytest.raises(InputValidationError, match=r"payload\.artifacts\[0\]\.path: expected a path of"):
        read(own=["/work"], artifacts=[{"name": "public/a", "type": "file", "path": path}])


@pytest.mark.parametrize(
    "payload",
    [
        {"inputs": [{"name": "x", "raw": {"content": ""}, "unpack": {"to": "/build/.root/work/x"}}]},
        {"inputs": [{"name": "x", "raw": {"content": ""}, "unpack": {"to": "/build/.root"}}]},
        {"caches": [{"name": "x", "mount": "/build/.root/work"}]},
    ],
)
def test_nothing_is_put_where_the_worker_keeps_them(payload: dict[str, Any]) -> None:
    with pytest.raises(InputValidationError, match="expected"):
        read(**payload)


def test_an_artifact_in_a_cache_is_refused_there_too() -> None:
    with pytest.raises(
        InputValidationError, match=r"/work/c lies in the way of the artifact public/a at /work/c/a"
    ):
        read(
            own=["/work"],
            artifacts=[{"name": "public/a", "type": "file", "path": "/work/c/a"}],
            caches=[{"name": "c", "mount": "/work/c"}],
        )


_NAMES = st.text("abc.-_", min_size=1, max_size=5)


@given(st.lists(_NAMES, min_size=1, max_size=4))
def test_a_path_is_seen_where_it_was_asked_for_or_is_refused(parts: list[str]) -> None:
    asked = "/" + "/".join(parts)
    own = tuple(filter(can_be_own, parts[:1]))
    try:
        found = artifact_path(asked, "path", own)
    except InputValidationError:
        assert top_of(asked) is None
        return
    assert seen_at(found) == asked
    assert seen_at(in_scratch("/build/x/y")) == "/build/x/y"
