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

from gate_frames import ask, frame
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


def changeset(text: bytes) -> bytes:
    return frame(b"C", b"%040x changeset %d\n%s\n" % (1, len(text), text))


def pushing(message: bytes) -> bytes:
    hello = frame(b"H", b"v=1\nhook=mercurial\nrepository=widget")
    return hello + changeset(b"m\nu\n0 0\n\n" + message) + frame(b"E", b"1")


def test_a_commit_that_came_by_an_exempt_ref_is_judged_where_it_lands_next(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    world.set_policy(EXEMPT)
    world.fed(record(7))
    pair = pair_type(world)
    pair.commit("base")
    assert pair.push().returncode == 0
    pair.commit("Bug 7 - fix")
    assert pair.push("HEAD:refs/heads/try/x").returncode == 0, "nothing is looked at there"
    for ref in ("refs/heads/main", "refs/heads/new", "refs/tags/v1"):
        assert "names bug 7" in pair.push(f"HEAD:{ref}").stderr, ref
    assert set(pair.heads()) == {"refs/heads/main", "refs/heads/try/x"}


def test_a_commit_that_a_host_keeps_under_a_ref_of_its_own_is_judged_where_it_lands(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    """Requests to merge come in by a fetch of the host's, past every hook."""
    world.fed(record(7))
    pair = pair_type(world)
    pair.commit("base")
    assert pair.push().returncode == 0
    pair.commit("Bug 7 - fix")
    hosts = [f"HEAD:{ref}" for ref in ("refs/pull/1/head", "refs/merge-requests/1/head")]
    fetched = pair.run("fetch", "--quiet", str(pair.clone), *hosts, where=pair.server)
    assert fetched.returncode == 0, fetched.stderr
    assert "names bug 7" in pair.push().stderr
    assert "names bug 7" in pair.push("HEAD:refs/heads/new").stderr


def test_an_audit_judges_what_came_by_an_exempt_ref_where_it_lands_next(world: GateWorld) -> None:
    world.set_policy(EXEMPT)
    world.fed(record(7))
    pair = GitPair(world)
    pair.commit("base")
    assert pair.push().returncode == 0
    assert world.liftlock("replay", "widget", str(pair.server), "--audit").returncode == 0
    pair.commit("Bug 7 - fix")
    assert pair.push("HEAD:refs/heads/try/x").returncode == 0
    quiet = world.liftlock("replay", "widget", str(pair.server), "--audit")
    assert "0 of 1 new commits slipped through" in quiet.stdout + quiet.stderr
    (pair.server / "hooks" / "pre-receive").unlink()
    assert pair.push().returncode == 0
    found = world.liftlock("replay", "widget", str(pair.server), "--audit")
    assert "1 of 1 new commits slipped through" in found.stdout + found.stderr


def test_no_number_of_refs_hides_the_last_one(world: GateWorld, pair_type: type[GitPair]) -> None:
    """More names than go into one frame, all exempt but the last."""
    world.set_policy(EXEMPT)
    world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 7 - fix")
    refs = [f"HEAD:refs/heads/try/{'a' * 200}{n:04}" for n in range(300)]
    done = pair.push(*refs, "HEAD:refs/heads/zmain")
    assert "names bug 7" in done.stderr
    assert pair.heads() == {}


def test_a_branch_among_many_others_needs_its_uplift_approval(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    """The commit is in the repository already, and new to the branch."""
    world.set_policy(
        '[repository.widget]\nuplift = {"beta" = "approval-beta"}\nrules.uplift = "enforce"\n'
        'rules.security-approval = "off"\nrules.approval-token = "off"\n'
    )
    world.fed(record(7))
    pair = pair_type(world)
    pair.commit("base")
    others = [f"HEAD:refs/heads/a{n:03}" for n in range(70)]
    assert pair.push(*others, "HEAD:refs/heads/beta").returncode == 0
    pair.commit("Bug 7 - fix")
    assert pair.push().returncode == 0
    done = pair.push(*others, "HEAD:refs/heads/beta")
    assert done.returncode != 0
    assert "approval-beta" in done.stderr
    heads = pair.heads()
    assert heads["refs/heads/beta"] != heads["refs/heads/main"]


@pytest.mark.parametrize("files", [b"", b"\nfile\nother"])
def test_a_changeset_without_a_user_is_read_to_its_message(world: GateWorld, files: bytes) -> None:
    world.fed(record(7))
    for user in (b"u", b""):
        text = b"m\n" + user + b"\n0 0 branch:x" + files + b"\n\nBug 7 - fix"
        hello = frame(b"H", b"v=1\nhook=mercurial\nrepository=widget")
        answer = ask(world.run / "hook.sock", hello + changeset(text) + frame(b"E", b"1"))
        assert answer[5:6] == b"R", (user, answer)


def test_a_push_without_its_history_is_judged(world: GateWorld, pair_type: type[GitPair]) -> None:
    """A shallow clone, pushed to a repository that takes that: git knows of the missing parents by a file of this push alone."""
    world.fed(record(7))
    pair = pair_type(world)
    for message in ("one", "two", "three"):
        pair.commit(message)
    shallow = world.folder / "shallow"
    pair.run("clone", "--quiet", "--depth", "1", f"file://{pair.clone}", str(shallow), where=world.folder)
    pair.run("config", "receive.shallowUpdate", "true", where=pair.server)
    pair.run("commit", "--quiet", "--allow-empty", "--message", "Bug 7 - fix", where=shallow)
    done = pair.run("push", str(pair.server), "HEAD:refs/heads/main", where=shallow)
    assert done.returncode != 0
    assert "names bug 7" in done.stderr


def test_a_file_of_missing_parents_that_a_pusher_names_hides_nothing(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 7 - fix")
    head = pair.commit("on top")
    grafts = world.folder / "shallow_mine"
    grafts.write_text(head + "\n")
    pair.run("config", "receive.shallowUpdate", "true", where=pair.server)
    there = f"--receive-pack=env GIT_SHALLOW_FILE={grafts} git-receive-pack"
    done = pair.push(there, "HEAD:refs/heads/main")
    assert "names bug 7" in done.stderr
    assert "refs/heads/main" not in pair.heads()


def test_what_git_listed_before_it_failed_is_judged(
    world: GateWorld, pair_type: type[GitPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fed(record(7))
    real = shutil.which("git")
    failing = world.folder / "git"
    failing.write_text(f'#!/bin/sh\n{real} "$@" || exit\n[ "$1" != rev-list ] || exit 1\n')
    failing.chmod(0o755)
    monkeypatch.setattr(
        gate_install.shutil, "which", lambda name, **_: str(failing) if name == "git" else f"/usr/bin/{name}"
    )
    pair = pair_type(world)
    pair.commit("base")
    assert pair.push().returncode == 0
    hook = gate_install.install(
        GateRepository.at(pair.server),
        "widget",
        world.run,
        "open",
        world.folder,
        compiled=pair_type is CompiledGitPair,
        force=False,
    )
    assert str(failing).encode() in hook.read_bytes()
    pair.commit("Bug 7 - fix")
    for ref in ("refs/heads/new", "refs/heads/main"):
        assert "names bug 7" in pair.push(f"HEAD:{ref}").stderr, ref
    pair.run("commit", "--amend", "--allow-empty", "--message", "ordinary")
    assert "the list of commits is not complete" in pair.push().stderr


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


def test_one_connection_that_sends_tiny_pieces_does_not_stop_the_others(world: GateWorld) -> None:
    world.fed(record(7))
    path = world.run / "hook.sock"
    greedy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    greedy.settimeout(30)
    greedy.connect(str(path))

    def send() -> None:
        with contextlib.suppress(OSError):
            greedy.sendall(frame(b"H", GIT_HELLO) + frame(b"C", b"%040x commit 16000000\n" % 1))
            for _ in range(15):
                greedy.sendall(frame(b"C", b"a" * 1_000_000))
            greedy.sendall(frame(b"C", b"a") * 100_000)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(0.5)
    began = time.monotonic()
    try:
        assert b"names bug 7" in ask(path, pushing(b"Bug 7 - fix"))
        assert time.monotonic() - began < 2.0
        assert b"too small pieces" in greedy.makefile("rb").read()
    finally:
        greedy.close()
        sender.join(30)


def test_a_message_of_many_numbers_does_not_stop_the_others(world: GateWorld) -> None:
    world.fed(record(7))
    path = world.run / "hook.sock"
    content = b"tree x\n\n" + b"1 " * 7_500_000
    data = b"%040x commit %d\n%s\n" % (1, len(content), content)
    pieces = [frame(b"C", data[at : at + 1_000_000]) for at in range(0, len(data), 1_000_000)]
    answers: list[bytes] = []

    def send() -> None:
        answers.append(ask(path, b"".join([frame(b"H", GIT_HELLO), *pieces, frame(b"E", b"1")])))

    sender = threading.Thread(target=send)
    sender.start()
    worst = 0.0
    while sender.is_alive():
        began = time.monotonic()
        assert b"names bug 7" in ask(path, pushing(b"Bug 7 - fix"))
        worst = max(worst, time.monotonic() - began)
    sender.join(30)
    assert answers[0][5:6] == b"A"
    assert worst < 1.0


def test_connections_beyond_the_limits_are_closed_at_once(world: GateWorld) -> None:
    world.set_policy("[limits]\nconnections-per-user = 4\nconnections = 8\n")
    world.fed(record(7))
    assert world.process is not None
    open_files = Path(f"/proc/{world.process.pid}/fd")
    before = len(os.listdir(open_files))
    held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(300)]
    try:
        for connection in held:
            connection.connect(str(world.run / "hook.sock"))
            with contextlib.suppress(OSError):
                connection.sendall(frame(b"H", GIT_HELLO))
        held[-1].settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert held[-1].recv(1) == b""
        assert len(os.listdir(open_files)) - before <= 4 + 8
    finally:
        for connection in held:
            connection.close()
