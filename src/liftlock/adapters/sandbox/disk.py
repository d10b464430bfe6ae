"""Scratches on disk: a file system of their own in a sparse file where that is possible, else watched directories.

With its own file system a scratch is bounded in bytes and inodes by the kernel, and removing it is one unlink. That
takes root and loop devices. Without, what a scratch holds is measured while its sandbox runs (`measure`), and the
tree that exceeds its cap is killed; between two looks it may exceed it, which the isolation level says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
from dataclasses import dataclass

from liftlock.adapters.sandbox.syscalls import MNT_DETACH, unmount
from liftlock.errors import SandboxFailedError

MIN_BYTES = 8 << 20
_BLOCK = 4096
_INODE = 256
_FREE_SHARE = 0.8  # of what the disk has left, at most that much is promised to one scratch
_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Place:
    """One scratch: the directory that is bound as `/build`, and its image file if it is a file system of its own."""

    path: str
    image: str | None
    granted: int
    max_entries: int


@dataclass(frozen=True, slots=True)
class Disk:
    """Makes and removes scratches below `directory` (ours alone); images are mounted below `mounts`."""

    directory: str
    mounts: str
    own_filesystems: bool

    def make(self, name: str, *, uid: int, gid: int, max_bytes: int, max_entries: int) -> Place:
        """Return a new, empty scratch that belongs to `uid`.

        Raises:
            SandboxFailedError: the disk is full, or the file system could not be made.
        """
        free = os.statvfs(self.directory)
        granted = min(max_bytes, int(free.f_bavail * free.f_frsize * _FREE_SHARE))
        if granted < MIN_BYTES:
            raise SandboxFailedError(
                f"{self.directory}: only {granted} bytes can be given to a task; free some space"
            )
        try:
            if self.own_filesystems:
                return self._filesystem(name, uid, gid, granted, max_entries)
            path = f"{self.directory}/{name}"
            os.mkdir(path, 0o700)
            os.chown(path, uid, gid)
        except (OSError, subprocess.SubprocessError) as error:
            raise SandboxFailedError(f"scratch {name} cannot be made: {error}") from error
        return Place(path, None, granted, max_entries)

    def _filesystem(self, name: str, uid: int, gid: int, granted: int, max_entries: int) -> Place:
        image, path = f"{self.directory}/{name}.img", f"{self.mounts}/{name}"
        inodes = min(max_entries + 16, granted // _BLOCK)
        descriptor = os.open(image, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, granted + inodes * _INODE + granted // 64 + (4 << 20))
        finally:
            os.close(descriptor)
        features = "^has_journal,^resize_inode,extent,uninit_bg,^metadata_csum"
        options = f"lazy_itable_init=1,nodiscard,root_owner={uid}:{gid}"
        command = [
            "mkfs.ext4",
            "-q",
            "-F",
            "-m",
            "0",
            "-b",
            str(_BLOCK),
            "-I",
            str(_INODE),
            "-N",
            str(inodes),
        ]
        _run([*command, "-O", features, "-E", options, image])
        mounted(image, path)
        with contextlib.suppress(OSError):
            os.rmdir(f"{path}/lost+found")
        os.chmod(path, 0o700)
        return Place(path, image, granted, max_entries)

    def remove(self, place: Place) -> None:
        """Remove an image scratch, or the emptied directory; files of a directory are `clear`ed first."""
        if place.image is not None:
            with contextlib.suppress(OSError):
                unmount(
                    place.path, MNT_DETACH
                )  # the worker may still read a file; it goes when that is closed
            os.unlink(place.image)
            os.rmdir(place.path)
        elif os.path.isdir(place.path):
            os.rmdir(place.path)

    def leftovers(self) -> list[Place]:
        """Return what an earlier launcher left here; its mounts went with its mount namespace."""
        found: list[Place] = []
        for entry in os.scandir(self.directory):
            if entry.name.endswith(".img"):
                found.append(Place(f"{self.mounts}/{entry.name[:-4]}", entry.path, 0, 0))
            elif entry.name.startswith("s") and entry.is_dir(follow_symlinks=False):
                found.append(Place(entry.path, None, 0, 0))
        return found

    def works(self) -> bool:
        """Tell whether file systems of their own can be made here, by making one."""
        try:
            place = self._filesystem("probe", 0, 0, MIN_BYTES, 64)
        except (OSError, subprocess.SubprocessError):
            with contextlib.suppress(OSError):
                os.unlink(f"{self.directory}/probe.img")
            with contextlib.suppress(OSError):
                os.rmdir(f"{self.mounts}/probe")
            return False
        self.remove(place)
        return True


def mounted(image: str, path: str) -> None:
    """Mount the file system in `image` at `path`, which is made; OSError if that fails."""
    os.mkdir(path, 0o700)
    _run(["mount", "-t", "ext4", "-o", "loop,nosuid,nodev,noatime", image, path])


def is_full(path: str) -> bool:
    """Tell whether the file system at `path` has no block or no inode left for the task."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize < _BLOCK * 2 or facts.f_favail == 0


def used_bytes(path: str) -> int:
    """Return the bytes that the file system mounted at `path` holds."""
    facts = os.statvfs(path)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def measure(path: str, *, max_bytes: int, max_entries: int) -> tuple[int, int]:
    """Return (bytes allocated, entries) below `path`; stops counting once either cap is passed.

    A directory nested so deeply that its path has no name any more counts as passing the cap: no build does that.
    """
    total, entries, pending = 0, 0, [path]
    while pending and total <= max_bytes and entries <= max_entries:
        try:
            found = _entries(pending.pop())
        except OSError as error:
            entries += _uncounted(error, max_entries)
            continue
        entries += len(found)
        for entry in found:
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError as error:
                entries += _uncounted(error, max_entries)
                continue
            total += facts.st_blocks * 512
            if stat.S_ISDIR(facts.st_mode):
                pending.append(entry.path)
    return total, entries


def _uncounted(error: OSError, max_entries: int) -> int:
    """Return what to add for an entry that can't be looked at: nothing if it has just gone, too much if it hides."""
    return max_entries + 1 if error.errno == errno.ENAMETOOLONG else 0


def _entries(path: str) -> list[os.DirEntry[str]]:
    """Return the entries of a directory, also of one of ours that forbids its owner to look."""
    try:
        with os.scandir(path) as found:
            return list(found)
    except PermissionError:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            os.chmod(f"/proc/self/fd/{descriptor}", mode | 0o500)
        finally:
            os.close(descriptor)
        with os.scandir(path) as found:
            return list(found)


def clear(path: str) -> None:
    """Remove what is below `path`, however deep, and also what forbids it; run it as its owner, never as root.

    Raises:
        OSError: something is still there.
    """
    _run(["chmod", "-R", "u+rwx", path])
    _run(["find", path, "-mindepth", "1", "-delete"])


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, env=_ENV, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=900
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise OSError(5, f"{command[0]}: {said}", command[-1])
