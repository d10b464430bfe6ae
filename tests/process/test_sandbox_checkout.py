"""Files and checkouts that are put into a scratch before a task: made inside a sandbox, owned by its slot, verified."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import CheckoutRequest, Placement
from sandboxes import KINDS, Machine, machine

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]
ORIGIN = "https://github.com/liftlock-demo/widget"


@pytest_asyncio.fixture(params=KINDS, scope="module", loop_scope="module")
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    async with machine(request.param, slots=1) as made:
        yield made


def git(directory: Path, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    names = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
    done = subprocess.run(
        ["git", "-C", str(directory), *names, *arguments], env=env, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str, str]:
    """(a bundle, its first revision, its last)."""
    work = tmp_path_factory.mktemp("repository")
    git(work, "init", "-q", "-b", "main")
    (work / "file").write_text("one\n")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "one")
    (work / "file").write_text("two\n")
    (work / "run").write_text("#!/bin/sh\n")
    (work / "run").chmod(0o755)
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "two")
    git(work, "bundle", "create", "-q", "b", "main")
    return (work / "b").read_bytes(), git(work, "rev-parse", "HEAD~1"), git(work, "rev-parse", "HEAD")


async def checkout(here: Machine, bundle: bytes, revision: str, **further: object) -> str | None:
    await here.scratch(0)
    path = here.put("source.bundle", bundle)
    request = CheckoutRequest(
        path, revision, here.scratches[0], **{"path": "repo", "origin": ORIGIN, **further}
    )  # type: ignore[arg-type]
    problem = await here.sandbox.checkout(request)
    os.unlink(path)
    return problem


async def test_a_checkout_is_an_ordinary_clone_of_the_revision(
    here: Machine, repository: tuple[bytes, str, str]
) -> None:
    bundle, first, last = repository
    for revision, content in ((last, "two"), (first, "one")):
        assert await checkout(here, bundle, revision) is None
        output = await here.shell(
            "cd repo; git rev-parse HEAD; git remote get-url origin; git status --porcelain; cat file; test -d .git/objects"
        )
        assert output == f"{revision}\n{ORIGIN}\n{content}\n"
    assert (
        await here.shell(
            "cd repo; git -c user.name=n -c user.email=e commit -qam x --allow-empty; git log --format=%s"
        )
        == "x\none\n"
    )


async def test_a_checkout_of_a_branch_is_on_that_branch(
    here: Machine, repository: tuple[bytes, str, str]
) -> None:
    bundle, _, last = repository
    assert await checkout(here, bundle, last, branch="main") is None
    output = await here.shell(
        "cd repo; git rev-parse --abbrev-ref HEAD; git rev-parse origin/main; stat -c %a run"
    )
    assert output == f"main\n{last}\n755\n"


async def test_a_revision_that_the_bundle_lacks_is_a_problem(
    here: Machine, repository: tuple[bytes, str, str]
) -> None:
    problem = await checkout(here, repository[0], "0" * 39 + "1")
    assert problem is not None
    assert problem.startswith("git cat-file: ")


@pytest.mark.parametrize(
    ("revision", "branch", "path", "words"),
    [
        ("HEAD", None, "repo", "no revision"),
        ("--upload-pack=x", None, "repo", "no revision"),
        ("", "-x", "repo", "no name of a branch"),
        ("", "a..b", "repo", "no name of a branch"),
        ("", None, "../repo", "leads out"),
        ("", None, "/repo", "relative to /build"),
    ],
)
async def test_a_request_that_git_could_misread_is_refused(
    here: Machine,
    repository: tuple[bytes, str, str],
    revision: str,
    branch: str | None,
    path: str,
    words: str,
) -> None:
    problem = await checkout(here, repository[0], revision or repository[2], branch=branch, path=path)
    assert problem is not None
    assert words in problem


async def test_attack_a_damaged_bundle_is_a_problem(
    here: Machine, repository: tuple[bytes, str, str]
) -> None:
    bundle, _, last = repository
    flipped = bundle[:-40] + bytes([bundle[-40] ^ 1]) + bundle[-39:]
    for damaged in (flipped, bundle[: len(bundle) // 2], b"", b"not a bundle"):
        problem = await checkout(here, damaged, last)
        assert problem is not None
        assert problem.startswith("git bundle: ")


async def test_attack_a_checkout_runs_no_hook_filter_or_configuration_of_the_repository(
    here: Machine, tmp_path: Path
) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / ".gitattributes").write_text("* filter=evil\n")
    (tmp_path / ".gitconfig").write_text('[filter "evil"]\n\tsmudge = touch /build/evil; cat\n')
    (tmp_path / ".gitmodules").write_text('[submodule "m"]\n\tpath = m\n\turl = file:///etc\n')
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text("#!/bin/sh\ntouch /build/evil\n")
    (hooks / "post-checkout").chmod(0o755)
    git(tmp_path, "add", "-f", ".")
    git(tmp_path, "commit", "-q", "-m", "m")
    git(tmp_path, "bundle", "create", "-q", "b", "main")
    assert await checkout(here, (tmp_path / "b").read_bytes(), git(tmp_path, "rev-parse", "HEAD")) is None
    assert await here.shell("ls -A /build") == "repo\n"


async def test_a_checkout_into_a_directory_with_content_is_refused(
    here: Machine, repository: tuple[bytes, str, str]
) -> None:
    await here.scratch(0)
    await here.shell("mkdir repo; touch repo/x; ln -s /tmp link")
    path = here.put("b", repository[0])
    for target, words in (("repo", "is not empty"), ("link/repo", "leads through a link")):
        problem = await here.sandbox.checkout(
            CheckoutRequest(path, repository[2], here.scratches[0], target, ORIGIN)
        )
        assert problem is not None
        assert words in problem


async def test_files_are_placed_with_parents_and_owned_by_the_slot(here: Machine) -> None:
    await here.scratch(0)
    first, second = here.put("first", b"1"), here.put("second", b"#!/bin/sh\necho ran\n")
    files = (Placement(first, "a/b/c"), Placement(second, "run", executable=True), Placement(second, "a/b/c"))
    assert await here.sandbox.place(here.scratches[0], files) is None
    assert (
        await here.shell("./run; stat -c '%a %u' a/b/c; echo more >> a/b/c; tail -n1 a/b/c")
        == "ran\n644 1000\nmore\n"
    )


async def test_more_files_than_one_sandbox_takes_are_placed(here: Machine) -> None:
    await here.scratch(0)
    source = here.put("many", b"x")
    files = tuple(Placement(source, f"d/{number}") for number in range(450))
    assert await here.sandbox.place(here.scratches[0], files) is None
    assert await here.shell("ls d | wc -l") == "450\n"


async def test_attack_a_file_is_not_placed_through_a_link_or_over_a_directory(here: Machine) -> None:
    await here.scratch(0)
    await here.shell("ln -s /tmp link; mkdir dir; ln -s /etc/passwd file")
    source = here.put("source", b"x")
    for path, words in (("link/x", "not a directory"), ("dir", "a directory is in its place")):
        problem = await here.sandbox.place(here.scratches[0], (Placement(source, path),))
        assert problem is not None
        assert words in problem
    for path in ("../x", "/x", ".", "a/../../x"):
        assert await here.sandbox.place(here.scratches[0], (Placement(source, path),)) is not None
    assert await here.sandbox.place(here.scratches[0], (Placement(source, "file"),)) is None
    assert await here.shell("cat file; test ! -L file") == "x", "the link is replaced, not followed"


async def test_a_source_outside_of_the_store_is_never_placed(here: Machine) -> None:
    await here.scratch(0)
    with pytest.raises(SandboxFailedError, match="not in the store"):
        await here.sandbox.place(here.scratches[0], (Placement("/etc/shadow", "x"),))
