"""The paths that sandboxes are made from, and the check that a source lies below one of them.

As root the launcher lives in a mount namespace of its own, in which store, scratches and tools are bound below one
directory that slot users can search: so a state directory may lie where no other user can go, and nothing that the
launcher mounts is seen by, or outlives it for, anybody else.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from dataclasses import dataclass

from liftlock.adapters.sandbox.beneath import INSIDE
from liftlock.adapters.sandbox.settings import LauncherSettings
from liftlock.adapters.sandbox.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    mount,
    openat2,
    unshare,
)
from liftlock.adapters.sandbox.users import run_directory
from liftlock.errors import SandboxFailedError

TREES = "trees"


@dataclass(frozen=True, slots=True)
class Root:
    """A directory of which parts may be bound: its name for the worker, its path here, a descriptor of it."""

    name: str
    path: str
    descriptor: int


@dataclass(frozen=True, slots=True)
class View:
    """Where things are for the launcher. `private`: in a mount namespace of its own."""

    scratches: str
    mounts: str
    store: Root
    roots: tuple[Root, ...]
    private: bool

    def source(self, path: str) -> str:
        """Return where the worker's `path` is here.

        Raises:
            SandboxFailedError: it is not below the store or a readable directory, is absent, or leads through a link.
        """
        for root in self.roots:
            if path == root.name:
                return root.path
            if path.startswith(root.name + "/"):
                return _below(root, path)
        raise SandboxFailedError(f"{path[:256]!r} is not in the store or a directory that may be shown")


def open_view(settings: LauncherSettings) -> View:
    """Return the view; as root it and the network of this process become private first, where the kernel allows."""
    private = os.geteuid() == 0 and _leave()
    places = {settings.store_dir: settings.store_dir} | {path: path for path in settings.readable}
    scratches, mounts = settings.scratch_dir, f"{settings.scratch_dir}/mounts"
    if private:
        base = f"{run_directory()}/view"
        os.makedirs(base, mode=0o711, exist_ok=True)
        mount("liftlock", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711,size=1m")
        places = {path: _bind(path, f"{base}/{number}") for number, path in enumerate(places)}
        scratches, mounts = _bind(settings.scratch_dir, f"{base}/scratches"), f"{base}/mounts"
    os.makedirs(mounts, mode=0o711, exist_ok=True)
    roots = tuple(
        Root(posixpath.normpath(path), here, os.open(here, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        for path, here in places.items()
    )
    return View(scratches, mounts, roots[0], roots, private)


def reachable_path(directory: str) -> str:
    """Return a path by which every user can reach `directory` (made if absent) in this process and its children.

    That is `directory` itself where all its parents can be passed by all. Else, as root, this process (which has one
    thread yet) enters a mount namespace of its own, in which the directory is also found at another path, the same
    at every start. Where the kernel does not allow that, `directory`: then others can't reach it.
    """
    os.makedirs(directory, exist_ok=True)
    parents = [directory]
    while parents[-1] != "/":
        parents.append(os.path.dirname(parents[-1]))
    closed = [path for path in parents[1:] if not os.stat(path).st_mode & stat.S_IXOTH]
    if os.geteuid() != 0 or not closed:
        return directory
    path = f"{run_directory()}/state-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"
    os.makedirs(path, exist_ok=True)
    try:
        unshare(CLONE_NEWNS)
        mount("none", "/", None, MS_REC | MS_SLAVE)
        mount(directory, path, None, MS_BIND | MS_REC)
    except OSError:
        return directory
    return path


def _leave() -> bool:
    """Enter namespaces of our own; False where root has no right to (a container without CAP_SYS_ADMIN)."""
    try:
        unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC)
        mount("none", "/", None, MS_REC | MS_SLAVE)
    except OSError:
        return False
    return True


def _bind(source: str, target: str) -> str:
    os.mkdir(target, 0o711)
    mount(source, target, None, MS_BIND | MS_REC)
    return target


def _below(root: Root, path: str) -> str:
    relative = path[len(root.name) + 1 :]
    if posixpath.normpath(relative) != relative or relative.startswith(".."):
        raise SandboxFailedError(f"{path[:256]!r} is not a plain path")
    try:
        os.close(openat2(root.descriptor, relative, os.O_PATH, INSIDE))
    except OSError as error:
        raise SandboxFailedError(
            f"{path[:256]!r} cannot be shown: {os.strerror(error.errno or 0)}"
        ) from error
    return f"{root.path}/{relative}"
