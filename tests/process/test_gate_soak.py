"""A hundred thousand commits in one push, with the real hooks: decided within their deadline."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from gate_world import CompiledGitPair, GateWorld, GitPair, MercurialPair, gate_world, record

COUNT = 100_000
FEW = 3_000
HISTORY = """
from mercurial import ui as uimod, hg, context
repo = hg.repository(uimod.ui.load(), {clone!r})
with repo.wlock(), repo.lock(), repo.transaction(b'history'):
    parent = repo[b'null'].node()
    for n in range({count}):
        def content(repo, ctx, path, n=n):
            return context.memfilectx(repo, ctx, path, b'%d\\n' % n)
        text = b'Bug 7 - secret' if n == {count} - 1 else b'Bug %d - Do something useful. r=alice' % (1000000 + n)
        files = [b'file'] if n % 100 == 0 else []
        parent = context.memctx(repo, (parent, None), text, files, content, user=b'tester', date=b'0 0').commit()
"""


@pytest.fixture
def world() -> Iterator[GateWorld]:
    with gate_world() as made:
        made.start()
        yield made


@pytest.mark.process
@pytest.mark.parametrize("pair_type", [GitPair, CompiledGitPair])
@pytest.mark.parametrize("count", [FEW, pytest.param(COUNT, marks=pytest.mark.soak)])
def test_a_large_git_push_is_rejected_for_its_last_commit(
    world: GateWorld, count: int, pair_type: type[GitPair]
) -> None:
    world.fed(record(7))
    pair = pair_type(world)
    who = b"tester <t@example.org> 0 +0000"
    lines = []
    for n in range(count):
        text = (
            b"Bug 7 - secret"
            if n == count - 1
            else b"Bug %d - Do something useful. r=alice" % (1_000_000 + n)
        )
        lines.append(b"commit refs/heads/main\ncommitter %s\ndata %d\n%s\n" % (who, len(text), text))
    stream = world.folder / "stream"
    stream.write_bytes(b"".join(lines))
    with stream.open("rb") as source:
        subprocess.run(["git", "fast-import", "--quiet"], cwd=pair.clone, stdin=source, check=True)
    done = pair.push("refs/heads/main")
    assert "names bug 7" in done.stderr, done.stderr
    assert pair.heads() == {}


@pytest.mark.process
@pytest.mark.parametrize("count", [FEW, pytest.param(COUNT, marks=pytest.mark.soak)])
def test_a_large_mercurial_push_is_rejected_for_its_last_changeset(world: GateWorld, count: int) -> None:
    world.fed(record(7))
    pair = MercurialPair(world)
    script = HISTORY.format(clone=str(pair.clone).encode(), count=count)
    subprocess.run(
        ["/usr/bin/python3", "-c", script], check=True, env={"HGRCPATH": "", "PATH": "/usr/bin:/bin"}
    )
    done = pair.push()
    assert "names bug 7" in done.stdout + done.stderr, done.stdout + done.stderr
    assert pair.revisions() == 0
