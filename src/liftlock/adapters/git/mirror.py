"""Mirrors: one bare repository for each project, fetched from its address, read by object name only.

The branches of the source are fetched to `refs/source/*`, which the next fetch may move or remove; each recorded push
is kept under `refs/pushes/<id>`, which never moves, so that a force push loses nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from liftlock.adapters.git.objects import Found, parse_commit, read_objects
from liftlock.adapters.git.run import CONFIG, FETCH_TIMEOUT_S, Git
from liftlock.domain.pushes.config_file import PATH as CONFIG_PATH
from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Commit
from liftlock.errors import InputInvalidError, RepositoryError

MAX_KNOWN: Final = 16
"""Commits that are remembered with their `.taskcluster.yml`."""
MAX_PACKS: Final = 50
"""Each fetch adds a pack; more than these are put together."""
MAX_BUNDLES: Final = 4
"""Bundles that are packed at the same time; more wait."""
_SOURCE: Final = "refs/source/"
_KEPT: Final = "refs/pushes/"
_PULLS: Final = "refs/pulls/"
_FETCH: Final = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--no-show-forced-updates",
)


class GitMirrors:
    """Implements `ports.repository.Repository` below the folder `root`, which belongs to liftlock alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._packing = asyncio.Semaphore(MAX_BUNDLES)
        self._fetching: dict[str, asyncio.Lock] = {}
        self._known: dict[tuple[str, str], tuple[Commit, Found]] = {}

    async def fetch(self, project: Project) -> dict[str, str]:
        git, folder = await self._opened(project)
        _refuse_alternates(project)
        async with self._fetching.setdefault(project.name, asyncio.Lock()):
            arguments = [
                *_FETCH,
                "--prune",
                "--end-of-options",
                project.fetch_address,
                f"+refs/heads/*:{_SOURCE}*",
            ]
            await git.run(folder, arguments, timeout_s=FETCH_TIMEOUT_S)
            await self._put_packs_together(git, folder)
            _, output = await git.run(folder, ["for-each-ref", "--format=%(objectname) %(refname)", _SOURCE])
        pairs = (line.split(" ", 1) for line in output.decode("utf-8", "replace").splitlines())
        return {name.removeprefix(_SOURCE): revision for revision, name in pairs}

    async def commit(self, project: Project, revision: str) -> Commit:
        """Return the commit; its `.taskcluster.yml` is read with the same run of git, since it is asked for next."""
        known = self._known.get((project.name, _checked(revision)))
        if known is not None:
            return known[0]
        commit, config = await self._contents(project, [revision, f"{revision}:{CONFIG_PATH}"])
        if commit.kind != "commit":
            raise RepositoryError(f"{project.name}: {revision} is no commit that git can show")
        parsed = parse_commit(revision, commit.content)
        self._known[project.name, revision] = (parsed, config)
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return parsed

    async def file(self, project: Project, revision: str, path: str, *, max_bytes: int) -> bytes | None:
        known = self._known.get((project.name, _checked(revision)))
        if known is not None and path == CONFIG_PATH:
            found = known[1]
        else:
            [found] = await self._contents(project, [f"{revision}:{path}"])
        if found.kind == "missing":
            return None
        if found.kind != "blob":
            raise InputInvalidError(f"{path} at {revision} is a {found.kind}, not a file")
        if found.size > max_bytes:
            raise InputInvalidError(
                f"{path} at {revision} has {found.size} bytes, expected at most {max_bytes}"
            )
        return found.content

    async def _contents(self, project: Project, names: list[str]) -> list[Found]:
        git, folder = await self._opened(project)
        return await read_objects(git, folder, names)

    async def is_ancestor(self, project: Project, old: str, new: str) -> bool:
        git, folder = await self._opened(project)
        pair = [f"{_checked(old)}^{{commit}}", f"{_checked(new)}^{{commit}}"]
        status, _ = await git.run(folder, ["merge-base", "--is-ancestor", *pair], accept=(0, 1, 128))
        return status == 0

    async def keep(self, project: Project, push_id: int, revision: str) -> None:
        git, folder = await self._opened(project)
        await git.run(folder, ["update-ref", f"{_KEPT}{push_id}", _checked(revision)])

    async def kept(self, project: Project, revision: str) -> bool:
        git, folder = await self._opened(project)
        arguments = ["for-each-ref", "--count=1", "--format=yes", f"--contains={_checked(revision)}", _KEPT]
        status, output = await git.run(folder, arguments, accept=(0, 128, 129))
        return status == 0 and output.strip() == b"yes"

    async def fetch_pull(self, project: Project, number: int) -> str:
        git, folder = await self._opened(project)
        _refuse_alternates(project)
        async with self._fetching.setdefault(project.name, asyncio.Lock()):
            into = f"{_PULLS}{int(number)}/head"
            source = f"+refs/pull/{int(number)}/head:{into}"
            arguments = [*_FETCH, "--end-of-options", project.fetch_address, source]
            await git.run(folder, arguments, timeout_s=FETCH_TIMEOUT_S)
            await self._put_packs_together(git, folder)
            _, output = await git.run(folder, ["rev-parse", "--verify", f"{into}^{{commit}}"])
            revision = output.decode("ascii", "replace").strip()
            await git.run(folder, ["update-ref", f"{_PULLS}{int(number)}/{_checked(revision)}", revision])
        return revision

    async def pulled(self, project: Project, revision: str) -> bool:
        git, folder = await self._opened(project)
        pattern = f"{_PULLS}*/{_checked(revision)}"
        _, output = await git.run(folder, ["for-each-ref", "--count=1", "--format=yes", pattern])
        return output.strip() == b"yes"

    async def bundle(self, project: Project, heads: dict[str, str]) -> AsyncGenerator[bytes, None]:
        git, folder = await self._opened(project)
        wanted = "".join(f"{_checked(revision)}\n" for revision in dict.fromkeys(heads.values())).encode()
        arguments = ["pack-objects", "--revs", "--stdout", "--delta-base-offset", "--quiet", "--threads=1"]
        async with (
            self._packing,
            git.open(folder, arguments, standard_input=wanted, timeout_s=FETCH_TIMEOUT_S) as packing,
        ):
            # Source: gitformat-bundle(5), version 2: a header of references, an empty line, a pack.
            yield "".join(
                ["# v2 git bundle\n", *(f"{revision} {name}\n" for name, revision in heads.items()), "\n"]
            ).encode()
            async for chunk in packing.chunks():
                yield chunk
            await packing.finish()

    async def _put_packs_together(self, git: Git, folder: Path) -> None:
        """Put packs together once there are many; nothing is dropped, reachable or not."""
        packs = await asyncio.to_thread(lambda: len(list((folder / "objects" / "pack").glob("*.pack"))))
        if packs > MAX_PACKS:
            await git.run(
                folder,
                ["repack", "--quiet", "-d", "--geometric=2", "--no-write-bitmap-index"],
                timeout_s=FETCH_TIMEOUT_S,
            )

    async def forget(self, project: Project) -> None:
        folder = self._folder(project)
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder)

    def _folder(self, project: Project) -> Path:
        return self._root / f"{project.name}.git"

    async def _opened(self, project: Project) -> tuple[Git, Path]:
        """Return git and the mirror's folder, made if it is not there yet."""
        folder = self._folder(project)
        git = Git(self._root / f"{project.name}.gitconfig", self._root)
        if not folder.is_dir():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_config(git.config, project)
            await git.run(folder, ["init", "--quiet", "--bare", "--template="])
        elif not git.config.exists() or git.config.read_text() != _config_of(project):
            _write_config(git.config, project)
        return git, folder


