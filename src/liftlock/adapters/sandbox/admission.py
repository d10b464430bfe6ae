"""What the launcher agrees to start: every value of a request is checked before anything is done.

The worker is not root and speaks HTTP with the world; what it asks of the launcher is data, not an order.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from typing import Final, NoReturn

from liftlock.adapters.sandbox.beneath import INSIDE
from liftlock.adapters.sandbox.bubblewrap import OWN, Plan
from liftlock.adapters.sandbox.caches import Held
from liftlock.adapters.sandbox.netns import MAX_LISTENERS
from liftlock.adapters.sandbox.protocol import Start
from liftlock.adapters.sandbox.syscalls import openat2
from liftlock.adapters.sandbox.view import View
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import MIB, Bind, CacheBind, DataFile, Limits

_TREE = re.compile(r"\.new-[A-Za-z0-9_-]{1,80}\Z", re.ASCII)
_VARIABLE = re.compile(r"[^=\0]+\Z")
_TAKEN = frozenset(
    ("build", "proc", "dev", "sys", "etc", "usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
)
_OWN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}\Z", re.ASCII)
_NEVER_OWN = _TAKEN | {"run", "inputs"}
_WHOLE = frozenset(("/", "/tmp", "/run", "/inputs"))  # noqa: S108 - places inside the sandbox
MAX_STRING = 128 * 1024 - 1
"""The kernel's bound on one argument or variable (MAX_ARG_STRLEN)."""
MAX_STRINGS = 1 * MIB
MAX_DATA_FILE = 16 * MIB
MAX_BINDS = 512
NO_CACHES: Final[Mapping[str, Held]] = {}


def plan(start: Start, view: View, scratch: str, caches: Mapping[str, Held] = NO_CACHES) -> Plan:
    """Return what to start, with sources as the launcher sees them; `caches`: those that the slot has open, by key.

    Raises:
        SandboxFailedError: something of the request is not admissible; the message says what.
    """
    _check_strings(start)
    _check_limits(start.limits)
    if (
        len(start.binds) + len(start.files) + len(start.caches) > MAX_BINDS
        or len(start.listeners) > MAX_LISTENERS
    ):
        _refuse(f"more than {MAX_BINDS} binds and files or {MAX_LISTENERS} listeners")
    for listener in start.listeners:
        if not 0 < listener.port < 65536 or listener.host != "127.0.0.1":
            _refuse(f"a listener at {listener.host[:64]}:{listener.port}; expected 127.0.0.1 and a port")
    own = _own(start, scratch)
    for file in start.files:
        _check_file(file, start.own)
    binds = tuple(_bind(bind, view, start) for bind in start.binds)
    cwd = _directory(start, scratch)
    root = None if start.root is None else view.source(start.root)
    writable = tuple(_cache(one, caches, scratch, start.own) for one in start.caches)
    return Plan(scratch, start.argv, cwd, binds, start.files, root, start.limits.tmp_bytes, writable, own)


def check_tree(name: str) -> str:
    """Return `name`, or raise SandboxFailedError: trees in the making are called `.new-…`."""
    if _TREE.match(name) is None:
        _refuse(f"a tree called {name[:128]!r}; expected .new- and 1 to 80 letters, digits, - and _")
    return name


def _check_strings(start: Start) -> None:
    if not start.argv or not start.argv[0]:
        _refuse("no command")
    variables = [f"{name}={value}" for name, value in start.env.items()]
    sizes = [len(text.encode(errors="surrogateescape")) for text in (*start.argv, *variables)]
    if max(sizes) > MAX_STRING or sum(sizes) > MAX_STRINGS:
        _refuse(f"command and environment: at most {MAX_STRING} bytes a string and {MAX_STRINGS} in all")
    if any("\0" in text for text in (*start.argv, *variables)):
        _refuse("command and environment must not hold NUL")
    for name in start.env:
        if _VARIABLE.match(name) is None:
            _refuse(f"{name[:64]!r} cannot name an environment variable")


def _check_limits(limits: Limits) -> None:
    least = {
        "memory_bytes": (limits.memory_bytes, 16 * MIB),
        "pids": (limits.pids, 4),
        "cpu": (limits.cpu, 0.05),
        "file_bytes": (limits.file_bytes, 1),
        "open_files": (limits.open_files, 32),
        "tmp_bytes": (limits.tmp_bytes, 4096),
    }
    for name, (value, minimum) in least.items():
        if not minimum <= value < 1 << 62:
            _refuse(f"limits.{name}: expected at least {minimum}, got {value}")


