"""Unpack an image's layers into one root directory, checking each layer's diff_id. Runs inside a sandbox.

The compressed layers were measured before; what they hold is as hostile as any archive. Every parent of an entry must
be a real directory, whiteouts never follow links, set-id bits are dropped, devices and fifos are left out.

Input: `/run/liftlock/plan.json`. Output: one line of JSON with entries, bytes and problem.
Source: the image layer specification of the Open Container Initiative.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from typing import IO

PLAN = "/run/liftlock/plan.json"
BASE = "/build"
CHUNK = 1 << 20
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


class RefusedError(Exception):
    """The image is refused; the text names the entry."""


class Digesting(io.RawIOBase):
    """Reads `source`, digests and counts all of it, up to `most` bytes."""

    def __init__(self, source: IO[bytes], most: int) -> None:
        self._source, self._most = source, most
        self.digest, self.size = hashlib.sha256(), 0

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # narrower than io's
        """Fill `buffer`."""
        data = self._source.read(len(buffer))
        self.size += len(data)
        if self.size > self._most:
            raise RefusedError(f"unpacks to more than {self._most} bytes")
        self.digest.update(data)
        buffer[: len(data)] = data
        return len(data)


class Root:
    """The directory that layers are applied to; whiteouts remove what earlier layers made."""

    def __init__(self, path: str, max_bytes: int, max_entries: int) -> None:
        self.path, self.max_bytes, self.max_entries = path, max_bytes, max_entries
        self.entries = 0
        self.bytes = 0
        self._own: set[str] = set()

    def begin_layer(self) -> None:
        """Forget what the last layer made: for the next one it is lower."""
        self._own = set()

    def apply(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        """Apply one entry."""
        self.entries += 1
        self.bytes += max(entry.size, 0)
        if self.entries > self.max_entries:
            raise RefusedError(f"more than {self.max_entries} entries")
        if self.bytes > self.max_bytes:
            raise RefusedError(f"unpacks to more than {self.max_bytes} bytes")
        names = plain(entry.name)
        if not names:
            return
        if names[-1] == OPAQUE:
            self._clear(self._below(names[:-1], make=False))
        elif names[-1].startswith(WHITEOUT):
            hidden = plain(names[-1][len(WHITEOUT) :])
            if len(hidden) != 1:
                raise RefusedError(f"the whiteout {entry.name[:200]!r} names nothing")
            parent = self._below(names[:-1], make=False)
            if parent is not None:
                remove(f"{parent}/{hidden[0]}")
        else:
            self._put(archive, entry, names)

    def _put(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, names: list[str]) -> None:
        parent = self._below(names[:-1], make=True)
        path = f"{parent}/{names[-1]}"
        if entry.isdir():
            if not is_directory(path):
                remove(path)
                os.mkdir(path, 0o755)
        elif entry.isreg():
            remove(path)
            self._write(archive, entry, path)
        elif entry.issym():
            remove(path)
            os.symlink(entry.linkname, path)
        elif entry.islnk():
            self._link(entry, path)
        else:
            return  # devices and fifos: no image needs them here
        while path != self.path:
            self._own.add(path)
            path = os.path.dirname(path)

    def _write(self, archive: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> None:
        source = archive.extractfile(entry)
        if source is None:
            raise RefusedError(f"{entry.name[:200]!r} has no content")
        mode = 0o755 if entry.mode & 0o111 else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as out:
            shutil.copyfileobj(source, out, CHUNK)

    def _link(self, entry: tarfile.TarInfo, path: str) -> None:
        names = plain(entry.linkname)
        parent = self._below(names[:-1], make=False) if names else None
        source = f"{parent}/{names[-1]}" if parent is not None else ""
        if not source or not os.path.lexists(source) or not stat.S_ISREG(os.lstat(source).st_mode):
            raise RefusedError(f"the hard link {entry.name[:200]!r} leads to no file of the image")
        if source != path:
            remove(path)
            os.link(source, path, follow_symlinks=False)

    def _below(self, names: list[str], *, make: bool) -> str | None:
        """Return the directory that `names` lead to; a link on the way is refused. None: absent, and not to be made."""
        path = self.path
        for name in names:
            path = f"{path}/{name}"
            if is_directory(path):
                continue
            if os.path.lexists(path):
                raise RefusedError(f"{'/'.join(names)[:200]!r} leads through something that is no directory")
            if not make:
                return None
            os.mkdir(path, 0o755)
        return path

    def _clear(self, directory: str | None) -> None:
        """Remove what lower layers left in a directory; what this layer made there stays."""
        if directory is None:
            return
        for name in os.listdir(directory):
            path = f"{directory}/{name}"
            if path not in self._own:
                remove(path)
            elif is_directory(path):
                self._clear(path)


def plain(name: str) -> list[str]:
    """Return the names of a path inside the image; one that leads out is refused."""
    names = [each for each in name.split("/") if each not in ("", ".")]
    if ".." in names or "\0" in name:
        raise RefusedError(f"the entry {name[:200]!r} leads out of its directory by '..'")
    return names


def is_directory(path: str) -> bool:
    """Tell whether it is a directory itself, and no link."""
    return os.path.isdir(path) and not os.path.islink(path)


def remove(path: str) -> None:
    """Remove whatever is at `path`, without following it."""
    if is_directory(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


@contextlib.contextmanager
def opened(path: str, compression: str) -> Iterator[IO[bytes]]:
    """Yield a layer's bytes, decompressed."""
    if compression == "gzip":
        with gzip.open(path, "rb") as unpacked:
            yield unpacked  # type: ignore[misc] # GzipFile reads as any other
    elif compression == "zstd":
        with subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            yield process.stdout
            process.stdout.close()
        if process.returncode != 0:
            raise RefusedError("a layer is no zstd data")
    else:
        with open(path, "rb") as file:
            yield file


def apply_layer(root: Root, layer: dict[str, str]) -> None:
    """Apply a layer and check its diff_id, or raise RefusedError."""
    root.begin_layer()
    with opened(layer["path"], layer["compression"]) as unpacked:
        reading = Digesting(unpacked, root.max_bytes + (root.max_entries << 10))
        buffered = io.BufferedReader(reading, CHUNK)
        with tarfile.open(fileobj=buffered, mode="r|", bufsize=CHUNK) as archive:
            for entry in archive:
                root.apply(archive, entry)
        while buffered.read(CHUNK):
            pass
    observed = f"sha256:{reading.digest.hexdigest()}"
    if observed != layer["diff_id"]:
        raise RefusedError(f"a layer: declared diff_id {layer['diff_id']}, observed {observed}")


def share(target: str) -> None:
    """Let everybody read the image, whatever modes its layers had."""
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)  # noqa: S103 - shown read-only to the users of all slots
        for name in files:
            path = f"{folder}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, 0o555 if mode & 0o100 else 0o444)


def main() -> None:
    """Do it; print {"entries": n, "bytes": n, "problem": text or null}."""
    with open(PLAN, encoding="utf-8") as file:
        plan = json.load(file)
    root = Root(BASE, plan["max_bytes"], plan["max_entries"])
    problem = None
    try:
        for layer in plan["layers"]:
            apply_layer(root, layer)
        share(BASE)
    except RefusedError as error:
        problem = str(error)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        problem = f"a layer is damaged: {error}"
    except OSError as error:
        problem = f"{error.filename or 'unpacking'}: {error.strerror or error}"
    json.dump({"entries": root.entries, "bytes": root.bytes, "problem": problem}, sys.stdout)


if __name__ == "__main__":
    main()
