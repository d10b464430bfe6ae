"""Files of a scratch, opened without ever following a link out of it or waiting on a fifo.

The kernel does the walk (openat2: BENEATH, NO_SYMLINKS, NO_MAGICLINKS, NO_XDEV), so that no rename can slip in
between a check and its use. What comes back is the descriptor that is then hashed and uploaded.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from liftlock.adapters.sandbox.syscalls import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)
from liftlock.ports.sandbox import FileProblem, FoundFile, Rejected

INSIDE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS
STRICT = INSIDE | RESOLVE_NO_XDEV
MAX_DEPTH = 64
"""Directories below each other that a listing follows."""


def bad_path(path: str) -> Rejected | None:
    """Return why `path` is no relative path of plain names; None: it is one."""
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or len(path) > 4096:
        return _rejected("bad-path", path, "expected a path relative to /build")
    if any(part == ".." for part in parts):
        return _rejected("outside", path, "'..' leads out of /build")
    if path != "." and any(part in ("", ".") for part in parts):
        return _rejected("bad-path", path, "expected plain names between single slashes")
    return None


def open_beneath(directory: int, path: str, *, owner: int, max_bytes: int) -> int | Rejected:
    """Return a descriptor of the regular file `path` below `directory`, owned by `owner`, at most `max_bytes` long."""
    wrong = bad_path(path)
    if wrong is not None:
        return wrong
    try:
        descriptor = openat2(
            directory, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, STRICT
        )
    except OSError as error:
        return _refusal(directory, path, error)
    kept = False
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return _rejected("not-a-file", path, f"it is a {_kind(facts.st_mode)}, not a regular file")
        if facts.st_uid != owner:
            return _rejected("outside", path, "the file is not the task's own")
        if facts.st_size > max_bytes:
            return _rejected("too-large", path, f"{facts.st_size} bytes; at most {max_bytes} are allowed")
        kept = True
        return descriptor
    finally:
        if not kept:
            os.close(descriptor)


def list_beneath(directory: int, path: str, *, max_entries: int) -> tuple[FoundFile, ...] | Rejected:
    """Return the regular files below `path`, sorted; links, fifos, sockets and devices are left out."""
    wrong = bad_path(path)
    if wrong is not None:
        return wrong
    try:
        top = openat2(directory, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, STRICT)
    except OSError as error:
        return _refusal(directory, path, error)
    found: list[FoundFile] = []
    try:
        for seen, file in enumerate(_walk(top, "" if path == "." else path, 0)):
            if seen >= max_entries:
                return _rejected("too-many", path, f"more than {max_entries} entries")
            if file is not None:
                found.append(file)
    except OSError as error:
        return _rejected("too-many", path, f"cannot be listed: {os.strerror(error.errno or 0)}")
    finally:
        os.close(top)
    return tuple(sorted(found, key=lambda file: file.path))


def _walk(directory: int, prefix: str, depth: int) -> Iterator[FoundFile | None]:
    """Yield one item for every entry: the file, or None for what is no regular file."""
    if depth > MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, "too deep")
    with os.scandir(directory) as entries:
        for entry in entries:
            path = f"{prefix}/{entry.name}" if prefix else entry.name
            facts = os.stat(entry.name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(facts.st_mode) and _is_text(path):
                yield FoundFile(path, facts.st_size)
                continue
            yield None
            if stat.S_ISDIR(facts.st_mode):
                below = openat2(directory, entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, STRICT)
                try:
                    yield from _walk(below, path, depth + 1)
                finally:
                    os.close(below)


def _is_text(path: str) -> bool:
    """Tell whether the name is UTF-8: no artifact can be called by another one."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refusal(directory: int, path: str, error: OSError) -> Rejected:
    match error.errno:
        case errno.ENOENT:
            return _rejected("absent", path, "there is no such file")
        case errno.ELOOP:
            return _rejected("symlink", path, "it is a symbolic link, or leads through one")
        case errno.EXDEV:
            return _rejected("outside", path, "it leads out of /build")
        case errno.ENOTDIR:
            return _rejected("not-a-file", path, "a name in it is no directory")
        case errno.ENXIO | errno.ENODEV | errno.EISDIR:
            return _rejected("not-a-file", path, "it is not a regular file")
        case _:
            return _rejected("absent", path, os.strerror(error.errno or 0))


def _rejected(problem: FileProblem, path: str, why: str) -> Rejected:
    return Rejected(problem, f"{path[:256]!r}: {why}")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "directory",
        stat.S_IFIFO: "fifo",
        stat.S_IFSOCK: "socket",
        stat.S_IFCHR: "device",
        stat.S_IFBLK: "device",
    }
    return kinds.get(stat.S_IFMT(mode), "special file")