def _config_of(project: Project) -> str:
    """Return our configuration, and the one local path whose owner may be somebody else.

    The other end of a local fetch ignores everything but this file; without the entry it refuses another owner's
    repository, and with it that repository's hooks still don't run.
    """
    path = _local_path(project.fetch_address)
    if path is None:
        return CONFIG
    quoted = [candidate.replace("\\", "\\\\").replace('"', '\\"') for candidate in (path, path + "/.git")]
    return CONFIG + "[safe]\n" + "".join(f'\tdirectory = "{name}"\n' for name in quoted)


def _write_config(path: Path, project: Project) -> None:
    staged = path.with_suffix(".new")
    staged.write_text(_config_of(project))
    staged.replace(path)


def _local_path(address: str) -> str | None:
    path = address.removeprefix("file://")
    return os.path.normpath(path) if path.startswith("/") else None


def _refuse_alternates(project: Project) -> None:
    """Refuse a local source that borrows objects from elsewhere: it could lend out what only liftlock's user can read."""
    path = _local_path(project.fetch_address)
    if path is None:
        return
    for folder in (path, os.path.join(path, ".git")):
        for name in ("alternates", "http-alternates"):
            if os.path.lexists(os.path.join(folder, "objects", "info", name)):
                raise RepositoryError(
                    f"{project.name}: {folder}/objects/info/{name} borrows objects from another repository: "
                    "run git repack -a -d there and remove it"
                )
        if os.path.islink(os.path.join(folder, "objects")):
            raise RepositoryError(f"{project.name}: {folder}/objects is a link: expected a folder of its own")


def _checked(revision: str) -> str:
    if len(revision) not in (40, 64) or revision.strip("0123456789abcdef"):
        raise RepositoryError(f"{revision[:80]!r} is no revision: expected 40 or 64 hexadecimal digits")
    return revision
