"""Pushers against the audit of what slipped through: let in elsewhere, under a lie, or while list or memory were lost."""

from __future__ import annotations

import os

import pytest

from gate_frames import ask, frame
from gate_world import GitPair, gate_world, record

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.getuid() != 0, reason="needs several users"),
]


def test_a_commit_that_was_let_in_elsewhere_or_under_a_lie_is_no_less_found_by_the_audit() -> None:
    """A repository that only warns, and a made-up question about the same commit, excuse nothing afterwards."""
    with gate_world() as world:
        lax = '[repository.sandbox.rules]\nsecurity-approval = "warn"\napproval-token = "warn"\n'
        world.set_policy(lax + "[repository.widget]\n")
        world.start()
        world.fed(record(7))
        pair, sandbox = GitPair(world), GitPair(world, "sandbox")
        pair.commit("first")
        assert pair.push().returncode == 0
        assert world.liftlock("replay", "widget", str(pair.server), "--audit").returncode == 0
        revision = pair.commit("Bug 7 - fix")
        assert pair.run("push", str(sandbox.server), "HEAD:refs/heads/main").returncode == 0
        text = b"m\nu\n0 0\n\nBacked out bug 7"
        piece = b"%s changeset %d\n%s\n" % (revision.encode(), len(text), text)
        for name in (b"nonsense", b"widget"):
            hello = frame(b"H", b"v=1\nhook=git\nrepository=" + name)
            assert b"only a warning" in ask(
                world.run / "hook.sock", hello, frame(b"C", piece), frame(b"E", b"1")
            )
        (pair.server / "hooks" / "pre-receive").unlink()
        assert pair.push().returncode == 0
        audit = world.liftlock("replay", "widget", str(pair.server), "--audit")
        assert audit.returncode == 1, audit.stdout
        assert f"{revision[:12]} bug 7: security-approval" in audit.stdout


@pytest.mark.parametrize("harm", ["no list", "lost state"])
def test_an_outage_that_loses_the_list_or_the_state_swallows_no_commit(harm: str) -> None:
    with gate_world() as world:
        world.start()
        world.fed(record(7))
        pair = GitPair(world)
        pair.commit("first")
        assert pair.push().returncode == 0
        assert world.liftlock("replay", "widget", str(pair.server), "--audit").returncode == 0
        world.stop()
        if harm == "lost state":
            (world.state / "gate.db").write_bytes(b"garbage" * 1000)
        revision = pair.commit("Bug 7 - fix")
        assert pair.push().returncode == 0
        world.start()
        assert world.liftlock("replay", "widget", str(pair.server), "--audit").returncode == 6
        world.fed(record(7))
        audit = world.liftlock("replay", "widget", str(pair.server), "--audit")
        assert audit.returncode == 1, audit.stdout
        assert f"{revision[:12]} bug 7: security-approval" in audit.stdout


def test_an_audit_whose_memory_was_lost_says_so() -> None:
    with gate_world() as world:
        (world.state / "gate.db").write_bytes(b"garbage" * 1000)
        world.start()
        pair = GitPair(world)
        audit = world.liftlock("replay", "widget", str(pair.server), "--audit")
        assert audit.returncode == 1
        assert "gated's state was lost at 20" in audit.stdout
        assert world.liftlock("replay", "widget", str(pair.server), "--audit").returncode == 6
