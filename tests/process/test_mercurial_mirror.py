"""Mirrors with the real hg: what is pulled, kept and read, and what a hostile source cannot do; D7, from push to decision."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from liftlock.adapters.doorbells.drop_box import DropBox
from liftlock.adapters.mercurial.by_kind import MirrorsByKind
from liftlock.adapters.mercurial.mirror import MercurialMirrors
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.system.clock import SystemClock
from liftlock.cli.gate_install import install_mercurial_ring
from liftlock.domain.pushes.project import Project, define_project
from liftlock.errors import InputInvalidError, NotFoundError, RepositoryError
from push_world import CONFIG, CREATE, ROLE, PushWorld, digest_of

pytestmark = pytest.mark.process


@dataclass
class Source:
    """A repository that people push to, and a clone."""

    server: Path
    work: Path

    def hg(self, *arguments: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["hg", *arguments],
            cwd=folder or self.work,
            check=True,
            capture_output=True,
            text=True,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.work.parent),
                "HGRCPATH": "",
                "HGPLAIN": "1",
                "LC_ALL": "C.UTF-8",
                "LIFTLOCK_PUSHER": "robin",
            },
        )
        return done.stdout.strip()

    def commit(self, content: str, message: str = "Say it\n\nBody") -> str:
        (self.work / ".taskcluster.yml").write_text(content)
        self.hg("commit", "--addremove", "--user", "Robin Ö <robin@example.org>", "--message", message)
        return self.hg("log", "-r", ".", "-T", "{node}")

    def push(self, content: str) -> str:
        node = self.commit(content)
        self.hg("push", "--force", "--new-branch", str(self.server))
        return node


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path / "server", tmp_path / "work")
    for folder in (made.server, made.work):
        folder.mkdir()
        made.hg("init", folder=folder)
    return made


def project(source: Source) -> Project:
    return define_project(
        name="widget",
        identity="https://github.com/demo/widget",
        fetch_address=str(source.server),
        level=3,
        branches=["*"],
        trust_domain="demo",
        vcs="hg",
    )


@pytest.fixture
def mirrors(tmp_path: Path) -> MercurialMirrors:
    return MercurialMirrors(tmp_path / "mirrors")


async def test_branches_commits_and_files_are_read_as_they_were_pushed(
    source: Source, mirrors: MercurialMirrors
) -> None:
    widget = project(source)
    first = source.push("one")
    source.hg("branch", "beta")
    second = source.push("two")
    assert await mirrors.fetch(widget) == {"default": first, "beta": second}
    commit = await mirrors.commit(widget, first)
    assert (commit.revision, commit.message) == (first, "Say it\n\nBody")
    assert (commit.author_name, commit.author_email) == ("Robin Ö", "robin@example.org")
    assert await mirrors.file(widget, first, ".taskcluster.yml", max_bytes=10) == b"one"
    assert await mirrors.file(widget, first, "absent", max_bytes=10) is None
    with pytest.raises(InputInvalidError, match="has 3 bytes"):
        await mirrors.file(widget, first, ".taskcluster.yml", max_bytes=2)


async def test_history_tells_advances_from_rewrites(source: Source, mirrors: MercurialMirrors) -> None:
    widget = project(source)
    first, second = source.push("one"), source.push("two")
    source.hg("update", first)
    other = source.push("other")
    assert (await mirrors.fetch(widget))["default"] == other, "the head that arrived last"
    assert await mirrors.is_ancestor(widget, first, second)
    assert not await mirrors.is_ancestor(widget, second, other)
    assert not await mirrors.is_ancestor(widget, "f" * 40, other)
    assert not await mirrors.is_ancestor(widget, "0" * 40, other)


async def test_what_was_kept_is_known_with_its_history(source: Source, mirrors: MercurialMirrors) -> None:
    widget = project(source)
    first, second = source.push("one"), source.push("two")
    await mirrors.fetch(widget)
    assert not await mirrors.kept(widget, first)
    await mirrors.keep(widget, 1, first)
    await mirrors.keep(widget, 1, first)
    assert await mirrors.kept(widget, first)
    assert not await mirrors.kept(widget, second)
    await mirrors.keep(widget, 2, second)
    assert await mirrors.kept(widget, second)


async def test_a_removed_mirror_is_made_again(source: Source, mirrors: MercurialMirrors) -> None:
    widget = project(source)
    node = source.push("one")
    await mirrors.fetch(widget)
    await mirrors.forget(widget)
    assert await mirrors.fetch(widget) == {"default": node}


async def test_settings_hooks_and_extensions_of_the_source_run_nothing_on_our_side(
    source: Source, mirrors: MercurialMirrors, tmp_path: Path
) -> None:
    node = source.push("one")
    ran = tmp_path / "ran"
    extension = tmp_path / "extension.py"
    extension.write_text(f"open({str(ran)!r}, 'a').write('extension')\n")
    (source.server / ".hg" / "hgrc").write_text(
        f"[hooks]\noutgoing = touch {ran}\npreoutgoing = touch {ran}\nprelistkeys = touch {ran}\n"
        f"[extensions]\nx = {extension}\n[defaults]\nlog = --config hooks.x=y\n"
    )
    assert await mirrors.fetch(project(source)) == {"default": node}
    assert not ran.exists()
    source.hg("log", folder=source.server)
    assert ran.exists(), "the trap works where settings are read"


async def test_a_source_whose_store_is_elsewhere_is_refused(
    source: Source, mirrors: MercurialMirrors
) -> None:
    source.push("one")
    (source.server / ".hg" / "sharedpath").write_text("/root/secret/.hg\n")
    with pytest.raises(RepositoryError, match="borrows"):
        await mirrors.fetch(project(source))
    (source.server / ".hg" / "sharedpath").unlink()
    (source.server / ".hg" / "store").rename(source.server / "elsewhere")
    (source.server / ".hg" / "store").symlink_to(source.server / "elsewhere")
    with pytest.raises(RepositoryError, match="borrows"):
        await mirrors.fetch(project(source))


async def test_a_link_as_configuration_is_refused(source: Source, mirrors: MercurialMirrors) -> None:
    (source.work / ".taskcluster.yml").symlink_to("/etc/passwd")
    source.hg("commit", "--addremove", "--user", "x", "--message", "link")
    source.hg("push", str(source.server))
    widget = project(source)
    node = (await mirrors.fetch(widget))["default"]
    with pytest.raises(InputInvalidError, match="not a regular file"):
        await mirrors.file(widget, node, ".taskcluster.yml", max_bytes=100_000)


async def test_what_cannot_be_pulled_says_why(
    source: Source, mirrors: MercurialMirrors, tmp_path: Path
) -> None:
    widget = project(Source(tmp_path / "absent", source.work))
    with pytest.raises(RepositoryError, match=r"hg pull.*not found"):
        await mirrors.fetch(widget)
    for revision in ("tip", "--config=x", "0" * 39):
        with pytest.raises(RepositoryError, match="40 hexadecimal digits"):
            await mirrors.commit(widget, revision)


def test_the_hook_leaves_a_ring_with_what_landed_on_each_branch(source: Source, tmp_path: Path) -> None:
    box = DropBox.make(tmp_path / "box", SystemClock())
    install_mercurial_ring(source.server, "widget", str(box.path), tmp_path / "hooks")
    node = source.push("one")
    [ring] = asyncio.run(box.take())
    assert ring.project == "widget"
    assert [(claim.branch, claim.revision, claim.pusher) for claim in ring.claims] == [
        ("default", node, "robin")
    ]


def test_a_ring_that_cannot_be_left_fails_no_push(source: Source, tmp_path: Path) -> None:
    install_mercurial_ring(source.server, "widget", "/nonexistent", tmp_path / "hooks")
    node = source.push("one")
    assert source.hg("log", "-r", "tip", "-T", "{node}", folder=source.server) == node


async def test_an_accepted_push_to_mercurial_starts_its_decision_task(
    engine: Engine, source: Source, tmp_path: Path
) -> None:
    """D7: with the role of its branch, from what liftlock pulled itself; the ring says who pushed."""
    repository = MirrorsByKind({"hg": MercurialMirrors(tmp_path / "mirrors")})
    world = PushWorld(engine, tmp_path, repository=repository)  # type: ignore[arg-type]
    await world.access.make_role(f"{ROLE}:branch:default", *CREATE)
    widget = project(source)
    await world.projects.register(await world.access.caller(), widget, world.clock.now())
    box = DropBox.make(tmp_path / "box", SystemClock())
    install_mercurial_ring(source.server, "widget", str(box.path), tmp_path / "hooks")
    content = CONFIG.replace("branch:main", "branch:default")
    node = source.push(content)
    world.doorbells.left = await box.take()
    await world.watch.step()
    await world.watch.settle()
    push = await world.observe(branch="default")
    assert (push.revision, push.decision, push.decision_text) == (node, "started", "")
    assert (push.owner, push.owner_standing) == ("robin", "claimed")
    assert push.config_digest == digest_of(content)
    [stored] = await world.tasks.stored([push.task_id])
    assert stored.document["scopes"] == [f"assume:{ROLE}:branch:default"]
    assert json.dumps(stored.document["metadata"])


async def test_a_bundle_holds_the_history_of_its_heads_and_nothing_else(
    source: Source, mirrors: MercurialMirrors, tmp_path: Path
) -> None:
    widget = project(source)
    first, second = source.push("one"), source.push("two")
    source.hg("update", first)
    other = source.push("other")
    await mirrors.fetch(widget)
    assert await _bundled(mirrors, widget, tmp_path, first) == {first}
    assert await _bundled(mirrors, widget, tmp_path, other) == {first, other}
    assert await _bundled(mirrors, widget, tmp_path, other, second) == {first, second, other}
    assert [each.name for each in (tmp_path / "mirrors").iterdir()] == ["widget.hg"], "nothing is left"


async def _bundled(
    mirrors: MercurialMirrors, widget: Project, folder: Path, head: str, base: str | None = None
) -> set[str]:
    """Return the changesets that another repository takes out of a bundle."""
    heads = {"HEAD": head, "refs/heads/default": head, **({"refs/liftlock/base": base} if base else {})}
    content = b"".join([chunk async for chunk in mirrors.bundle(widget, heads)])
    place = Source(folder / f"copy-{head}", folder / f"copy-{head}")
    place.work.mkdir(exist_ok=True)
    if not (place.work / ".hg").exists():
        place.hg("init")
    (folder / "bundle").write_bytes(content)
    place.hg("unbundle", str(folder / "bundle"))
    return set(place.hg("log", "-T", "{node}\n").split())


async def test_a_bundle_of_what_is_not_there_is_an_error_and_no_bundle(
    source: Source, mirrors: MercurialMirrors, tmp_path: Path
) -> None:
    widget = project(source)
    source.push("one")
    await mirrors.fetch(widget)
    with pytest.raises(RepositoryError, match="unknown revision"):
        await anext(mirrors.bundle(widget, {"HEAD": "e" * 40}))
    assert [each.name for each in (tmp_path / "mirrors").iterdir()] == ["widget.hg"]


async def test_the_source_of_a_push_to_mercurial_is_given_out_and_no_other_changeset(
    engine: Engine, source: Source, tmp_path: Path
) -> None:
    repository = MirrorsByKind({"hg": MercurialMirrors(tmp_path / "mirrors")})
    world = PushWorld(engine, tmp_path, repository=repository)  # type: ignore[arg-type]
    await world.access.make_role(f"{ROLE}:branch:default", *CREATE)
    widget = project(source)
    caller = await world.access.caller()
    await world.projects.register(caller, widget, world.clock.now())
    node = source.push(CONFIG.replace("branch:main", "branch:default"))
    await world.observe(branch="default")
    vcs, chunks = await world.log.source(caller, "widget", node)
    assert vcs == "hg"
    assert (await anext(chunks))[:4] == b"HG20"
    late = source.push("late")
    await repository.fetch(widget)
    for revision in (late, "e" * 40):
        with pytest.raises(NotFoundError, match="no recorded push of widget brought the revision"):
            await world.log.source(caller, "widget", revision)
