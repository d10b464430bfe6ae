"""The failure modes of the gate, each made to happen: no push waits for the tracker, and nothing fails in silence."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_world import CompiledGitPair, GateWorld, GitPair, MercurialPair, gate_world, record

pytestmark = pytest.mark.process
Pair = type[GitPair] | type[MercurialPair]
BOTH = pytest.mark.parametrize("pair_type", [GitPair, CompiledGitPair, MercurialPair])


@pytest.fixture
def world() -> Iterator[GateWorld]:
    with gate_world() as made:
        made.start()
        yield made


def said(done: object) -> str:
    return str(getattr(done, "stdout", "")) + str(getattr(done, "stderr", ""))


def test_with_the_tracker_down_the_last_list_holds_and_its_age_grows_from_the_last_contact(
    world: GateWorld,
) -> None:
    feed = world.fed(record(7))
    feed.contact(age_ms=3_600_000)
    feed.close()
    pair = GitPair(world)
    pair.commit("Bug 8 - ordinary")
    assert pair.push().returncode == 0
    pair.commit("Bug 7 - x")
    assert pair.push().returncode == 1
    first = world.ask("status")["ok"]
    time.sleep(0.2)
    second = world.ask("status")["ok"]
    assert not second["feedConnected"]
    assert second["sources"]["tracker"]["ageS"] > first["sources"]["tracker"]["ageS"]
    assert second["sources"]["tracker"]["ageS"] < 3_600, "an older answer makes no list younger or older"


@BOTH
def test_with_gated_down_an_open_repository_takes_the_push_with_a_note(
    world: GateWorld, pair_type: Pair
) -> None:
    """D4."""
    pair = pair_type(world)
    pair.commit("Bug 7 - x")
    world.stop(signal.SIGKILL)
    done = pair.push()
    assert done.returncode == 0, said(done)
    assert "the gate did not answer" in said(done)
    assert "the push was let in and is audited later" in said(done)


@BOTH
def test_with_gated_down_a_closed_repository_rejects_and_says_whom_to_ask(
    world: GateWorld, pair_type: Pair
) -> None:
    pair = pair_type(world, "widget", "--fail", "closed")
    pair.commit("Bug 8 - ordinary")
    world.stop(signal.SIGKILL)
    done = pair.push()
    assert done.returncode != 0
    assert "push rejected: ask an operator" in said(done)


@BOTH
def test_with_gated_stopped_in_its_tracks_the_hook_keeps_its_own_deadline(
    world: GateWorld, pair_type: Pair
) -> None:
    pair = pair_type(world)
    pair.commit("Bug 7 - x")
    world.pause()
    began = time.monotonic()
    done = pair.push()
    took = time.monotonic() - began
    world.go_on()
    assert done.returncode == 0, said(done)
    assert "the gate did not answer (timed out)" in said(done)
    assert took >= 1.9, "it must have waited for the answer"
    assert took < 30


@BOTH
def test_a_gate_that_answers_nonsense_decides_nothing(world: GateWorld, pair_type: Pair) -> None:
    """Whatever comes back, the hook ends in time and by the operator's choice; an empty verdict is no permission."""
    pair = pair_type(world, "widget", "--fail", "closed")
    pair.commit("ordinary")
    world.stop()
    for answer in (b"", b"X\0\0\0\1A", b"V\xff\xff\xff\xff", b"V\0\0\0\0", b"?\0\0\0\1z"):
        path = world.run / "hook.sock"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(path))
            listening.listen(1)
            child = os.fork()
            if child == 0:
                connection, _ = listening.accept()
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                time.sleep(5)
                os._exit(0)
            done = pair.push()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert done.returncode != 0, answer
        assert "Traceback" not in said(done)


def test_a_list_that_is_too_old_warns_where_it_fails_open_and_rejects_where_it_fails_closed(
    world: GateWorld,
) -> None:
    closed = '[repository.strict]\nfail = "closed"\n'
    world.set_policy(closed)
    feed = world.fed(record(7))
    lax, strict = GitPair(world, "lax", "--defaults"), GitPair(world, "strict")
    for pair in (lax, strict):
        pair.commit("Bug 7 - x")
    assert lax.push().returncode == 1
    feed.close()
    world.set_policy(f"[defaults]\nmax-stale-s = 1\n{closed}")
    while world.ask("status")["ok"]["sources"]["tracker"]["ageS"] <= 1:
        time.sleep(0.1)
    landed = lax.push()
    assert landed.returncode == 0
    assert "only a warning: the list is too old" in landed.stderr
    assert strict.push().returncode == 1
    strict.run("commit", "--quiet", "--amend", "--allow-empty", "-m", "Bug 8 - ordinary")
    assert strict.push().returncode == 0, "ordinary pushes are never affected"


