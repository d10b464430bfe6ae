"""Checkouts of Mercurial repositories: made inside a sandbox, without network and settings, owned by the slot, verified."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from liftlock.ports.sandbox import CheckoutRequest
from sandboxes import KINDS, Machine, machine

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
ORIGIN = "https://hg.liftlock.example/widget"


class Bundled(NamedTuple):
    content: bytes
    first: str
    last: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Machine]:
    """Of one kind: what differs between them is shown with git's checkouts."""
    async with machine(KINDS[0], slots=1) as made:
        yield made


def hg(folder: Path, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HGRCPATH": "", "HGPLAIN": "1"}
    done = subprocess.run(["hg", *arguments], cwd=folder, env=env, capture_output=True, check=True)
    return done.stdout.decode().strip()


def committed(folder: Path) -> str:
    hg(folder, "commit", "--addremove", "--quiet", "--user", "n", "--message", "m")
    return hg(folder, "log", "-r", ".", "-T", "{node}")


def bundled(folder: Path) -> bytes:
    hg(folder, "bundle", "--quiet", "--base", "null", "--type", "none-v2", "--rev", "tip", "../made")
    return (folder.parent / "made").read_bytes()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Bundled:
    work = tmp_path_factory.mktemp("parent") / "work"
    work.mkdir()
    hg(work, "init")
    (work / "file").write_text("one\n")
    first = committed(work)
    hg(work, "branch", "--quiet", "beta")
    (work / "file").write_text("two\n")
    (work / "run").write_text("#!/bin/sh\n")
    (work / "run").chmod(0o755)
    last = committed(work)
    return Bundled(bundled(work), first, last)


async def checkout(here: Machine, bundle: bytes, revision: str, path: str = "repo") -> str | None:
    await here.scratch(0)
    held = here.put("source.bundle", bundle)
    request = CheckoutRequest(held, revision, here.scratches[0], path, ORIGIN, vcs="hg")
    problem = await here.sandbox.checkout(request)
    os.unlink(held)
    return problem


async def test_a_checkout_is_an_ordinary_clone_of_the_changeset(here: Machine, repository: Bundled) -> None:
    for revision, content, branch in ((repository.last, "two", "beta"), (repository.first, "one", "default")):
        assert await checkout(here, repository.content, revision) is None
        output = await here.shell(
            "cd repo; hg log -r . -T '{node} {branch}\\n'; hg paths default; hg status; cat file; stat -c %u . .hg; id -u"
        )
        owner = output.splitlines()[-1]
        assert output == f"{revision} {branch}\n{ORIGIN}\n{content}\n{owner}\n{owner}\n{owner}\n"
        if revision == repository.last:
            assert await here.shell("stat -c %a repo/run") == "755\n"
    assert (
        await here.shell("cd repo; echo x > new; hg commit -qA -u n -m x; hg log -r '::.' -T '{desc}\\n'")
        == "m\nx\n"
    )


async def test_a_changeset_that_the_bundle_lacks_is_a_problem(here: Machine, repository: Bundled) -> None:
    problem = await checkout(here, repository.content, "0" * 39 + "1")
    assert problem is not None
    assert problem.startswith("hg update: ")
    assert "unknown revision" in problem


async def test_attack_a_bundle_with_another_content_is_a_problem(here: Machine, repository: Bundled) -> None:
    """Every digest is compared: of files, of manifests, of changesets."""
    manifest = repository.content.index(b"run\0")
    other_name = repository.content[:manifest] + b"ran\0" + repository.content[manifest + 4 :]
    for damaged in (
        repository.content.replace(b"#!/bin/sh\n", b"#!/bin/no\n"),
        repository.content.replace(b"branch:beta", b"branch:gamm"),
        other_name,
    ):
        assert damaged != repository.content
        problem = await checkout(here, damaged, repository.last)
        assert problem is not None
        assert problem.startswith("hg unbundle: ")
        assert "integrity check failed" in problem
        assert await here.shell("cat repo/file 2>/dev/null || true") == "", "nothing of it is in the checkout"


async def test_attack_half_a_bundle_or_none_is_a_problem(here: Machine, repository: Bundled) -> None:
    problem = await checkout(here, repository.content[: len(repository.content) // 2], repository.last)
    assert problem is not None
    assert problem.startswith("hg unbundle: ")
    for damaged in (b"", b"HG10UN", b"# v2 git bundle\n"):
        problem = await checkout(here, damaged, repository.last)
        assert problem == "it is no bundle of Mercurial's: expected an input `git` of a git repository"


async def test_a_mercurial_bundle_for_an_input_of_git_says_what_to_declare(
    here: Machine, repository: Bundled
) -> None:
    await here.scratch(0)
    held = here.put("source.bundle", repository.content)
    problem = await here.sandbox.checkout(
        CheckoutRequest(held, repository.last, here.scratches[0], "repo", ORIGIN)
    )
    assert problem == "it is a Mercurial repository: expected an input `hg`"


async def test_attack_a_checkout_runs_no_hook_extension_or_subrepository(
    here: Machine, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    hg(work, "init")
    (work / ".hgrc").write_text("[hooks]\nupdate = touch /build/evil\n")
    (work / ".hgeol").write_text("[patterns]\n** = native\n")
    revision = committed(work)
    assert await checkout(here, bundled(work), revision) is None
    assert await here.shell("ls -A /build; cat repo/.hg/hgrc") == f"repo\n[paths]\ndefault = {ORIGIN}\n"
    inner = work / "inner"
    inner.mkdir()
    hg(inner, "init")
    (inner / "file").write_text("x")
    committed(inner)
    (work / ".hgsub").write_text("inner = inner\n")
    revision = committed(work)
    problem = await checkout(here, bundled(work), revision)
    assert problem is not None
    assert "subrepos not enabled" in problem


async def test_a_checkout_into_a_folder_with_content_or_through_a_link_is_refused(
    here: Machine, repository: Bundled
) -> None:
    await here.scratch(0)
    await here.shell("mkdir repo; touch repo/x; ln -s /tmp link")
    held = here.put("b", repository.content)
    for target, words in (("repo", "is not empty"), ("link/repo", "leads through a link")):
        request = CheckoutRequest(held, repository.last, here.scratches[0], target, ORIGIN, vcs="hg")
        problem = await here.sandbox.checkout(request)
        assert problem is not None
        assert words in problem
