"""The launcher starts nothing that its rules do not name, whatever the worker asks (it is not root, and speaks with the world)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from liftlock.adapters.sandbox.admission import MAX_BINDS, MAX_DATA_FILE, MAX_STRING, check_tree, plan
from liftlock.adapters.sandbox.caches import Held
from liftlock.adapters.sandbox.netns import MAX_LISTENERS
from liftlock.adapters.sandbox.protocol import Start
from liftlock.adapters.sandbox.view import Root, View
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import MIB, Bind, CacheBind, DataFile, Limits, Listener

START = Start(
    sandbox=1,
    slot=0,
    scratch="s",
    argv=("/bin/true",),
    env={"A": "b"},
    cwd="/build",
    limits=Limits(),
    listeners=(Listener(8080),),
)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    (tmp_path / "tree").mkdir()
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    store = Root("/store", str(tmp_path), descriptor)
    yield View("/scratches", "/mounts", store, (store,), private=False)
    os.close(descriptor)


def refused(view: View, **changes: Any) -> str:
    with pytest.raises(SandboxFailedError) as caught:
        plan(msgspec.structs.replace(START, **changes), view, "/scratches/s")
    return caught.value.message


def test_what_is_sound_is_planned_with_the_launchers_own_sources(view: View, tmp_path: Path) -> None:
    """Without this, every refusal below would prove nothing."""
    start = msgspec.structs.replace(START, binds=(Bind("/store/tree", "/inputs/tree"),))
    planned = plan(start, view, "/scratches/s")
    assert planned.scratch == "/scratches/s"
    [bound] = planned.binds
    assert bound.destination == "/inputs/tree"
    assert os.path.samefile(bound.source, tmp_path / "tree")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "127.0.0.2", "::1", "localhost", "", "192.168.0.1", "127.0.0.1 "]
)
def test_a_listener_is_nowhere_but_on_127_0_0_1(view: View, host: str) -> None:
    assert "expected 127.0.0.1" in refused(view, listeners=(Listener(8080, host),))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_listener_has_a_real_port(view: View, port: int) -> None:
    assert "expected 127.0.0.1 and a port" in refused(view, listeners=(Listener(port),))


def test_every_listener_is_looked_at(view: View) -> None:
    assert "0.0.0.0" in refused(view, listeners=(Listener(1), Listener(2, "0.0.0.0")))
    assert "listeners" in refused(view, listeners=(Listener(1),) * (MAX_LISTENERS + 1))


LEAST = {
    "memory_bytes": 16 * MIB,
    "pids": 4,
    "cpu": 0.05,
    "file_bytes": 1,
    "open_files": 32,
    "tmp_bytes": 4096,
}


def test_every_limit_has_its_rule_here() -> None:
    assert set(LEAST) == set(Limits.__struct_fields__)


@pytest.mark.parametrize("name", LEAST)
def test_a_limit_that_binds_nothing_or_cannot_be_kept_is_refused(view: View, name: str) -> None:
    def given(value: float) -> Limits:
        return msgspec.structs.replace(Limits(), **{name: value})

    for value in (LEAST[name] * 0.99 if name == "cpu" else LEAST[name] - 1, 0, -1, 1 << 62, float("nan")):
        assert f"limits.{name}: expected at least" in refused(view, limits=given(value))
    plan(msgspec.structs.replace(START, limits=given(LEAST[name])), view, "/scratches/s")


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ()},
        {"argv": ("",)},
        {"argv": ("a", "b\0c")},
        {"argv": ("a", "b" * (MAX_STRING + 1))},
        {"env": {"A=B": "c"}},
        {"env": {"": "c"}},
        {"env": {"A": "b\0c"}},
        {"cwd": "build"},
        {"cwd": "/build/../etc"},
        {"cwd": "//build"},
        {"binds": (Bind("/etc/shadow", "/inputs/x"),)},
        {"binds": (Bind("/store/../etc", "/inputs/x"),)},
        {"binds": (Bind("/store/tree", "/etc/x"),)},
        {"binds": (Bind("/store/tree", "/usr/bin"),)},
        {"binds": (Bind("/store/tree", "/build/../proc"),)},
        {"binds": (Bind("/store/tree", "/inputs"),)},
        {"binds": (Bind("/store/tree", "/inputs/x"),) * (MAX_BINDS + 1)},
        {"files": (DataFile("/etc/passwd", b""),)},
        {"files": (DataFile("/inputs/x", bytes(MAX_DATA_FILE + 1)),)},
        {"root": "/"},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_what_is_not_admissible_is_refused(view: View, changes: dict[str, Any]) -> None:
    refused(view, **changes)


@pytest.mark.parametrize(
    "name", ["tree", ".new-", ".new-a/../b", ".new-a\n", "../.new-a", ".new-" + "a" * 81]
)
def test_a_tree_in_the_making_has_a_plain_name(name: str) -> None:
    assert check_tree(".new-a_B-9") == ".new-a_B-9"
    with pytest.raises(SandboxFailedError):
        check_tree(name)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch/.root/work/in").mkdir(parents=True)
    return tmp_path / "scratch"


def test_directories_of_a_tasks_own_are_shown_at_the_top(view: View, scratch: Path) -> None:
    """Without this, the refusals below would prove nothing."""
    start = msgspec.structs.replace(START, own=("work",), cwd="/work/in")
    planned = plan(start, view, str(scratch))
    assert planned.own == (Bind(f"{scratch}/.root/work", "/work"),)
    assert planned.cwd == "/work/in"


@pytest.mark.parametrize(
    "name",
    [
        "usr",
        "etc",
        "proc",
        "dev",
        "sys",
        "run",
        "build",
        "inputs",
        "lib64",
        "",
        ".",
        "..",
        "a/b",
        ".root",
        "a\0",
    ],
)
def test_the_systems_directories_are_never_a_tasks_own(view: View, scratch: Path, name: str) -> None:
    with pytest.raises(SandboxFailedError, match="cannot be a task's own"):
        plan(msgspec.structs.replace(START, own=(name,)), view, str(scratch))


def test_a_link_in_the_place_of_an_own_directory_is_not_shown(view: View, scratch: Path) -> None:
    (scratch / ".root/out").symlink_to("/etc")
    (scratch / ".root/file").write_bytes(b"")
    for name in ("out", "file", "absent"):
        with pytest.raises(SandboxFailedError, match=f"the task's own /{name} cannot be shown"):
            plan(msgspec.structs.replace(START, own=(name,)), view, str(scratch))
    with pytest.raises(SandboxFailedError, match="twice"):
        plan(msgspec.structs.replace(START, own=("work", "work")), view, str(scratch))
    with pytest.raises(SandboxFailedError, match="a tree of the store has no directories"):
        plan(msgspec.structs.replace(START, own=("work",), tree=".new-x"), view, str(scratch))


def test_nothing_but_a_cache_is_placed_in_an_own_directory(view: View, scratch: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"binds": (Bind("/store/tree", "/work/in"),)},
        {"files": (DataFile("/work/x", b""),)},
        {"binds": (Bind("/store/tree", "/work"),)},
        {"caches": (CacheBind("c", "/work"),)},
    ]
    held = {"c": Held("e", "/held/c", 0, 1, 1)}
    for change in changes:
        with pytest.raises(SandboxFailedError, match="nothing can be placed at '/work"):
            plan(msgspec.structs.replace(START, own=("work",), **change), view, str(scratch), held)
    (scratch / ".root/work/out").symlink_to("/etc")
    start = msgspec.structs.replace(START, own=("work",), caches=(CacheBind("c", "/work/out/c"),))
    with pytest.raises(SandboxFailedError, match="a cache cannot be placed at '/work/out/c'"):
        plan(start, view, str(scratch), held)
    for place in ("/work/in/c", "/work/in"):
        start = msgspec.structs.replace(START, own=("work",), caches=(CacheBind("c", place),))
        assert plan(start, view, str(scratch), held).caches == (Bind("/held/c", place),)


@pytest.mark.parametrize("directory", ["/work/gone", "/work/out", "/work/file"])
def test_a_command_begins_at_the_top_of_an_own_directory_that_lost_its_place(
    view: View, scratch: Path, directory: str
) -> None:
    (scratch / ".root/work/out").symlink_to("/etc")
    (scratch / ".root/work/file").write_bytes(b"")
    start = msgspec.structs.replace(START, own=("work",), cwd=directory)
    assert plan(start, view, str(scratch)).cwd == "/work"
