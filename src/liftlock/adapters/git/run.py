"""Running git: an exact environment, no configuration but ours, limits on time and output.

The repository that is fetched from, and every object in it, is untrusted. Its hooks never run on our side, its
configuration is never read by our git; what `git upload-pack` reads on the other side of a local path is limited to
what git itself deems safe there.

Source: git-config(1) SAFE.DIRECTORY; git-upload-pack(1) SECURITY
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from liftlock.errors import RepositoryError

GIT: Final = "/usr/bin/git"
TIMEOUT_S: Final = 60.0
FETCH_TIMEOUT_S: Final = 600.0
MAX_OUTPUT: Final = 16 * 1024 * 1024
_MAX_SAID: Final = 2_000
_CHUNK: Final = 256 * 1024

CONFIG: Final = """\
[core]
\thooksPath = /dev/null
\tfsmonitor = false
\tsymlinks = false
\tprotectHFS = true
\tprotectNTFS = true
\taskPass = /bin/false
[gc]
\tauto = 0
[maintenance]
\tauto = false
[credential]
\thelper =
[http]
\tfollowRedirects = false
[fetch]
\trecurseSubmodules = false
\tfsckObjects = true
\twriteCommitGraph = false
[fetch "fsck"]
\tzeroPaddedFilemode = ignore
\tmissingSpaceBeforeDate = ignore
\tbadTimezone = ignore
[protocol]
\tallow = never
[protocol "file"]
\tallow = always
[protocol "https"]
\tallow = always
[protocol "ssh"]
\tallow = always
"""
"""Our whole configuration of git. Old histories hold the three harmless defects that fsck is told to let pass."""

SSH: Final = "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oClearAllForwardings=yes"


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git with the configuration file `config` and the home directory `home`, both liftlock's own."""

    config: Path
    home: Path

    def environment(self) -> dict[str, str]:
        """Return all that git sees of the environment."""
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(self.config),
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:https:ssh",
            "GIT_SSH_COMMAND": SSH,
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
        }

    async def run(
        self,
        folder: Path,
        arguments: Sequence[str],
        *,
        standard_input: bytes = b"",
        timeout_s: float = TIMEOUT_S,
        accept: tuple[int, ...] = (0,),
    ) -> tuple[int, bytes]:
        """Return exit status and output of `git <arguments>` in the repository `folder`.

        Raises:
            RepositoryError: another status than `accept`, too slow, or more than `MAX_OUTPUT` bytes.
        """
        output = bytearray()
        async with self.open(
            folder, arguments, standard_input=standard_input, timeout_s=timeout_s
        ) as running:
            async for chunk in running.chunks():
                output += chunk
                if len(output) > MAX_OUTPUT:
                    raise RepositoryError(f"git {arguments[0]}: more than {MAX_OUTPUT} bytes of output")
            status = await running.finish(accept)
        return status, bytes(output)

    @asynccontextmanager
    async def open(
        self, folder: Path, arguments: Sequence[str], *, standard_input: bytes | None = b"", timeout_s: float
    ) -> AsyncIterator[Running]:
        """Yield the running command; it and its children are dead when the block is left.

        With `standard_input` None its input stays open for `Running.ask`.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                GIT,
                f"--git-dir={folder}",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self.environment(),
                cwd=self.home,
                start_new_session=True,
                limit=_CHUNK,
            )
        except OSError as error:
            raise RepositoryError(f"git cannot be run: {error}") from error
        running = Running(process, f"git {arguments[0]}", timeout_s)
        said = asyncio.create_task(running.read_errors())
        feeding = asyncio.create_task(_feed(process, standard_input))
        try:
            async with asyncio.timeout(timeout_s):
                yield running
        except TimeoutError as error:
            raise RepositoryError(f"git {arguments[0]}: not done within {timeout_s:.0f} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await running.drain()
            await process.wait()
            said.cancel()
            feeding.cancel()
            await asyncio.gather(said, feeding, return_exceptions=True)


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    assert process.stdin is not None
    if data is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


class Running:
    """One git command that runs."""

    def __init__(self, process: asyncio.subprocess.Process, what: str, timeout_s: float) -> None:
        self._process = process
        self._what = what
        self._said = bytearray()
        self._quiet = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the output as it comes."""
        assert self._process.stdout is not None
        while chunk := await self._process.stdout.read(_CHUNK):
            yield chunk

    async def ask(self, question: bytes) -> None:
        """Write to the command's input."""
        assert self._process.stdin is not None
        self._process.stdin.write(question)
        await self._process.stdin.drain()

    async def line(self) -> str:
        """Return the next line of output, without its end.

        Raises:
            RepositoryError: the output ended, or the line is unreasonably long.
        """
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readuntil(b"\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise RepositoryError(f"{self._what}: expected a line of output") from error
        return line[:-1].decode("utf-8", "replace")

    async def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes of output; raises RepositoryError if there are fewer."""
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise RepositoryError(f"{self._what}: the output ended early") from error

    async def drain(self) -> None:
        """Read the output to its end: until then asyncio does not notice that the process has ended."""
        async for _ in self.chunks():
            pass

    async def read_errors(self) -> None:
        """Keep the last of what git says on its error output, and read on, so that it never waits for us."""
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_CHUNK):
            self._said = (self._said + chunk)[-_MAX_SAID:]
        self._quiet.set()

    async def finish(self, accept: tuple[int, ...] = (0,)) -> int:
        """Return the exit status once the command has ended; its output must have been read.

        Raises:
            RepositoryError: a status that is not in `accept`, with what git said.
        """
        status = await self._process.wait()
        await self._quiet.wait()
        if status not in accept:
            said = self._said.decode("utf-8", "replace").strip() or f"exit status {status}"
            raise RepositoryError(f"{self._what}: {said}")
        return status
