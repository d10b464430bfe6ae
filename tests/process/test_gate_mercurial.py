"""The gate on real Mercurial pushes, over the ssh protocol."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from gate_world import GateWorld, MercurialPair, gate_world, record

pytestmark = pytest.mark.process


@pytest.fixture
def world() -> Iterator[GateWorld]:
    with gate_world() as made:
        made.start()
        yield made


def test_a_sensitive_bug_is_rejected_and_passes_once_approval_is_granted(world: GateWorld) -> None:
    """D1, D2."""
    feed = world.fed(record(7))
    pair = MercurialPair(world)
    pair.commit("Bug 8 - ordinary")
    assert pair.push().returncode == 0
    node = pair.commit("Bug 7 - overflow. r=alice a=dveditz")
    rejected = pair.push()
    assert rejected.returncode != 0
    said = rejected.stdout + rejected.stderr
    assert f"remote: liftlock:   {node[:12]} names bug 7: it is security-sensitive" in said
    assert pair.revisions() == 1
    assert feed.records(record(7, 6, "approved"))["type"] == "applied"
    landed = pair.push()
    assert landed.returncode == 0, landed.stderr
    assert pair.revisions() == 2
    feed.close()


def test_every_changeset_of_a_push_is_looked_at(world: GateWorld) -> None:
    feed = world.fed(record(7))
    pair = MercurialPair(world)
    pair.commit("first")
    pair.commit("Bug 7 - hidden in the middle")
    pair.commit("last")
    said = pair.push()
    assert "names bug 7" in said.stdout + said.stderr
    assert pair.revisions() == 0
    feed.close()


def test_merges_are_skipped_and_branches_have_their_own_uplift_flags(world: GateWorld) -> None:
    """D5. A merge is told by its second parent, and a changeset by its branch."""
    world.set_policy('[repository.widget]\nuplift = { beta = "approval-beta" }\nrules.uplift = "enforce"\n')
    feed = world.fed(record(7, reason="approved"), record(9))
    pair = MercurialPair(world)
    first = pair.commit("first")
    pair.commit("Bug 7 - x a=me")
    pair.run("update", "--quiet", first)
    (pair.clone / "other").write_text("x")
    pair.run("commit", "--quiet", "--addremove", "--message", "side")
    pair.run("merge", "--quiet", "--tool", ":local")
    pair.run("commit", "--quiet", "--message", "Merge for bug 9")
    landed = pair.push("--force")
    assert landed.returncode == 0, landed.stdout + landed.stderr
    pair.run("branch", "--quiet", "beta")
    pair.commit("Bug 7 - uplifted a=me")
    said = pair.push("--new-branch")
    assert "it has no approval-beta+ for this branch" in said.stdout + said.stderr
    feed.close()


def test_changesets_are_public_in_the_hook_and_are_looked_at_all_the_same(world: GateWorld) -> None:
    """On a publishing repository the phase says nothing about what is new; nor does the transaction's name."""
    feed = world.fed(record(7))
    pair = MercurialPair(world)
    pair.commit("first")
    pair.commit("Bug 7 - x")
    pair.run("phase", "--public", "-r", "all()")
    said = pair.push()
    assert "names bug 7" in said.stdout + said.stderr
    feed.close()


def test_unbundling_and_pulling_on_the_server_are_looked_at(world: GateWorld) -> None:
    feed = world.fed(record(7))
    pair = MercurialPair(world)
    pair.commit("Bug 7 - x")
    bundle = str(world.folder / "bundle")
    pair.run("bundle", "--all", bundle)
    assert "names bug 7" in pair.run("unbundle", bundle, where=pair.server).stderr
    assert "names bug 7" in pair.run("pull", str(pair.clone), where=pair.server).stderr
    assert pair.revisions() == 0
    feed.close()


def test_stripping_puts_back_what_was_there_without_asking(world: GateWorld) -> None:
    feed = world.fed()
    pair = MercurialPair(world)
    first = pair.commit("first")
    pair.commit("Bug 7 - x")
    pair.run("update", "--quiet", first)
    (pair.clone / "other").write_text("x")
    pair.run("commit", "--quiet", "--addremove", "--message", "Bug 7 - y")
    assert pair.push("--force").returncode == 0
    feed.records(record(7, 6))
    done = pair.run("--config", "extensions.strip=", "strip", "--no-backup", "-r", "1", where=pair.server)
    assert done.returncode == 0, done.stderr
    assert pair.revisions() == 2
    feed.close()


COMPARED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("hook", sys.argv[2])
hook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hook)
from mercurial import hg, ui
changelog = hg.repository(ui.ui.load(), sys.argv[1].encode()).unfiltered().changelog
public = [(changelog.node(n), changelog.parentrevs(n)[1], changelog.revision(n)) for n in range(len(changelog))]
assert hook.stored(changelog, range(len(changelog))) == public
assert hook.stored(changelog, range(2, 4)) == public[2:4]

class Index:
    def __getitem__(self, rev):
        return changelog.index[rev][:3] + (0, 0, 0, 0, b"x" * 20)

class Other:
    # Another version of hg: what is not its public interface is not there, or is something else.
    def __init__(self, **held):
        vars(self).update(held)
    def __getattr__(self, name):
        if name in ("index", "_chunks"):
            raise AttributeError(name)
        return getattr(changelog, name)

for other in (
    Other(),
    Other(index=changelog.index),
    Other(index=Index(), _chunks=changelog._chunks),
    Other(index=changelog.index, _chunks=lambda revs: [b"x"] * len(revs)),
    Other(index=changelog.index, _chunks=lambda revs: []),
):
    assert hook.stored(other, range(len(changelog))) == public
print(len(public), sum(second != -1 for _, second, _ in public))
"""


def test_what_the_hook_reads_at_once_is_what_hg_reads_one_by_one(world: GateWorld) -> None:
    """Texts that are kept compressed and plain, merges; and where hg is not what the hook expects."""
    pair = MercurialPair(world)
    first = pair.commit("first")
    pair.commit("much of the same " * 500)
    pair.run("update", "--quiet", first)
    (pair.clone / "other").write_text("x")
    pair.run("commit", "--quiet", "--addremove", "--message", "side")
    pair.run("merge", "--quiet", "--tool", ":local")
    pair.run("commit", "--quiet", "--message", "merge")
    [hook] = (world.folder / "hooks").glob("gate-*.py")
    done = subprocess.run(
        ["/usr/bin/python3", "-c", COMPARED, str(pair.clone), str(hook)],
        env={"HGRCPATH": "", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("4 1\n", "")
