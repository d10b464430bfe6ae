"""The gate on real git pushes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gate_world import CompiledGitPair, GateWorld, GitPair, gate_world, record

pytestmark = pytest.mark.process


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


def test_a_sensitive_bug_is_rejected_and_passes_once_approval_is_granted(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    """D1, D2."""
    feed = world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 8 - ordinary")
    assert pair.push().returncode == 0
    commit = pair.commit("Bug 7 - overflow. r=alice a=dveditz")
    rejected = pair.push()
    assert rejected.returncode == 1
    assert (
        f"{commit[:12]} names bug 7: it is security-sensitive; no live patch in it has sec-approval+"
        in rejected.stderr
    )
    assert "https://tracker.example/7" in rejected.stderr
    assert pair.heads()["refs/heads/main"] != commit
    assert feed.records(record(7, 6, "approved"))["type"] == "applied"
    assert pair.push().returncode == 0
    assert pair.heads()["refs/heads/main"] == commit
    feed.close()


def test_the_hook_looks_at_every_ref_and_every_new_commit(world: GateWorld, pair_type: type[GitPair]) -> None:
    feed = world.fed(record(7))
    pair = pair_type(world)
    pair.commit("first")
    assert pair.push().returncode == 0
    pair.commit("Bug 7 - hidden in the middle")
    pair.commit("last")
    for ref in ("refs/heads/main", "refs/heads/other", "refs/tags/v1", "refs/odd/place"):
        assert "names bug 7" in pair.push(f"HEAD:{ref}").stderr, ref
    pair.run("tag", "-a", "v2", "-m", "annotated")
    assert "names bug 7" in pair.push("v2").stderr
    assert "names bug 7" in pair.push("HEAD~2:refs/heads/fine", "HEAD:refs/heads/bad").stderr
    assert set(pair.heads()) == {"refs/heads/main"}
    feed.close()


def test_a_commit_that_is_in_the_repository_already_is_not_judged_again(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    """It landed while its bug was not sensitive; merging its branch to another one must not be stopped by it."""
    feed = world.fed()
    pair = pair_type(world)
    pair.commit("first")
    assert pair.push().returncode == 0
    pair.commit("Bug 7 - x")
    assert pair.push("HEAD:refs/heads/feature").returncode == 0
    feed.records(record(7, 6))
    landed = pair.push("HEAD:refs/heads/main")
    assert landed.returncode == 0, landed.stderr
    pair.commit("Bug 7 - more")
    assert "names bug 7" in pair.push("HEAD:refs/heads/main").stderr
    feed.close()


def test_the_uplift_rule_looks_at_what_is_new_to_the_branch(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    """D5."""
    world.set_policy('[repository.widget]\nuplift = { beta = "approval-beta" }\nrules.uplift = "enforce"\n')
    feed = world.fed(record(7, reason="approved"))
    pair = pair_type(world)
    pair.commit("first")
    assert pair.push("HEAD:refs/heads/main", "HEAD:refs/heads/beta").returncode == 0
    pair.commit("Bug 7 - x a=me")
    assert pair.push("HEAD:refs/heads/main").returncode == 0
    rejected = pair.push("HEAD:refs/heads/beta")
    assert "it has no approval-beta+ for this branch" in rejected.stderr
    feed.records(record(7, 6, "approved", uplift=["approval-beta"]))
    assert pair.push("HEAD:refs/heads/beta").returncode == 0
    feed.close()


def test_deleting_and_moving_refs_back_needs_no_commits(world: GateWorld, pair_type: type[GitPair]) -> None:
    feed = world.fed(record(7))
    pair = pair_type(world)
    pair.commit("first")
    pair.commit("second")
    assert pair.push("HEAD:refs/heads/main", "HEAD:refs/heads/other").returncode == 0
    assert pair.push(":refs/heads/other").returncode == 0
    assert pair.push("+HEAD~1:refs/heads/main").returncode == 0
    assert world.ask("status")["ok"]["firings"][0]["pushes"] == 2, "a deletion brings no commits to ask about"
    feed.close()


def test_messages_that_are_not_utf8_and_tags_of_blobs_are_looked_at(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    feed = world.fed(record(7))
    pair = pair_type(world)
    pair.commit(b"caf\xe9 \xff\xfe\n\nnothing")
    blob = pair.run("hash-object", "-w", "--stdin", input="content").stdout.strip()
    pair.run("tag", "blob", blob)
    assert pair.push("HEAD:refs/heads/main", "blob").returncode == 0
    assert "audited later" not in pair.push("blob:refs/tags/again").stderr
    pair.commit(b"Bug 7 - na\xefve")
    assert "names bug 7" in pair.push().stderr
    feed.close()


def test_replacement_refs_do_not_change_what_is_looked_at(world: GateWorld, pair_type: type[GitPair]) -> None:
    feed = world.fed(record(7))
    pair = pair_type(world)
    clean = pair.commit("clean")
    assert pair.push().returncode == 0
    bad = pair.commit("Bug 7 - x")
    assert pair.push(f"{clean}:refs/replace/{bad}").returncode == 0
    assert "names bug 7" in pair.push().stderr
    feed.close()


def test_warn_mode_lets_in_and_counts_what_it_would_have_rejected(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    """D5."""
    world.set_policy('[defaults.rules]\nsecurity-approval = "warn"\napproval-token = "warn"\n')
    feed = world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 7 - x")
    landed = pair.push()
    assert landed.returncode == 0
    assert "warning: 1 commit of this push" in landed.stderr
    assert 'would_reject_total{repository="other"} 1' in world.ask("metrics")["ok"]["text"]
    feed.close()


def test_an_override_lets_one_bug_pass_and_is_written_down(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    feed = world.fed(record(7), record(9))
    pair = pair_type(world)
    pair.commit("Bug 7 - x")
    assert pair.push().returncode == 1
    done = world.liftlock("override", "7", "--reason", "chemspill", "--repository", "widget")
    assert done.returncode == 0, done.stderr
    assert pair.push().returncode == 0
    pair.commit("Bug 9 - y")
    assert pair.push().returncode == 1
    assert world.liftlock("override", "7", "--reason", "done", "--revoke").returncode == 0
    pair.run("reset", "--quiet", "--hard", "HEAD~1")
    pair.commit("Bug 7 - more")
    assert pair.push().returncode == 1
    kinds = [(e["kind"], e["outcome"]) for e in world.ask("audit", limit=100)["ok"]["entries"]]
    assert ("override", "granted") in kinds
    assert ("override", "revoked") in kinds
    feed.close()


def test_a_would_be_rejection_first_asks_for_the_bug_once_more(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    """The approval was granted a moment ago and its event is still on the way."""
    feed = world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 7 - x a=me")
    feed.truth[7] = record(7, 6, "approved")
    landed = pair.push()
    assert feed.asked == [7]
    assert landed.returncode == 0, landed.stderr
    assert world.ask("status")["ok"]["sources"]["tracker"]["seq"] == 5, "a re-read moves no cursor"
    feed.close()


def test_a_re_read_that_is_older_or_does_not_come_changes_nothing(
    world: GateWorld, pair_type: type[GitPair]
) -> None:
    feed = world.fed(record(7, seq=5))
    pair = pair_type(world)
    pair.commit("Bug 7 - x a=me")
    feed.truth[7] = record(7, 4, "approved")
    assert pair.push().returncode == 1
    feed.mute = True
    rejected = pair.push()
    assert "names bug 7" in rejected.stderr
    assert feed.asked == [7, 7]
    feed.close()
