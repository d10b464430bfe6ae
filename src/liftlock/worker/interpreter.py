"""Which Python a sandbox has, measured inside one: it decides which wheels fit."""

from __future__ import annotations

import asyncio
import contextlib
import os

from liftlock.domain.inputs.wheels import Interpreter
from liftlock.errors import MalformedPayloadError, NotFoundError
from liftlock.ports.sandbox import Limits, Sandbox, SandboxSpec, Scratch
from liftlock.values.json import decode_as

_PROGRAM = """
import json, os, sys
libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
print(json.dumps([sys.version_info[:2], os.uname().machine, libc]))
"""
_MIB = 1 << 20
_WITHIN_S = 30.0


class Interpreters:
    """Measures once for the life of the worker."""

    def __init__(self) -> None:
        self._known: dict[str | None, Interpreter] = {}

    async def of(self, sandbox: Sandbox, scratch: Scratch, root: str | None) -> Interpreter:
        """Return the interpreter `python3` of a sandbox with the image at `root`; None: without one.

        Raises:
            NotFoundError: there is none, or it does not say what it is.
        """
        if root not in self._known:
            self._known[root] = await _measure(sandbox, scratch, root)
        return self._known[root]


async def _measure(sandbox: Sandbox, scratch: Scratch, root: str | None) -> Interpreter:
    spec = SandboxSpec(
        scratch,
        ("/usr/bin/python3" if root is None else "python3", "-I", "-S", "-c", _PROGRAM),
        limits=Limits(memory_bytes=256 * _MIB, pids=16, cpu=1.0, file_bytes=_MIB, tmp_bytes=_MIB),
        root=root,
    )
    running = await sandbox.start(spec)
    try:
        async with asyncio.timeout(_WITHIN_S):
            await running.wait()
            said = os.read(running.log_fd, 65536)
    except (TimeoutError, BlockingIOError):
        await running.kill("it took too long")
        said = b""
    finally:
        os.close(running.log_fd)
    with contextlib.suppress(MalformedPayloadError, ValueError):
        version, machine, libc = decode_as(
            said, tuple[tuple[int, int], str, str | None], what="what python3 said"
        )
        glibc = None
        if libc is not None and libc.startswith("glibc "):
            major, minor = libc.removeprefix("glibc ").split(".")[:2]
            glibc = (int(major), int(minor))
        return Interpreter(version, machine, glibc)
    shown = said[:200].decode("utf-8", "replace")
    raise NotFoundError(f"the sandbox's python3 did not say what it is: {shown!r}")