def test_without_any_list_open_lets_in_with_a_note_and_closed_rejects_what_names_a_bug(
    world: GateWorld,
) -> None:
    world.set_policy('[repository.strict]\nfail = "closed"\n')
    lax, strict = GitPair(world, "lax", "--defaults"), GitPair(world, "strict")
    lax.commit("Bug 7 - x")
    landed = lax.push()
    assert landed.returncode == 0
    assert "the list of bugs is not there yet" in landed.stderr
    strict.commit("no number at all")
    assert strict.push().returncode == 0
    strict.commit("Bug 7 - x")
    assert "ask an operator" in strict.push().stderr


def test_what_was_applied_survives_a_kill_at_any_moment(world: GateWorld) -> None:
    """Row and cursor are one transaction: whatever was acknowledged is there, and nothing is half there."""
    feed = world.fed()
    acknowledged = 5
    for round_ in range(4):
        for _ in range(3 + round_):
            answer = feed.records(record(acknowledged + 1, acknowledged + 1))
            assert answer["type"] == "applied"
            acknowledged += 1
        feed.send(
            "records", epoch="e", records=[record(b, b) for b in range(acknowledged + 1, acknowledged + 50)]
        )
        world.stop(signal.SIGKILL)
        feed.close()
        world.start()
        feed = world.feed()
        held = feed.where["cursors"]["tracker"]["seq"]
        assert held in (acknowledged, acknowledged + 49), "all of a batch or nothing of it"
        acknowledged = held
        found = world.ask("status")["ok"]["sources"]["tracker"]
        assert found["bugs"] == held - 5
    feed.close()


def test_a_corrupt_state_is_put_aside_nothing_is_known_and_a_snapshot_is_asked_for(world: GateWorld) -> None:
    feed = world.fed(record(7))
    feed.close()
    world.stop()
    database = world.state / "gate.db"
    content = bytearray(database.read_bytes())
    content[100:] = b"\xa5" * (len(content) - 100)
    database.write_bytes(content)
    world.start()
    assert "the state was corrupt and is put aside" in world.log
    assert list(world.state.glob("gate.db.corrupt-*"))
    assert not world.ask("status")["ok"]["sources"]["tracker"]["known"]
    pair = GitPair(world)
    pair.commit("Bug 7 - x")
    assert "the list of bugs is not there yet" in pair.push().stderr
    feed = world.feed()
    assert "tracker" in feed.where["requests"]
    assert feed.snapshot(record(7))["type"] == "applied"
    assert feed.contact()["type"] == "applied"
    pair.commit("Bug 7 - y")
    assert pair.push().returncode == 1
    assert ("feed", "quarantined") in [
        (entry["kind"], entry["outcome"]) for entry in world.ask("audit", limit=1000)["ok"]["entries"]
    ]
    feed.close()


def test_a_state_that_is_damaged_while_gated_runs_ends_it_and_the_next_start_puts_it_aside(
    world: GateWorld,
) -> None:
    feed = world.fed(*(record(bug) for bug in range(1, 5_000)))
    database = world.state / "gate.db"
    with sqlite3.connect(database) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    assert world.process is not None
    feed.send("records", epoch="e", records=[record(b, 6 + b) for b in range(500)])
    with contextlib.suppress(BrokenPipeError):  # it may have ended already
        feed.send("records", epoch="e", records=[record(b + 1, 6 + b) for b in range(500)])
    assert world.process.wait(20) == 1
    world.process = None
    feed.close()
    world.start()
    assert not world.ask("status")["ok"]["sources"]["tracker"]["known"]


def test_setting_the_clock_makes_no_list_younger(world: GateWorld) -> None:
    """After a start with a clock that was set back, the last contact lies in the future: its age is not known."""
    world.set_policy("[defaults]\nmax-stale-s = 600\n")
    feed = world.fed(record(7))
    feed.close()
    world.stop()
    with sqlite3.connect(world.state / "gate.db") as state:
        state.execute("UPDATE feed SET contacted_ms = contacted_ms + 86400000")
    world.start()
    assert world.ask("status")["ok"]["sources"]["tracker"]["ageS"] is None
    pair = GitPair(world)
    pair.commit("Bug 7 - x")
    landed = pair.push()
    assert landed.returncode == 0
    assert "the list is too old" in landed.stderr
    feed = world.feed()
    feed.contact()
    pair.commit("Bug 7 - y")
    assert pair.push().returncode == 1
    feed.close()


