"""Running hg: an exact environment, no configuration but ours, limits on time and output.

The repository that is pulled from is untrusted: its settings are never read on our side, so that none of its hooks and
extensions runs as us.

Source: hg help environment (HGRCPATH, HGRCSKIPREPO, HGPLAIN); hg help config
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from liftlock.errors import RepositoryError

HG: Final = "/usr/bin/hg"
TIMEOUT_S: Final = 60.0
PULL_TIMEOUT_S: Final = 600.0
MAX_OUTPUT: Final = 16 * 1024 * 1024
_MAX_SAID: Final = 2_000
_CHUNK: Final = 256 * 1024
CONFIG: Final = {
    "ui.ssh": "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oClearAllForwardings=yes",
    "ui.interactive": "no",
    "ui.merge": "internal:fail",
    "subrepos.allowed": "no",
    "phases.publish": "no",
    "server.validate": "yes",
    "format.use-persistent-nodemap": "no",
}


@dataclass(frozen=True, slots=True)
class Hg:
    """Runs hg with the home directory `home`, liftlock's own."""

    home: Path

    async def run(
        self,
        folder: Path | None,
        arguments: Sequence[str],
        *,
        timeout_s: float = TIMEOUT_S,
        accept: tuple[int, ...] = (0,),
    ) -> tuple[int, bytes]:
        """Return exit status and output of `hg <arguments>` in the repository `folder`.

        Raises:
            RepositoryError: hg is not there, another status than `accept`, too slow, or too much output.
        """
        command = [HG, *(["--repository", str(folder)] if folder is not None else [])]
        for name, value in CONFIG.items():
            command += ["--config", f"{name}={value}"]
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self._environment(),
                cwd=self.home,
                start_new_session=True,
            )
        except OSError as error:
            raise RepositoryError(f"hg cannot be run: {error}") from error
        try:
            async with asyncio.timeout(timeout_s):
                output, said = await asyncio.gather(_read(process.stdout), _read(process.stderr))
                status = await process.wait()
        except TimeoutError as error:
            raise RepositoryError(f"hg {arguments[0]}: not done within {timeout_s:.0f} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.communicate()
        if status not in accept:
            told = said.decode("utf-8", "replace").strip()[-_MAX_SAID:]
            raise RepositoryError(f"hg {arguments[0]} ended with {status}: {told or 'nothing said'}")
        return status, output

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "HGENCODING": "UTF-8",
            "HGENCODINGMODE": "replace",
            "HGRCPATH": "",
            "HGRCSKIPREPO": "1",
            "HGPLAIN": "1",
        }


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    assert stream is not None
    output = bytearray()
    while chunk := await stream.read(_CHUNK):
        output += chunk
        if len(output) > MAX_OUTPUT:
            raise RepositoryError(f"hg: more than {MAX_OUTPUT} bytes of output")
    return bytes(output)
