"""Mirrors with the real git: what is fetched, kept, read and bundled, and what a hostile source cannot do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from liftlock.adapters.git.mirror import MAX_BUNDLES, MAX_PACKS, GitMirrors
from liftlock.adapters.git.objects import MAX_CONTENT
from liftlock.domain.pushes.project import Project, define_project
from liftlock.errors import InputInvalidError, RepositoryError

pytestmark = pytest.mark.process


@dataclass
class Source:
    """A bare repository and a working copy that pushes to it."""

    bare: Path
    work: Path

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        identity = [
            "-c",
            "user.name=Robin Ö",
            "-c",
            "user.email=robin@example.org",
            "-c",
            "init.defaultBranch=main",
        ]
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=folder or self.work,
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.work.parent), "GIT_CONFIG_NOSYSTEM": "1"},
        )
        return done.stdout.strip()

    def push(self, content: str, branch: str = "main", *, force: bool = False) -> str:
        (self.work / ".taskcluster.yml").write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", f"Say {content[:40]}\n\nBody")
        self.git(
            "push", "--quiet", *(["--force"] if force else []), str(self.bare), f"HEAD:refs/heads/{branch}"
        )
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path / "bare.git", tmp_path / "work")
    made.work.mkdir()
    made.git("init", "--quiet")
    made.git("init", "--quiet", "--bare", str(made.bare))
    return made


@pytest.fixture
def mirrors(tmp_path: Path) -> GitMirrors:
    return GitMirrors(tmp_path / "mirrors")


def _project(source: Source, address: str | None = None) -> Project:
    return define_project(
        name="widget",
        identity="https://github.com/liftlock-demo/widget",
        fetch_address=address or str(source.bare),
        level=3,
        branches=["*"],
        trust_domain="demo",
    )


async def _all(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_an_empty_repository_has_no_branches(source: Source, mirrors: GitMirrors) -> None:
    assert await mirrors.fetch(_project(source)) == {}


@pytest.mark.parametrize("form", ["{}", "file://{}"])
async def test_branches_follow_the_source_and_deleted_ones_go(
    source: Source, mirrors: GitMirrors, form: str
) -> None:
    project = _project(source, form.format(source.bare))
    first = source.push("one")
    source.push("one", "dev/x")
    assert await mirrors.fetch(project) == {"main": first, "dev/x": source.git("rev-parse", "HEAD")}
    second = source.push("two")
    source.git("push", "--quiet", str(source.bare), ":refs/heads/dev/x")
    assert await mirrors.fetch(project) == {"main": second}


async def test_a_commit_says_author_message_and_time(source: Source, mirrors: GitMirrors) -> None:
    revision = source.push("one")
    await mirrors.fetch(_project(source))
    commit = await mirrors.commit(_project(source), revision)
    assert (commit.author_name, commit.author_email) == ("Robin Ö", "robin@example.org")
    assert commit.message == "Say one\n\nBody"
    assert commit.committed.isoformat() == source.git("show", "-s", "--format=%cI").replace("Z", "+00:00")


async def test_a_file_is_read_at_a_revision_and_may_be_missing(source: Source, mirrors: GitMirrors) -> None:
    project = _project(source)
    first, second = source.push("one"), source.push("two")
    await mirrors.fetch(project)
    assert await mirrors.file(project, first, ".taskcluster.yml", max_bytes=10) == b"one"
    assert await mirrors.file(project, second, ".taskcluster.yml", max_bytes=10) == b"two"
    assert await mirrors.file(project, first, "absent", max_bytes=10) is None


async def test_a_file_that_is_none_or_too_large_is_an_error(source: Source, mirrors: GitMirrors) -> None:
    project = _project(source)
    (source.work / "folder").mkdir()
    (source.work / "folder" / "file").write_text("x")
    revision = source.push("long content")
    await mirrors.fetch(project)
    with pytest.raises(InputInvalidError, match=r"folder at .* is a tree, not a file"):
        await mirrors.file(project, revision, "folder", max_bytes=10)
    with pytest.raises(InputInvalidError, match="has 12 bytes, expected at most 11"):
        await mirrors.file(project, revision, ".taskcluster.yml", max_bytes=11)


async def test_a_symbolic_link_as_configuration_is_its_own_text_and_follows_nothing(
    source: Source, mirrors: GitMirrors
) -> None:
    project = _project(source)
    (source.work / "link").symlink_to("/etc/passwd")
    revision = source.push("one")
    await mirrors.fetch(project)
    assert await mirrors.file(project, revision, "link", max_bytes=100) == b"/etc/passwd"


async def test_ancestry_tells_an_advance_from_a_force_push(source: Source, mirrors: GitMirrors) -> None:
    project = _project(source)
    first, second = source.push("one"), source.push("two")
    await mirrors.fetch(project)
    source.git("reset", "--quiet", "--hard", first)
    forced = source.push("other", force=True)
    await mirrors.fetch(project)
    assert await mirrors.is_ancestor(project, first, forced)
    assert not await mirrors.is_ancestor(project, second, forced)
    assert not await mirrors.is_ancestor(project, "e" * 40, forced)
    assert not await mirrors.is_ancestor(project, "e" * 40, "e" * 40)
    assert not await mirrors.is_ancestor(project, "0" * 40, "0" * 40)


async def test_what_is_kept_survives_a_force_push_and_a_deletion(source: Source, mirrors: GitMirrors) -> None:
    project = _project(source)
    first, second = source.push("one"), source.push("two")
    await mirrors.fetch(project)
    await mirrors.keep(project, 1, second)
    await mirrors.keep(project, 1, second)
    source.git("reset", "--quiet", "--hard", first)
    forced = source.push("other", force=True)
    await mirrors.fetch(project)
    assert await mirrors.kept(project, second)
    assert await mirrors.kept(project, first)
    assert not await mirrors.kept(project, forced)
    assert not await mirrors.kept(project, "e" * 40)


async def test_a_bundle_holds_the_whole_history_and_its_references(
    source: Source, mirrors: GitMirrors, tmp_path: Path
) -> None:
    project = _project(source)
    first, second = source.push("one"), source.push("two")
    await mirrors.fetch(project)
    heads = {"HEAD": second, "refs/heads/main": second, "refs/liftlock/base": first}
    bundle = tmp_path / "source.bundle"
    bundle.write_bytes(await _all(mirrors.bundle(project, heads)))
    source.git("clone", "--quiet", str(bundle), str(tmp_path / "clone"))
    assert source.git("rev-parse", "HEAD", folder=tmp_path / "clone") == second
    assert source.git("log", "--format=%H", folder=tmp_path / "clone").split() == [second, first]
    assert (tmp_path / "clone" / ".taskcluster.yml").read_text() == "two"
    assert source.git("bundle", "list-heads", str(bundle)).splitlines() == [
        f"{second} HEAD",
        f"{second} refs/heads/main",
        f"{first} refs/liftlock/base",
    ]


async def test_a_bundle_of_what_is_not_there_is_an_error_and_no_bundle(
    source: Source, mirrors: GitMirrors
) -> None:
    project = _project(source)
    source.push("one")
    await mirrors.fetch(project)
    with pytest.raises(RepositoryError, match="git pack-objects"):
        await _all(mirrors.bundle(project, {"HEAD": "e" * 40}))


async def test_a_source_that_is_not_there_says_so(
    source: Source, mirrors: GitMirrors, tmp_path: Path
) -> None:
    with pytest.raises(RepositoryError, match=r"git fetch: .*does not appear to be a git repository"):
        await mirrors.fetch(_project(source, str(tmp_path / "nothing")))


async def test_the_sources_hooks_and_configuration_run_nothing_on_our_side(
    source: Source, mirrors: GitMirrors, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    command = f"touch {canary}"
    for key in (
        "uploadpack.packObjectsHook",
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "alias.upload-pack",
    ):
        source.git("config", key, command, folder=source.bare)
    for name in (
        "pre-receive",
        "post-receive",
        "update",
        "reference-transaction",
        "post-checkout",
        "post-update",
    ):
        hook = source.bare / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{command}\n")
    revision = source.push("one")
    for hook in (source.bare / "hooks").iterdir():
        hook.chmod(0o755)
    project = _project(source)
    assert await mirrors.fetch(project) == {"main": revision}
    await mirrors.commit(project, revision)
    await _all(mirrors.bundle(project, {"HEAD": revision}))
    assert not canary.exists()


async def test_a_source_that_borrows_objects_from_elsewhere_is_refused(
    source: Source, mirrors: GitMirrors, tmp_path: Path
) -> None:
    source.push("one")
    (source.bare / "objects" / "info").mkdir(exist_ok=True)
    (source.bare / "objects" / "info" / "alternates").write_text(f"{tmp_path}/mirrors/secret.git/objects\n")
    with pytest.raises(RepositoryError, match="borrows objects from another repository"):
        await mirrors.fetch(_project(source))


@pytest.mark.parametrize("revision", ["HEAD", "main", "--all", "a" * 39, "A" * 40, ""])
async def test_only_full_revisions_are_ever_given_to_git(
    source: Source, mirrors: GitMirrors, revision: str
) -> None:
    project = _project(source)
    with pytest.raises(RepositoryError, match="is no revision"):
        await mirrors.file(project, revision, "x", max_bytes=1)
    with pytest.raises(RepositoryError, match="is no revision"):
        await mirrors.kept(project, revision)


async def test_a_forgotten_mirror_is_gone_and_may_be_made_again(source: Source, mirrors: GitMirrors) -> None:
    project = _project(source)
    revision = source.push("one")
    await mirrors.fetch(project)
    await mirrors.forget(project)
    await mirrors.forget(project)
    assert await mirrors.fetch(project) == {"main": revision}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another owner")
async def test_a_source_that_belongs_to_somebody_else_is_fetched(source: Source, mirrors: GitMirrors) -> None:
    revision = source.push("one")
    for folder, names, files in os.walk(source.bare):
        for name in (folder, *(os.path.join(folder, each) for each in names + files)):
            os.chown(name, 65534, 65534)
    assert await mirrors.fetch(_project(source)) == {"main": revision}


async def test_a_giant_configuration_file_does_not_keep_its_push_from_being_recorded(
    source: Source, mirrors: GitMirrors
) -> None:
    project = _project(source)
    revision = source.push("x" * (MAX_CONTENT + 1))
    await mirrors.fetch(project)
    assert (await mirrors.commit(project, revision)).author_email == "robin@example.org"
    with pytest.raises(InputInvalidError, match="has 524289 bytes, expected at most 262144"):
        await mirrors.file(project, revision, ".taskcluster.yml", max_bytes=262144)


async def test_a_giant_message_is_cut_and_the_configuration_is_still_read(
    source: Source, mirrors: GitMirrors, tmp_path: Path
) -> None:
    project = _project(source)
    source.push("one")
    (tmp_path / "message").write_text("m" * (MAX_CONTENT * 2))
    source.git("commit", "--quiet", "--allow-empty", "-F", str(tmp_path / "message"))
    source.git("push", "--quiet", str(source.bare), "HEAD:refs/heads/main")
    revision = source.git("rev-parse", "HEAD")
    await mirrors.fetch(project)
    assert len((await mirrors.commit(project, revision)).message) == 16_384
    assert await mirrors.file(project, revision, ".taskcluster.yml", max_bytes=10) == b"one"


async def test_packs_are_put_together_and_nothing_that_was_fetched_is_lost(
    source: Source, mirrors: GitMirrors, tmp_path: Path
) -> None:
    project = _project(source)
    revisions = []
    for number in range(MAX_PACKS + 2):
        revisions.append(source.push(str(number)))
        await mirrors.fetch(project)
    packs = list((tmp_path / "mirrors" / "widget.git" / "objects" / "pack").glob("*.pack"))
    assert len(packs) < MAX_PACKS
    for number, revision in enumerate(revisions):
        assert await mirrors.file(project, revision, ".taskcluster.yml", max_bytes=10) == str(number).encode()


async def test_a_bundle_that_nobody_reads_to_its_end_leaves_no_process_behind(
    source: Source, mirrors: GitMirrors
) -> None:
    project = _project(source)
    (source.work / "large").write_bytes(os.urandom(8 * 1024 * 1024))
    revision = source.push("one")
    await mirrors.fetch(project)
    for _ in range(MAX_BUNDLES + 1):
        chunks = mirrors.bundle(project, {"HEAD": revision})
        await anext(aiter(chunks))
        await anext(aiter(chunks))
        await chunks.aclose()