def _own(start: Start, scratch: str) -> tuple[Bind, ...]:
    """Return the binds of directories that are the task's own; each must be a directory of the scratch, behind no link."""
    if start.own and start.tree is not None:
        _refuse("a tree of the store has no directories of a task's own")
    if len(set(start.own)) != len(start.own):
        _refuse("a directory is the task's own twice")
    for name in start.own:
        if _OWN.match(name) is None or name in _NEVER_OWN:
            _refuse(f"the directory /{name[:80]} cannot be a task's own")
        try:
            _look(scratch, f"{OWN}/{name}")
        except OSError as error:
            _refuse(f"the task's own /{name} cannot be shown: {os.strerror(error.errno or 0)}")
    return tuple(Bind(f"{scratch}/{OWN}/{name}", f"/{name}") for name in start.own)


def _directory(start: Start, scratch: str) -> str:
    """Return where the command begins; in a directory of the task's own that has lost it, at the top of that."""
    if not _plain(start.cwd):
        _refuse(f"the directory {start.cwd[:256]!r} is no plain absolute path")
    top = start.cwd.split("/")[1]
    if top in start.own:
        try:
            _look(scratch, f"{OWN}{start.cwd}")
        except OSError:
            return f"/{top}"
    return start.cwd


def _look(scratch: str, path: str) -> None:
    """Raise OSError unless `path` is a directory of the scratch and leads through no link."""
    directory = os.open(scratch, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(openat2(directory, path, os.O_PATH | os.O_DIRECTORY, INSIDE))
    finally:
        os.close(directory)


def _check_file(file: DataFile, own: tuple[str, ...]) -> None:
    if len(file.content) > MAX_DATA_FILE:
        _refuse(f"{file.destination[:256]!r} is larger than {MAX_DATA_FILE} bytes")
    _check_destination(file.destination, own)


def _bind(bind: Bind, view: View, start: Start) -> Bind:
    source = view.source(bind.source)
    if start.root is None and bind.source == bind.destination and bind.source.startswith("/usr/"):
        return Bind(bind.source, bind.destination)  # visible anyway
    _check_destination(bind.destination, start.own)
    return Bind(source, bind.destination)


def _cache(one: CacheBind, caches: Mapping[str, Held], scratch: str, own: tuple[str, ...]) -> Bind:
    """Return the bind of an open cache. A place in the scratch must not be led elsewhere by what a task left there."""
    held = caches.get(one.key)
    if held is None:
        _refuse(f"the cache {one.key[:80]!r} is not open")
    inside = _in_scratch(one.destination, own)
    if inside is None:
        _check_destination(one.destination, own)
        return Bind(held.path, one.destination)
    if not _plain(one.destination):
        _refuse(f"nothing can be placed at {one.destination[:256]!r}")
    try:
        _look(scratch, inside)
    except FileNotFoundError:
        pass  # bubblewrap makes it, as the slot's user
    except OSError as error:
        _refuse(f"a cache cannot be placed at {one.destination[:256]!r}: {os.strerror(error.errno or 0)}")
    return Bind(held.path, one.destination)


def _in_scratch(destination: str, own: tuple[str, ...]) -> str | None:
    """Return where in the scratch a place of the sandbox lies; None: elsewhere."""
    if destination.startswith("/build/"):
        return destination.removeprefix("/build/")
    _, top, *below = destination.split("/") if destination.startswith("/") else ["", ""]
    return f"{OWN}{destination}" if top in own and below else None


def _check_destination(path: str, own: tuple[str, ...]) -> None:
    if not _plain(path) or path in _WHOLE or path.split("/")[1] in (_TAKEN | {*own}):
        _refuse(f"nothing can be placed at {path[:256]!r}")


def _plain(path: str) -> bool:
    plain = path.startswith("/") and not path.startswith("//") and posixpath.normpath(path) == path
    return plain and "\0" not in path


def _refuse(what: str) -> NoReturn:
    raise SandboxFailedError(f"the sandbox was not started: {what}")
