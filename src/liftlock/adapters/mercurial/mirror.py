"""Mirrors of Mercurial repositories: pulled from their address, read by changeset.

Named branches are what pushes move; a branch's revision is the one of its heads that arrived last. A mirror only grows:
what is stripped at the source stays here. Each recorded push is kept as a bookmark `liftlock/<id>`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from liftlock.adapters.mercurial.run import PULL_TIMEOUT_S, Hg
from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import MAX_MESSAGE, Commit
from liftlock.errors import InputInvalidError, RepositoryError

_COMMIT: Final = r"{node}\0{person(author)}\0{email(author)}\0{date|hgdate}\0{desc}"
_KEPT: Final = "liftlock/"
_CHUNK: Final = 256 * 1024
MAX_BUNDLES: Final = 2
"""Bundles that are made at the same time."""
_NULL: Final = "0" * 40


class MercurialMirrors:
    """Implements `ports.repository.Repository` below the folder `root`, which belongs to liftlock alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pulling: dict[str, asyncio.Lock] = {}
        self._bundling = asyncio.Semaphore(MAX_BUNDLES)

    async def fetch(self, project: Project) -> dict[str, str]:
        _refuse_borrowed(project)
        hg, folder = await self._opened(project)
        async with self._pulling.setdefault(project.name, asyncio.Lock()):
            await hg.run(folder, ["pull", "--quiet", "--", project.fetch_address], timeout_s=PULL_TIMEOUT_S)
            _, output = await hg.run(folder, ["branches", "-T", r"{node} {branch}\n"])
        pairs = (line.split(" ", 1) for line in output.decode("utf-8", "replace").splitlines())
        return {branch: node for node, branch in pairs}

    async def commit(self, project: Project, revision: str) -> Commit:
        hg, folder = await self._opened(project)
        status, output = await hg.run(
            folder, ["log", "-r", _checked(revision), "-T", _COMMIT], accept=(0, 255)
        )
        fields = output.decode("utf-8", "replace").split("\0", 4)
        if status or len(fields) != 5:
            raise RepositoryError(f"{project.name}: {revision} is no changeset that hg can show")
        node, name, address, date, message = fields
        return Commit(
            revision=node,
            author_name=name[:255],
            author_email=address[:255],
            committer_email=address[:255],
            message=message.strip("\n")[:MAX_MESSAGE],
            committed=_instant(date),
        )

    async def file(self, project: Project, revision: str, path: str, *, max_bytes: int) -> bytes | None:
        hg, folder = await self._opened(project)
        where = ["-r", _checked(revision), f"path:{path}"]
        status, listed = await hg.run(
            folder, ["files", "-T", r"{path}\0{flags}\0{size}\n", *where], accept=(0, 1)
        )
        if status:
            return None
        [line, *more] = listed.decode("utf-8", "replace").splitlines()
        name, flags, size = line.split("\0")
        if more or name != path or "l" in flags:
            raise InputInvalidError(f"{path} at {revision} is not a regular file")
        if int(size) > max_bytes:
            raise InputInvalidError(f"{path} at {revision} has {size} bytes, expected at most {max_bytes}")
        _, content = await hg.run(folder, ["cat", *where])
        return content

    async def is_ancestor(self, project: Project, old: str, new: str) -> bool:
        hg, folder = await self._opened(project)
        revset = f"present({_checked(old)}) and ::present({_checked(new)})"
        _, output = await hg.run(folder, ["log", "-r", revset, "-T", "yes"])
        return output == b"yes" and old != _NULL

    async def keep(self, project: Project, push_id: int, revision: str) -> None:
        hg, folder = await self._opened(project)
        arguments = ["bookmark", "--quiet", "--force", "-r", _checked(revision), f"{_KEPT}{push_id}"]
        await hg.run(folder, arguments)

    async def kept(self, project: Project, revision: str) -> bool:
        hg, folder = await self._opened(project)
        revset = f"present({_checked(revision)}) and ::bookmark('re:^{_KEPT}[0-9]+$')"
        _, output = await hg.run(folder, ["log", "-r", revset, "-T", "yes"])
        return output == b"yes" and revision != _NULL

    async def fetch_pull(self, project: Project, number: int) -> str:
        raise RepositoryError(f"{project.name}: a Mercurial repository has no pull request {number}")

    async def pulled(self, project: Project, revision: str) -> bool:
        return False

    async def bundle(self, project: Project, heads: dict[str, str]) -> AsyncGenerator[bytes, None]:
        hg, folder = await self._opened(project)
        revisions = [part for each in dict.fromkeys(heads.values()) for part in ("--rev", _checked(each))]
        async with self._bundling:
            with tempfile.TemporaryDirectory(prefix=".bundle-", dir=self._root) as place:
                path = os.path.join(place, "bundle")
                arguments = ["bundle", "--quiet", "--base", "null", "--type", "none-v2", *revisions, path]
                await hg.run(folder, arguments, timeout_s=PULL_TIMEOUT_S)
                file = await asyncio.to_thread(open, path, "rb")  # its name is gone before it is read
            with file:
                while chunk := await asyncio.to_thread(file.read, _CHUNK):
                    yield chunk

    async def forget(self, project: Project) -> None:
        folder = self._folder(project)
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder)

    def _folder(self, project: Project) -> Path:
        return self._root / f"{project.name}.hg"

    async def _opened(self, project: Project) -> tuple[Hg, Path]:
        """Return hg and the mirror's folder, made if it is not there yet."""
        folder, hg = self._folder(project), Hg(self._root)
        if not (folder / ".hg" / "requires").exists():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            await hg.run(None, ["init", str(folder)])
        return hg, folder


def _refuse_borrowed(project: Project) -> None:
    """Refuse a local source whose store is elsewhere: it could lend out what only liftlock's user can read."""
    path = project.fetch_address.removeprefix("file://")
    if not path.startswith("/"):
        return
    for name in ("sharedpath", "store"):
        place = os.path.join(path, ".hg", name)
        if os.path.islink(place) or (name == "sharedpath" and os.path.lexists(place)):
            raise RepositoryError(
                f"{project.name}: {place} borrows another repository's store: expected one of its own"
            )


def _checked(revision: str) -> str:
    if len(revision) != 40 or revision.strip("0123456789abcdef"):
        raise RepositoryError(f"{revision[:80]!r} is no changeset: expected 40 hexadecimal digits")
    return revision


def _instant(date: str) -> datetime:
    """Return the instant of `<seconds> <offset>`; what no calendar holds becomes 1970."""
    try:
        return datetime.fromtimestamp(int(date.split(" ", 1)[0]), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime(1970, 1, 1, tzinfo=UTC)