def test_the_age_goes_on_over_a_restart(world: GateWorld) -> None:
    feed = world.fed(record(7))
    feed.close()
    world.stop()
    with sqlite3.connect(world.state / "gate.db") as state:
        state.execute("UPDATE feed SET contacted_ms = contacted_ms - 3600000")
    world.start()
    age = world.ask("status")["ok"]["sources"]["tracker"]["ageS"]
    assert 3_600 <= age < 3_700


def test_a_full_disk_stops_the_feed_and_no_push(world: GateWorld) -> None:
    """What can't be made durable is not acknowledged; decisions go on with what is known."""
    feed = world.fed(record(7))
    with sqlite3.connect(world.state / "gate.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        feed.send("records", epoch="e", records=[record(7, 6, "approved")])
        assert feed.receive()["type"] == "closed", "not acknowledged: feedd connects again and sends it again"
        pair = GitPair(world)
        pair.commit("Bug 7 - x")
        assert pair.push().returncode == 1
        assert "the audit trail was not written" in world.log
    again = world.feed()
    assert again.where["cursors"]["tracker"]["seq"] == 5
    assert again.records(record(7, 6, "approved"))["type"] == "applied"
    again.close()


def test_a_hundred_thousand_messages_reach_their_verdict_within_the_deadline(world: GateWorld) -> None:
    """Straight to the socket, as the hooks send them."""
    feed = world.fed(record(7))
    message = (
        b"manifest\nuser\n0 0\nfile\n\nBug 1234567 - Do something useful. r=alice,bob\n\nDifferential: D1"
    )
    lines = [b"%040x changeset %d\n%s\n" % (n, len(message), message) for n in range(100_000)]
    bad = message.replace(b"Bug 1234567", b"Bug 7")
    lines.append(b"%040x changeset %d\n%s\n" % (7, len(bad), bad))
    stream = b"".join(lines)

    def frame(kind: bytes, payload: bytes) -> bytes:
        return kind + len(payload).to_bytes(4, "big") + payload

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(world.run / "hook.sock"))
        connection.sendall(frame(b"H", b"v=1\nhook=mercurial\nrepository=widget"))
        for at in range(0, len(stream), 500_000):
            connection.sendall(frame(b"C", stream[at : at + 500_000]))
        connection.sendall(frame(b"E", b"%d" % len(lines)))
        answer = connection.makefile("rb").read()
    assert answer[5:6] in (b"R", b"A")
    assert b"names bug 7" in answer or b"it took too long" in answer, (
        "a verdict, or the policy's choice in time"
    )
    feed.close()


@pytest.mark.parametrize(("fail", "verdict"), [("open", b"A"), ("closed", b"R")])
def test_a_question_that_does_not_end_or_is_too_large_gets_the_policys_answer_in_time(
    world: GateWorld, fail: str, verdict: bytes
) -> None:
    world.set_policy(
        f'[limits]\ndeadline-ms = 400\nreread-ms = 300\nmax-push-bytes = 1048576\n[defaults]\nfail = "{fail}"\n'
    )
    hello = b"v=1\nhook=git\nrepository=widget"
    for more, why in ((b"", b"it took too long"), (b"x" * 100_000, b"the push is too large")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(20)
            connection.connect(str(world.run / "hook.sock"))
            connection.sendall(b"H" + len(hello).to_bytes(4, "big") + hello)
            content = b"%040x blob 1200000\n" % 1 + more
            for _ in range(12 if more else 0):
                connection.sendall(b"C" + len(content).to_bytes(4, "big") + content)
                content = more
            answer = connection.makefile("rb").read()
        assert answer[5:6] == verdict
        assert why in answer
    outcomes = {entry["outcome"] for entry in world.ask("audit", kind="push")["ok"]["entries"]}
    said = "allowed" if fail == "open" else "rejected"
    assert outcomes == {f"late-{said}", f"malformed-{said}"}


def test_the_sockets_are_there_again_after_a_kill(world: GateWorld) -> None:
    world.stop(signal.SIGKILL)
    assert Path(world.run / "hook.sock").exists()
    world.start()
    assert world.ask("status")["ok"]["sources"]
