"""What is put into a scratch before the task runs: files, archives, checkouts, each by a program in a sandbox.

Nothing here opens, parses or writes a file of a scratch outside of a sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from importlib import resources
from typing import Any, Protocol

import msgspec

from liftlock.adapters.sandbox.beneath import bad_path
from liftlock.errors import MalformedPayloadError, SandboxFailedError
from liftlock.ports.sandbox import (
    GIB,
    MIB,
    Bind,
    CheckoutRequest,
    DataFile,
    ExitStatus,
    ImageRequest,
    Limits,
    OwnRequest,
    Placement,
    RunningSandbox,
    SandboxSpec,
    Scratch,
    UnpackRequest,
    UnpackResult,
)
from liftlock.values.json import decode_as

MAX_OUTPUT = 1 * MIB
PLACE_TIMEOUT_S = 600.0
_FILES_AT_ONCE = 200
_REVISION = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z", re.ASCII)
_BRANCH = re.compile(
    r"(?!-)(?!.*(?:\.\.|//|@\{|\.lock(?:/|\Z)|/\Z|\.\Z))[A-Za-z0-9._/+@-]{1,200}\Z", re.ASCII
)

# Read with this module: the worker's own user may have no right to read the installation.
_PROGRAMS = {
    name: resources.files("liftlock.adapters.sandbox.inside").joinpath(f"{name}.py").read_bytes()
    for name in ("checkout", "checkout_mercurial", "image", "own", "place", "unpack")
}


class Starter(Protocol):
    """What is needed of the client."""

    async def start_with(self, spec: SandboxSpec, *, tree: str | None = None) -> RunningSandbox:
        """Start a sandbox."""
        ...

    async def remove_tree(self, name: str) -> None:
        """Remove an unfinished tree."""
        ...


class Preparing:
    """Places, unpacks, checks out."""

    def __init__(self, starter: Starter) -> None:
        self._starter = starter

    async def place(self, scratch: Scratch, files: tuple[Placement, ...]) -> str | None:
        """Copy store files into the scratch; return a problem or None."""
        for file in files:
            wrong = bad_path(file.path)
            if wrong is not None or file.path == ".":
                return wrong.message if wrong is not None else "'.' is no file"
        for start in range(0, len(files), _FILES_AT_ONCE):
            batch = files[start : start + _FILES_AT_ONCE]
            binds = tuple(Bind(file.source, f"/inputs/{number}") for number, file in enumerate(batch))
            plan = [(f"/inputs/{number}", file.path, file.executable) for number, file in enumerate(batch)]
            limits = _limits(1 << 50)
            answer = await self._inside("place", plan, scratch, binds, limits, PLACE_TIMEOUT_S)
            if answer.get("problem") is not None:
                return str(answer["problem"])
        return None

    async def unpack(self, request: UnpackRequest) -> UnpackResult:
        """Unpack archives; a refusal is a result."""
        wrong = bad_path(request.path) if request.path else None
        if wrong is not None:
            return UnpackResult(problem=wrong.message)
        binds = tuple(Bind(archive, f"/inputs/{number}") for number, archive in enumerate(request.archives))
        plan = {
            "archives": [bind.destination for bind in binds],
            "path": "" if request.path == "." else request.path,
            "strip": request.strip,
            "max_bytes": request.max_bytes,
            "max_entries": request.max_entries,
            "shared": request.tree is not None,
        }
        limits = _limits(request.max_bytes)
        answer = await self._inside(
            "unpack", plan, request.scratch, binds, limits, request.timeout_s, tree=request.tree
        )
        problem = answer.get("problem")
        if problem is not None:
            if request.tree is not None:
                await self._starter.remove_tree(request.tree)
            return UnpackResult(problem=str(problem))
        return UnpackResult(entries=int(answer["entries"]), bytes=int(answer["bytes"]), tree=request.tree)

    async def unpack_image(self, request: ImageRequest) -> UnpackResult:
        """Apply an image's layers; a refusal is a result."""
        binds = tuple(Bind(layer.path, f"/inputs/{number}") for number, layer in enumerate(request.layers))
        plan = {
            "layers": [
                {"path": bind.destination, "compression": layer.compression, "diff_id": layer.diff_id}
                for bind, layer in zip(binds, request.layers, strict=True)
            ],
            "max_bytes": request.max_bytes,
            "max_entries": request.max_entries,
        }
        limits = _limits(request.max_bytes)
        answer = await self._inside(
            "image", plan, request.scratch, binds, limits, request.timeout_s, tree=request.tree
        )
        problem = answer.get("problem")
        if problem is not None:
            await self._starter.remove_tree(request.tree)
            return UnpackResult(problem=str(problem))
        return UnpackResult(entries=int(answer["entries"]), bytes=int(answer["bytes"]), tree=request.tree)

    async def checkout(self, request: CheckoutRequest) -> str | None:
        """Make a checkout; return a problem or None."""
        wrong = bad_path(request.path)
        if wrong is not None:
            return wrong.message
        if _REVISION.match(request.revision) is None:
            return (
                f"{request.revision[:80]!r} is no revision: expected 40 or 64 lower-case hexadecimal digits"
            )
        if request.branch is not None and _BRANCH.match(request.branch) is None:
            return f"{request.branch[:80]!r} is no name of a branch"
        plan = {
            "bundle": "/inputs/source.bundle",
            "path": request.path,
            "revision": request.revision,
            "origin": request.origin,
            "branch": request.branch,
        }
        binds = (Bind(request.bundle, "/inputs/source.bundle"),)
        limits = _limits(1 << 50)
        program = "checkout" if request.vcs == "git" else "checkout_mercurial"
        answer = await self._inside(program, plan, request.scratch, binds, limits, request.timeout_s)
        problem = answer.get("problem")
        return None if problem is None else str(problem)

    async def make_own(self, request: OwnRequest) -> str | None:
        """Copy directories of an image into the scratch; return a problem or None."""
        sources = [name for name in request.names if name in request.sources]
        binds = tuple(Bind(request.sources[name], f"/inputs/{number}") for number, name in enumerate(sources))
        plan = {
            "names": request.names,
            "sources": {name: bind.destination for name, bind in zip(sources, binds, strict=True)},
            "made": request.made,
        }
        limits = _limits(1 << 50)
        answer = await self._inside("own", plan, request.scratch, binds, limits, request.timeout_s)
        problem = answer.get("problem")
        return None if problem is None else str(problem)

    async def _inside(
        self,
        program: str,
        plan: Any,
        scratch: Scratch,
        binds: tuple[Bind, ...],
        limits: Limits,
        timeout_s: float,
        *,
        tree: str | None = None,
    ) -> dict[str, Any]:
        """Run one of the programs of `inside` and return its answer; a failure of any kind is a problem in it."""
        files = (
            DataFile("/run/liftlock/program.py", _PROGRAMS[program]),
            DataFile("/run/liftlock/plan.json", msgspec.json.encode(plan)),
        )
        spec = SandboxSpec(
            scratch,
            ("/usr/bin/python3", "-I", "-S", "/run/liftlock/program.py"),
            binds=binds,
            files=files,
            limits=limits,
        )
        running = await self._starter.start_with(spec, tree=tree)
        output, status = await run_to_end(running, timeout_s)
        if not status.started:
            raise SandboxFailedError(f"{program}: the sandbox could not be set up: {output[-500:].strip()}")
        if status.ok:
            with contextlib.suppress(MalformedPayloadError):
                return decode_as(output.rpartition("\n")[2], dict[str, Any], what=program)
        return {"problem": _why(program, output, status)}


