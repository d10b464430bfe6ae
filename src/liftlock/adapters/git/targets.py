"""Repositories that are changed: commits made by plumbing in a bare repository of our own, pushed by compare and swap.

Nothing is ever checked out, no filter and no hook runs, and what a commit holds is given to git on its standard input. Implements
`ports.target_repository.TargetRepository`.

Source: git-hash-object(1), git-update-index(1) --index-info, git-write-tree(1), git-push(1) --force-with-lease
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from liftlock.adapters.git.run import CONFIG, FETCH_TIMEOUT_S, Git
from liftlock.errors import RepositoryError
from liftlock.ports.target_repository import NewCommit, NewTag, Target, TargetFailedError
from liftlock.values.secret import hidden

MAX_FILE_BYTES: Final = 16 << 20
_RECEIVE_LOCALLY: Final = (
    "git -c core.hooksPath=/dev/null -c core.alternateRefsCommand=true -c core.fsmonitor=false"
    " -c receive.autogc=false -c gc.auto=0 receive-pack"
)
"""What takes a push to a local path: it runs as us, so nothing of that repository's configuration may run with it."""
_REGULAR: Final = ("100644", "100755")


class GitTargets:
    """Keeps one bare repository for each address below `root`, which is this user's alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._busy: dict[str, asyncio.Lock] = {}

    async def modes(self, target: Target, revision: str) -> dict[str, str]:
        """Return path → mode; see the port."""
        async with self._opened(target) as (git, folder, options):
            await self._fetch(git, folder, options, target, revision)
            _, listed = await git.run(folder, ["ls-tree", "-r", "-z", "--full-tree", _checked(revision)])
        found = {}
        for entry in filter(None, listed.split(b"\0")):
            head, _, path = entry.partition(b"\t")
            found[path.decode("utf-8", "surrogateescape")] = head.split(b" ", 1)[0].decode()
        return found

    async def contents(self, target: Target, revision: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Return path → content; see the port."""
        found = {}
        async with self._opened(target) as (git, folder, _):
            for path in paths:
                _, listed = await git.run(
                    folder, ["ls-tree", "-z", "--full-tree", _checked(revision), "--", path]
                )
                words = listed.partition(b"\t")[0].split(b" ")
                if len(words) == 3 and words[0].decode() in _REGULAR:
                    _, found[path] = await git.run(folder, ["cat-file", "blob", words[2].decode()])
        return found

    async def head(self, target: Target, reference: str) -> str | None:
        """Return where the reference points; see the port."""
        async with self._opened(target) as (git, folder, options):
            _, listed = await git.run(
                folder,
                [*options, "ls-remote", "--end-of-options", target.address, reference],
                timeout_s=FETCH_TIMEOUT_S,
            )
        for line in listed.decode("utf-8", "replace").splitlines():
            revision, _, name = line.partition("\t")
            if name == reference:
                return revision
        return None

    async def commit(self, target: Target, commit: NewCommit) -> str:
        """Return the new commit's id; see the port."""
        async with self._opened(target) as (git, folder, options):
            await self._fetch(git, folder, options, target, commit.base)
            modes = await self._modes_of(git, folder, commit)
            await git.run(folder, ["read-tree", _checked(commit.base)])
            lines = bytearray()
            for path, content in sorted(commit.files.items()):
                _, blob = await git.run(folder, ["hash-object", "-w", "--stdin"], standard_input=content)
                lines += f"{modes.get(path, '100644')} {blob.decode().strip()}\t".encode()
                lines += path.encode() + b"\0"
            await git.run(folder, ["update-index", "-z", "--index-info"], standard_input=bytes(lines))
            _, tree = await git.run(folder, ["write-tree"])
            text = _commit_text(commit, tree.decode().strip())
            _, made = await git.run(
                folder, ["hash-object", "-t", "commit", "-w", "--stdin"], standard_input=text
            )
        return made.decode().strip()

    async def patch(self, target: Target, commit: NewCommit) -> bytes:
        """Return the commit as a patch; see the port."""
        made = await self.commit(target, commit)
        arguments = [
            "format-patch",
            "-1",
            "--stdout",
            "--no-signature",
            "--no-stat",
            "--full-index",
            "--binary",
        ]
        async with self._opened(target) as (git, folder, _):
            _, patch = await git.run(
                folder,
                [*arguments, "--no-ext-diff", "--no-textconv", "--no-renames", "--end-of-options", made],
            )
        return patch

    async def tag(self, target: Target, tag: NewTag) -> str:
        """Return the new tag's id; see the port."""
        async with self._opened(target) as (git, folder, options):
            await self._fetch(git, folder, options, target, tag.revision)
            _, made = await git.run(
                folder, ["hash-object", "-t", "tag", "-w", "--stdin"], standard_input=_tag_text(tag)
            )
        return made.decode().strip()

    async def is_ancestor(self, target: Target, old: str, new: str) -> bool:
        """Tell whether `old` leads to `new`; see the port."""
        async with self._opened(target) as (git, folder, options):
            for revision in (old, new):
                await self._fetch(git, folder, options, target, revision)
            pair = [f"{_checked(old)}^{{commit}}", f"{_checked(new)}^{{commit}}"]
            status, _ = await git.run(folder, ["merge-base", "--is-ancestor", *pair], accept=(0, 1))
        return status == 0

    async def _modes_of(self, git: Git, folder: Path, commit: NewCommit) -> dict[str, str]:
        found = {}
        for path in commit.files:
            _, listed = await git.run(
                folder, ["ls-tree", "-z", "--full-tree", _checked(commit.base), "--", path]
            )
            mode = listed.partition(b" ")[0].decode()
            if mode and mode not in _REGULAR:
                raise TargetFailedError(f"{path}: at the base it is no regular file")
            if mode:
                found[path] = mode
        return found

    async def move(self, target: Target, reference: str, *, old: str | None, new: str) -> None:
        """Push by compare and swap; see the port."""
        async with self._opened(target) as (git, folder, options):
            await self._fetch(git, folder, options, target, new)
            receive = [f"--receive-pack={_RECEIVE_LOCALLY}"] if _local_path(target.address) else []
            arguments = [
                *options,
                "push",
                "--quiet",
                "--no-verify",
                "--atomic",
                *receive,
                f"--force-with-lease={reference}:{old or ''}",
                "--end-of-options",
                target.address,
                f"{_checked(new)}:{reference}",
            ]
            await git.run(folder, arguments, timeout_s=FETCH_TIMEOUT_S)

    async def _fetch(self, git: Git, folder: Path, options: list[str], target: Target, revision: str) -> None:
        """Have the revision: by the branches, or by its name where no branch leads to it."""
        for wanted in ("+refs/heads/*:refs/source/*", _checked(revision)):
            status, _ = await git.run(
                folder, ["cat-file", "-e", f"{revision}^{{commit}}"], accept=(0, 1, 128)
            )
            if status == 0:
                return
            await git.run(
                folder,
                [
                    *options,
                    "fetch",
                    "--quiet",
                    "--no-tags",
                    "--no-write-fetch-head",
                    "--no-auto-maintenance",
                    "--end-of-options",
                    target.address,
                    wanted,
                ],
                timeout_s=FETCH_TIMEOUT_S,
            )

    @asynccontextmanager
    async def _opened(self, target: Target) -> AsyncIterator[tuple[Git, Path, list[str]]]:
        """Yield git, our repository for the target, and the options that give it the credentials; alone in it."""
        name = hashlib.sha256(target.address.encode()).hexdigest()[:24]
        folder, config = self._root / f"{name}.git", self._root / f"{name}.gitconfig"
        async with self._busy.setdefault(name, asyncio.Lock()):
            try:
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                config.write_text(_config_for(target.address))
                git = Git(config, self._root)
                if not folder.is_dir():
                    await git.run(folder, ["init", "--quiet", "--bare", "--template="])
                with _credentials(self._root / f"{name}.credentials", target) as options:
                    yield git, folder, options
            except RepositoryError as error:
                raise TargetFailedError(_without_secret(error.message, target)) from None


