"""A pusher against one push's way through the gate: detours, many refs, odd commits, a busy gate, greedy connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_world import CompiledGitPair, GateWorld, GitPair, gate_world, record
from liftlock.adapters.gate_state.sqlite import SqliteGateState
from liftlock.adapters.system.clock import SystemClock
from liftlock.cli import gate_install
from liftlock.cli.gate_repository import GateRepository
from liftlock.domain.pushes.feed import Cursor, Record
from liftlock.domain.pushes.gate_policy import parse_policy
from liftlock.gate.commits import Commits
from liftlock.gate.desk import Desk
from liftlock.gate.hook_server import HookServer
from liftlock.gate.knowledge import Knowledge
from liftlock.gate.ledger import Ledger
from liftlock.gate.metrics import Metrics

pytestmark = pytest.mark.process
EXEMPT = '[repository.widget]\nexempt-refs = ["refs/heads/try/*"]\n'
GIT_HELLO = b"v=1\nhook=git\nrepository=widget"


@pytest.fixture(params=[GitPair, CompiledGitPair], ids=["python", "compiled"])
def pair_type(request: pytest.FixtureRequest) -> type[GitPair]:
    """The hook in Python and the compiled one: they do the same."""
    found: type[GitPair] = request.param
    return found


@pytest.fixture
def world() -> Iterator[GateWorld]:
    with gate_world() as made:
        made.start()
        yield made


def frame(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload


def ask(path: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(data)
        return connection.makefile("rb").read()


def changeset(text: bytes) -> bytes:
    return frame(b"C", b"%040x changeset %d\n%s\n" % (1, len(text), text))


def pushing(message: bytes) -> bytes:
    hello = frame(b"H", b"v=1\nhook=mercurial\nrepository=widget")
    return hello + changeset(b"m\nu\n0 0\n\n" + message) + frame(b"E", b"1")


@pytest.mark.parametrize("files", [b"", b"\nfile\nother"])
def test_a_changeset_without_a_user_is_read_to_its_message(world: GateWorld, files: bytes) -> None:
    world.fed(record(7))
    for user in (b"u", b""):
        text = b"m\n" + user + b"\n0 0 branch:x" + files + b"\n\nBug 7 - fix"
        hello = frame(b"H", b"v=1\nhook=mercurial\nrepository=widget")
        answer = ask(world.run / "hook.sock", hello + changeset(text) + frame(b"E", b"1"))
        assert answer[5:6] == b"R", (user, answer)


def in_process(folder: Path, limits: str, push: bytes, busy_s: float) -> tuple[bytes, float]:
    """Return the answer to a push while the thread of the gate's state is busy that long, and the seconds it took."""

    async def run() -> tuple[bytes, float]:
        ledger = Ledger(SqliteGateState(folder / "gate.db", 0), print)
        knowledge = Knowledge(ledger, SystemClock())
        policy = parse_policy(f"version = 1\n[limits]\n{limits}")
        desk = Desk(policy, knowledge, Metrics(), lambda user: None)
        await desk.load()
        source = knowledge.source("tracker")
        await knowledge.replace(
            source, Cursor("e", 5), [Record(bug=7, seq=1, blocked=True, reason="unapproved")]
        )
        source.contacted = knowledge.monotonic()
        path = str(folder / "hook.sock")
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(HookServer(desk).connection, path)
        busy = loop.create_task(ledger.do(lambda state: time.sleep(busy_s)))
        await asyncio.sleep(0.02)
        reader, writer = await asyncio.open_unix_connection(path)
        began = time.monotonic()
        writer.write(push)
        answer = await reader.read()
        took = time.monotonic() - began
        writer.close()
        await busy
        await desk.drain()
        entries = await ledger.do(lambda state: state.entries(10, "push"))
        assert [entry.outcome for entry in entries] == ["reject"], "written down all the same"
        server.close()
        ledger.close()
        return answer, took

    return asyncio.run(run())


def test_a_rejection_stands_while_the_gates_state_is_busy(tmp_path: Path) -> None:
    """A snapshot of a large list, or a slow disk: the verdict is made and only waits to be written down."""
    answer, took = in_process(tmp_path, "deadline-ms = 400\nreread-ms = 100\n", pushing(b"Bug 7 - fix"), 1.2)
    assert answer[5:6] == b"R", answer
    assert b"names bug 7" in answer
    assert took < 1.0


def test_a_push_that_does_not_end_is_rejected_by_what_was_seen_of_it(tmp_path: Path) -> None:
    """Dawdling, and bytes that are no frames, after a commit that can't land."""
    unfinished = pushing(b"Bug 7 - fix")[: -len(frame(b"E", b"1"))]
    (tmp_path / "late").mkdir()
    answer, _ = in_process(tmp_path / "late", "deadline-ms = 300\nreread-ms = 100\n", unfinished, busy_s=0.0)
    assert answer[5:6] == b"R", answer
    (tmp_path / "nonsense").mkdir()
    answer, _ = in_process(tmp_path / "nonsense", "reread-ms = 100\n", unfinished + b"nonsense", busy_s=0.0)
    assert answer[5:6] == b"R", answer
    (tmp_path / "short").mkdir()
    answer, _ = in_process(
        tmp_path / "short", "reread-ms = 100\n", unfinished + frame(b"E", b"2"), busy_s=0.0
    )
    assert answer[5:6] == b"R", answer


def test_commits_after_the_end_are_not_taken(world: GateWorld) -> None:
    world.set_policy('[defaults]\nfail = "closed"\n')
    world.fed(record(7))
    hello = frame(b"H", b"v=1\nhook=mercurial\nrepository=widget")
    late = hello + frame(b"E", b"0") + changeset(b"m\nu\n0 0\n\nordinary")
    answer = ask(world.run / "hook.sock", late)
    assert answer[5:6] == b"R"
    assert b"a frame after the end" in answer


def test_a_large_commit_in_tiny_pieces_is_put_together_once() -> None:
    commits = Commits()
    size = 15_000_000
    assert list(commits.feed(b"%040x commit %d\n" % (1, size + 20_000) + b"a" * size)) == []
    began = time.process_time()
    for _ in range(20_000):
        assert list(commits.feed(b"a")) == []
    assert time.process_time() - began < 2.0
    assert len(list(commits.feed(b"\n"))) == 1
