"""What goes onto bubblewrap's command line, what the launcher is told, and the filter."""

from __future__ import annotations

import ast
import os
import socket
from pathlib import Path

import msgspec
import pytest

from liftlock.adapters.sandbox import inside, protocol
from liftlock.adapters.sandbox.beneath import bad_path
from liftlock.adapters.sandbox.bubblewrap import Plan, arguments
from liftlock.adapters.sandbox.disk import measure
from liftlock.adapters.sandbox.launch import Launch, launch
from liftlock.adapters.sandbox.leftovers import record
from liftlock.adapters.sandbox.seccomp import filter_program
from liftlock.adapters.sandbox.users import User, ensure_users
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import MIB, Bind, DataFile, IsolationLevel, Limits

PLAN = Plan(
    scratch="/scratch",
    argv=("true",),
    cwd="/build",
    binds=(Bind("/store/b", "/inputs/b"), Bind("/store/a", "/inputs/a")),
    files=(DataFile("/inputs/inputs.json", b"{}"),),
    root=None,
    tmp_bytes=MIB,
)


def options() -> list[str]:
    numbers = iter(range(100, 200))
    return arguments(PLAN, lambda _: next(numbers), seccomp=7, status=8, block=9)


def test_every_layer_is_asked_for() -> None:
    said = options()
    for option in (
        "--unshare-all",
        "--disable-userns",
        "--assert-userns-disabled",
        "--die-with-parent",
        "--new-session",
    ):
        assert option in said
    assert said[said.index("--cap-drop") + 1] == "ALL"
    assert said[-6:] == ["--seccomp", "7", "--json-status-fd", "8", "--block-fd", "9"]
    assert "--share-net" not in said


def test_only_usr_its_links_and_public_parts_of_etc_come_from_the_host() -> None:
    said = options()
    sources = [
        said[number + 1]
        for number, option in enumerate(said)
        if option in ("--ro-bind", "--bind", "--dev-bind")
    ]
    host = [source for source in sources if not source.startswith(("/store", "/scratch"))]
    allowed = (
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d",
        "/etc/alternatives",
        "/etc/ssl/certs",
        "/etc/ssl/openssl.cnf",
    )
    assert host[0] == "/usr"
    assert set(host[1:]) <= {*allowed, "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}


def test_the_root_is_closed_after_everything_is_placed() -> None:
    said = options()
    closed = max(number for number, option in enumerate(said) if option == "--remount-ro")
    assert said[closed + 1] == "/"
    placing = [
        number
        for number, option in enumerate(said)
        if "bind" in option or option in ("--tmpfs", "--dir", "--file")
    ]
    assert max(placing) < closed
    assert said.index("/inputs/a") < said.index("/inputs/b"), "parents before what lies in them"


def test_root_is_refused_before_anything_is_forked() -> None:
    for user in (User(0, 1000), User(1000, 0)):
        what = Launch("/usr/bin/bwrap", PLAN, {}, user, Limits(), (), 1, None)
        with pytest.raises(SandboxFailedError, match="never started as root"):
            launch(what)


def test_large_messages_and_descriptors_travel_and_the_rest_is_refused() -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        packet = protocol.RequestPacket(3, protocol.Kill(1, "x" * (1 << 20)))
        protocol.send(left, packet, (0,))
        received = protocol.receive_request(right)
        assert received is not None
        assert received[0] == packet
        assert not os.get_inheritable(received[1][0])
        protocol.close_all(received[1])
        left.send(b"p")
        with pytest.raises(SandboxFailedError, match="without its message"):
            protocol.receive_request(right)
        protocol.send(left, protocol.ReplyPacket(0, protocol.Done()))
        with pytest.raises(SandboxFailedError, match="malformed"):
            protocol.receive_request(right)
        left.close()
        assert protocol.receive_request(right) is None


def test_the_filter_is_built_once_and_is_not_empty() -> None:
    program = filter_program()
    assert len(program) % 8 == 0, "instructions of eight bytes"
    assert len(program) > 100 * 8
    assert filter_program() is program


def test_programs_for_inside_import_only_the_standard_library() -> None:
    for path in Path(inside.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.startswith("liftlock")], path


@pytest.mark.parametrize("path", ["out/x", "x", "a/b/c", ".", "..x", "x..", "ü"])
def test_plain_paths_are_no_problem(path: str) -> None:
    assert bad_path(path) is None


def test_measuring_stops_counting_beyond_a_cap(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / str(number)).write_bytes(bytes(8192))
    assert measure(str(tmp_path), max_bytes=1 << 30, max_entries=100) == (50 * 8192, 50)
    used, entries = measure(str(tmp_path), max_bytes=8192 * 10, max_entries=100)
    assert used > 8192 * 10
    assert measure(str(tmp_path), max_bytes=1 << 30, max_entries=10)[1] > 10
    assert entries <= 50


def test_a_note_holds_the_processes_that_still_live(tmp_path: Path) -> None:
    (tmp_path / "pids").mkdir()
    path = record(str(tmp_path), "s0-1", (os.getpid(), 1 << 30))
    lines = Path(path).read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].split()[0] == str(os.getpid())


def test_as_an_ordinary_user_everybody_is_that_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getegid", lambda: 1235)
    users = ensure_users(str(tmp_path / "state"), slots=2)
    assert not users.separate
    assert {users.control, users.worker, users.store, *users.slots} == {User(1234, 1235)}
    assert len(users.slots) == 2
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_complete_level_reads_well_and_admits_untrusted_work() -> None:
    level = IsolationLevel("separate", "cgroup-v2", "cgroup-v2", "cgroup-v2", "filesystem")
    assert level.lines() == (
        "separate users: every slot has a uid of its own",
        "limits: memory cgroup-v2, pids cgroup-v2, cpu cgroup-v2, disk filesystem",
        "network: closed",
    )
    assert level.why_not_untrusted() == ()
    weak = msgspec.structs.replace(level, seccomp=False, user_namespaces=False)
    assert len(weak.why_not_untrusted()) == 2