async def run_to_end(running: RunningSandbox, timeout_s: float) -> tuple[str, ExitStatus]:
    """Return the output (its first `MAX_OUTPUT` bytes) and how it ended; after `timeout_s` it is killed."""
    reading = asyncio.ensure_future(_read(running.log_fd))
    try:
        try:
            status = await asyncio.wait_for(running.wait(), timeout_s)
        except TimeoutError:
            await running.kill(f"not done after {timeout_s:g} s")
            status = await running.wait()
        output = await reading
    except BaseException:
        reading.cancel()
        await running.kill("given up")
        raise
    finally:
        for listener in running.listeners:
            listener.close()
    return output.decode(errors="replace"), status


async def _read(descriptor: int) -> bytes:
    """Return what comes until the end, at most `MAX_OUTPUT` bytes of it, and close the descriptor."""
    loop = asyncio.get_running_loop()
    content = bytearray()
    try:
        while True:
            try:
                chunk = os.read(descriptor, 65536)
            except BlockingIOError:
                await _readable(loop, descriptor)
                continue
            if not chunk:
                return bytes(content)
            content += chunk[: MAX_OUTPUT - len(content)]
    finally:
        os.close(descriptor)


async def _readable(loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _limits(file_bytes: int) -> Limits:
    return Limits(memory_bytes=1 * GIB, pids=64, cpu=2.0, file_bytes=file_bytes, tmp_bytes=256 * MIB)


def _why(program: str, output: str, status: ExitStatus) -> str:
    if status.killed is not None:
        return f"{program}: {status.killed}"
    if status.out_of_memory:
        return f"{program}: out of memory"
    if status.out_of_disk:
        return f"{program}: the disk limit is reached"
    return f"{program} ended with {status.code}: {output[-500:].strip()}"
