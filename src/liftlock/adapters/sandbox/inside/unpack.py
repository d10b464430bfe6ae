"""Unpack archives with bsdtar, counting every byte and entry on the way. Runs inside a sandbox.

One bsdtar reads any format and writes a plain tar stream; this program looks at every header of it, refuses what no
source archive needs, stops at the caps, and hands the stream to a second bsdtar that writes files.

Input: `/run/liftlock/plan.json`. Output: one line of JSON with entries, bytes and problem.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from typing import IO

PLAN = "/run/liftlock/plan.json"
BASE = "/build"
BLOCK = 512
CHUNK = 1 << 20
MAX_EXTENSION = 1 << 20  # bytes of one pax header: names and attributes
REFUSED_KINDS = {b"3": "a device", b"4": "a device", b"6": "a fifo"}
PLAIN_KINDS = (b"0", b"\0", b"1", b"2", b"5", b"7")
EXTRACT = ["--no-same-owner", "--no-same-permissions", "--no-acls", "--no-xattrs", "--no-fflags"]


class RefusedError(Exception):
    """The archive is refused; the text names the entry."""


class Caps:
    """What was seen so far, against what is allowed in all."""

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.max_bytes, self.max_entries = max_bytes, max_entries
        self.bytes = 0
        self.entries = 0

    def count(self, size: int) -> None:
        """Count one entry of `size` bytes."""
        self.entries += 1
        self.bytes += size
        if self.entries > self.max_entries:
            raise RefusedError(f"more than {self.max_entries} entries")
        if self.bytes > self.max_bytes:
            raise RefusedError(f"unpacks to more than {self.max_bytes} bytes")


def main() -> None:
    """Do it; print {"entries": n, "bytes": n, "problem": text or null}."""
    with open(PLAN, encoding="utf-8") as file:
        plan = json.load(file)
    caps = Caps(plan["max_bytes"], plan["max_entries"])
    problem = None
    made = None
    try:
        target, made = make_target(plan["path"])
        for number, archive in enumerate(plan["archives"]):
            unpack(archive, target, plan["strip"], caps, f"archive {number + 1}")
        if plan["shared"]:
            share(target)
    except RefusedError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or 'unpacking'}: {error.strerror}"
    if problem is not None and made is not None:
        shutil.rmtree(made, ignore_errors=True)
    json.dump({"entries": caps.entries, "bytes": caps.bytes, "problem": problem}, sys.stdout)


def make_target(path: str) -> tuple[str, str | None]:
    """Return the directory to unpack into, and the topmost directory that had to be made for it."""
    target, made = BASE, None
    for name in path.split("/") if path else ():
        target = f"{target}/{name}"
        if os.path.islink(target):
            raise RefusedError(f"{path}: {target} is a link, which is never followed")
        if not os.path.isdir(target):
            os.mkdir(target, 0o755)
            made = made or target
    return target, made


def share(target: str) -> None:
    """Let everybody read what was unpacked: a tree is shown to the users of all slots, whatever modes its archive had."""
    for folder, _, files in os.walk(target):
        os.chmod(folder, 0o755)  # noqa: S103 - shown read-only to the users of all slots
        for name in files:
            path = f"{folder}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode):
                os.chmod(path, 0o555 if mode & 0o100 else 0o444)


def unpack(archive: str, target: str, strip: int, caps: Caps, what: str) -> None:
    """Unpack one archive or raise RefusedError."""
    before = caps.entries
    with tempfile.TemporaryFile() as read_errors, tempfile.TemporaryFile() as write_errors:
        reader = subprocess.Popen(
            ["bsdtar", "-cf", "-", "--format=pax", f"@{archive}"], stdout=subprocess.PIPE, stderr=read_errors
        )
        writer = subprocess.Popen(
            ["bsdtar", "-xf", "-", "-C", target, *EXTRACT, f"--strip-components={strip}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=write_errors,
        )
        assert reader.stdout is not None
        assert writer.stdin is not None
        try:
            copy(reader.stdout, writer.stdin, caps)
            writer.stdin.close()
        except BrokenPipeError:
            pass  # the writer ended first: its own words follow
        except RefusedError as error:
            reader.kill()
            writer.kill()
            raise RefusedError(f"{what}: {error}") from error
        finally:
            reader.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                writer.stdin.close()
            if writer.wait() != 0:
                reader.kill()
            reader.wait()
        # The writer's words first: if it fails, the reader only saw its pipe break.
        for process, errors in ((writer, write_errors), (reader, read_errors)):
            if process.returncode != 0:
                raise RefusedError(f"{what}: {said(errors) or 'not an archive'}")
    if caps.entries == before:
        raise RefusedError(f"{what}: it holds nothing")


def copy(source: IO[bytes], sink: IO[bytes], caps: Caps) -> None:
    """Copy a tar stream, looking at every header."""
    pax: dict[bytes, bytes] = {}
    first = True
    while True:
        header = read_exactly(source, BLOCK, may_end=first)
        first = False
        if not header:
            return
        if header == bytes(BLOCK):
            sink.write(header)
            shutil.copyfileobj(source, sink, CHUNK)
            return
        size, kind = number(header[124:136]), header[156:157]
        if kind in (b"x", b"g"):
            if size > MAX_EXTENSION:
                raise RefusedError("an entry with a name or attributes of more than 1 MiB")
            content = read_exactly(source, padded(size))
            if kind == b"x":
                pax = records(content[:size])
            sink.write(header + content)
            continue
        size = int(pax.get(b"size", b"%d" % size))
        check_entry(header, kind, pax)
        caps.count(
            max(size, int(pax.get(b"GNU.sparse.realsize", b"0")), int(pax.get(b"GNU.sparse.size", b"0")))
        )
        sink.write(header)
        copy_content(source, sink, padded(size))
        pax = {}


def check_entry(header: bytes, kind: bytes, pax: dict[bytes, bytes]) -> None:
    """Raise RefusedError if the entry is of a kind or name that is never unpacked."""
    name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or ustar_name(header)
    shown = name[:200].decode(errors="replace")
    if kind not in PLAIN_KINDS:
        raise RefusedError(f"the entry {shown!r} is {REFUSED_KINDS.get(kind, 'of an unknown kind')}")
    names = [name]
    if kind == b"1":
        names.append(pax.get(b"linkpath") or header[157:257].split(b"\0")[0])
    for each in names:
        if each.startswith(b"/"):
            raise RefusedError(f"the entry {shown!r} has or links to an absolute name")
        if b".." in each.split(b"/"):
            raise RefusedError(f"the entry {shown!r} leads out of its directory by '..'")


def ustar_name(header: bytes) -> bytes:
    """Return the name in the header itself, with its prefix."""
    name, prefix = header[:100].split(b"\0")[0], header[345:500].split(b"\0")[0]
    return prefix + b"/" + name if prefix else name


def records(content: bytes) -> dict[bytes, bytes]:
    """Return the key and value pairs of a pax header; `LENGTH KEY=VALUE` and a newline each."""
    found: dict[bytes, bytes] = {}
    while content:
        length, _, _ = content.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(content):
            raise RefusedError("a malformed header")
        key, _, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key] = value
        content = content[int(length) :]
    return found


def number(field: bytes) -> int:
    """Return the number in a header's field: octal text, or binary if the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    text = field.strip(b" \0")
    try:
        return int(text, 8) if text else 0
    except ValueError as error:
        raise RefusedError("a malformed header") from error


def padded(size: int) -> int:
    """Return `size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def read_exactly(source: IO[bytes], size: int, *, may_end: bool = False) -> bytes:
    """Return exactly `size` bytes; nothing if the stream ends here and may."""
    content = source.read(size)
    if len(content) != size and (content or not may_end):
        raise RefusedError("the archive is cut short or damaged")
    return content


def copy_content(source: IO[bytes], sink: IO[bytes], size: int) -> None:
    """Copy exactly `size` bytes."""
    while size > 0:
        chunk = read_exactly(source, min(size, CHUNK))
        sink.write(chunk)
        size -= len(chunk)


def said(errors: IO[bytes]) -> str:
    """Return the end of what a program wrote as its errors."""
    errors.seek(0)
    return errors.read().decode(errors="replace").strip()[-500:]


if __name__ == "__main__":
    main()