@contextlib.contextmanager
def _credentials(path: Path, target: Target) -> Iterator[list[str]]:
    """Yield options for git that make it find the token in a file that only this user can read, for as long as the block."""
    if target.token is None:
        yield []
        return
    parts = urlsplit(target.address)
    line = f"{parts.scheme}://{quote(target.user, safe='')}:{quote(target.token.reveal(), safe='')}@{parts.netloc}\n"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(line)
        yield ["-c", f"credential.helper=store --file={path}"]
    finally:
        path.unlink(missing_ok=True)


def _without_secret(message: str, target: Target) -> str:
    return (
        message
        if target.token is None
        else hidden(message.encode(), [target.token]).decode("utf-8", "replace")
    )


def _commit_text(commit: NewCommit, tree: str) -> bytes:
    when = f"{int(commit.when.timestamp())} +0000"
    person = commit.author.replace("\n", " ")
    return (
        f"tree {tree}\nparent {_checked(commit.base)}\nauthor {person} {when}\ncommitter {person} {when}\n\n"
        f"{commit.message.rstrip()}\n"
    ).encode()


def _tag_text(tag: NewTag) -> bytes:
    when = f"{int(tag.when.timestamp())} +0000"
    person = tag.author.replace("\n", " ")
    return (
        f"object {_checked(tag.revision)}\ntype commit\ntag {tag.name}\ntagger {person} {when}\n\n{tag.message.rstrip()}\n"
    ).encode()


def _config_for(address: str) -> str:
    path = _local_path(address)
    if path is None:
        return CONFIG
    quoted = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'{CONFIG}[safe]\n\tdirectory = "{quoted}"\n\tdirectory = "{quoted}/.git"\n'


def _local_path(address: str) -> str | None:
    path = address.removeprefix("file://")
    return os.path.normpath(path) if path.startswith("/") else None


def _checked(revision: str) -> str:
    if len(revision) not in (40, 64) or revision.strip("0123456789abcdef"):
        raise TargetFailedError(f"{revision[:80]!r} is no revision: expected 40 or 64 hexadecimal digits")
    return revision
