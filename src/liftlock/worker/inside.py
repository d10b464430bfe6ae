"""Small programs of the worker's own in a sandbox: what they print, and how they end."""

from __future__ import annotations

import asyncio
import os

from liftlock.ports.sandbox import ExitStatus, RunningSandbox, Sandbox, SandboxSpec

MAX_OUTPUT = 64 * 1024
"""What a pipe holds: the program would stop at more."""


async def run(sandbox: Sandbox, spec: SandboxSpec, *, within_s: float) -> tuple[bytes, ExitStatus]:
    """Return the first output of a program and how it ended; after `within_s` it is killed.

    Raises:
        SandboxFailedError, IsolationUnavailableError: no sandbox could be made.
    """
    running = await sandbox.start(spec)
    try:
        return await _end(running, within_s)
    except BaseException:
        await running.kill("given up")
        raise
    finally:
        os.close(running.log_fd)
        for listener in running.listeners:
            listener.close()


async def _end(running: RunningSandbox, within_s: float) -> tuple[bytes, ExitStatus]:
    try:
        status = await asyncio.wait_for(running.wait(), within_s)
    except TimeoutError:
        await running.kill(f"not done after {within_s:g} s")
        status = await running.wait()
    try:
        return os.read(running.log_fd, MAX_OUTPUT), status
    except BlockingIOError:
        return b"", status
