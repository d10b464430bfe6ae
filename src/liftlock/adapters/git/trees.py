"""The files of a revision, by name and by content, from the mirrors that `mirror` keeps. Implements `ports.source_tree.SourceTree`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from liftlock.adapters.git.objects import MAX_CONTENT, read_objects
from liftlock.adapters.git.run import Git
from liftlock.domain.pushes.project import Project
from liftlock.errors import RepositoryError

_REGULAR: Final = (b"100644", b"100755")


class GitTrees:
    """Reads the mirrors below `root`; makes and fetches none."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def paths(self, project: Project, revision: str) -> list[str]:
        return sorted(await self._blobs(project, revision))

    async def contents(
        self, project: Project, revision: str, paths: Sequence[str], *, max_bytes: int
    ) -> dict[str, bytes | None]:
        """Return path → content; the tree is read once, with sizes, so that no more is read than may be."""
        git, folder = self._opened(project)
        blobs = await self._blobs(project, revision)
        found: dict[str, bytes | None] = {path: None for path in paths if path in blobs}
        wanted, left = [], max_bytes
        for path in found:
            name, size = blobs[path]
            if size <= min(MAX_CONTENT, left):
                wanted.append((path, name))
                left -= size
        read = await read_objects(git, folder, [name for _, name in wanted])
        return found | {path: one.content for (path, _), one in zip(wanted, read, strict=True)}

    async def _blobs(self, project: Project, revision: str) -> dict[str, tuple[str, int]]:
        """Return path → object name and size of every regular file."""
        if len(revision) not in (40, 64) or revision.strip("0123456789abcdef"):
            raise RepositoryError(f"{revision[:80]!r} is no revision: expected 40 or 64 hexadecimal digits")
        git, folder = self._opened(project)
        _, listed = await git.run(folder, ["ls-tree", "-r", "-l", "-z", "--full-tree", revision])
        found = {}
        for entry in filter(None, listed.split(b"\0")):
            head, _, path = entry.partition(b"\t")
            mode, _, name, size = head.split()
            if mode in _REGULAR:
                with contextlib.suppress(UnicodeDecodeError):
                    found[path.decode()] = (name.decode(), int(size))
        return found

    def _opened(self, project: Project) -> tuple[Git, Path]:
        folder = self._root / f"{project.name}.git"
        if not folder.is_dir():
            raise RepositoryError(f"{project.name}: there is no mirror of it yet")
        return Git(self._root / f"{project.name}.gitconfig", self._root), folder
