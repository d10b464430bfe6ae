"""Sends what a witness kept to places that are out of its own machine's reach: a branch of a git remote, or somebody's mail.

A git remote that refuses to be set back (`receive.denyNonFastForwards`, a protected branch) keeps every checkpoint that ever came.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final

from liftlock.cli.failures import UsageError, VerificationFailedError

KEY: Final = "key"
CHECKPOINTS: Final = "checkpoints"
_REPOSITORY: Final = "away.git"
_MAILED: Final = "mailed"
_PERSON: Final = ("-c", "user.name=liftlock witness", "-c", "user.email=witness@liftlock.invalid")
_LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class GitRemote:
    """A branch of a remote, to which each change of the kept file is a commit; pushed as git itself is configured to."""

    directory: Path
    remote: str
    branch: str

    def restore(self) -> None:
        """Get back what was sent, if this directory has nothing: a witness that lost its disk goes on from there.

        Raises:
            UsageError: the remote can't be read.
        """
        if (self.directory / CHECKPOINTS).exists():
            return
        head = self._fetched()
        if head is not None:
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            for name in (KEY, CHECKPOINTS):
                (self.directory / name).write_bytes(self._git("show", f"{head}:{name}"))

    def send(self) -> bool:
        """Push what was kept since; return whether there was anything.

        Raises:
            VerificationFailedError: the remote has checkpoints that were not kept here: one of the two was changed.
            UsageError: the remote can't be read or written.
        """
        head = self._fetched()
        kept = (self.directory / CHECKPOINTS).read_bytes()
        there = b"" if head is None else self._git("show", f"{head}:{CHECKPOINTS}")
        if not kept.startswith(there):
            raise VerificationFailedError(
                f"{self.remote}, {self.branch}: it holds checkpoints that are not those kept in {self.directory}"
            )
        if kept == there:
            return False
        lines = "".join(
            f"100644 blob {self._git('hash-object', '-w', str(self.directory / name)).decode().strip()}\t{name}\n"
            for name in (CHECKPOINTS, KEY)
        )
        tree = self._git("mktree", given=lines.encode()).decode().strip()
        parent = () if head is None else ("-p", head)
        made = self._git(*_PERSON, "commit-tree", tree, *parent, "-m", "Checkpoints").decode().strip()
        self._git("push", "--quiet", "--end-of-options", self.remote, f"{made}:refs/heads/{self.branch}")
        return True

    def _fetched(self) -> str | None:
        """Return the remote branch's commit, whose objects are here now; None if there is no such branch."""
        if not (self.directory / _REPOSITORY).is_dir():
            self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            _run(["git", "init", "--quiet", "--bare", "--template=", str(self.directory / _REPOSITORY)])
        reference = f"refs/heads/{self.branch}"
        listed = self._git("ls-remote", "--end-of-options", self.remote, reference).decode()
        head = next(
            (line.split("\t")[0] for line in listed.splitlines() if line.endswith(f"\t{reference}")), None
        )
        if head is not None:
            self._git("fetch", "--quiet", "--no-tags", "--end-of-options", self.remote, reference)
        return head

    def _git(self, *arguments: str, given: bytes = b"") -> bytes:
        return _run(["git", f"--git-dir={self.directory / _REPOSITORY}", *arguments], given)


@dataclass(frozen=True, slots=True)
class Mail:
    """Mail to `address` with the newest checkpoint, at most every `every_s` seconds, by the program `sendmail`."""

    directory: Path
    address: str
    every_s: float
    sendmail: str

    def send(self) -> bool:
        """Mail the newest checkpoint, if it is another than the last one and it is time; return whether it was mailed.

        Raises:
            UsageError: the program is not there, or failed.
        """
        note, last = _newest(self.directory / CHECKPOINTS), self._last()
        if note == last.get("note") or time.time() - float(last.get("at", 0)) < self.every_s:
            return False
        _run([self.sendmail, "-i", "--", self.address], self._message(note).as_bytes(policy=SMTP))
        staged = self.directory / f"{_MAILED}.new"
        staged.write_text(json.dumps({"note": note, "at": time.time()}))
        staged.replace(self.directory / _MAILED)
        return True

    def _message(self, note: str) -> EmailMessage:
        origin, size = note.split("\n")[:2]
        message = EmailMessage()
        message["To"] = self.address
        message["Subject"] = f"Checkpoint of the audit log {origin}: {size} rows"
        message.set_content(
            "Keep this message: it shows what the log was. To compare the log with it, save the attachment and run\n\n"
            f"    liftlock audit verify --checkpoint FILE\n\n{note}"
        )
        message.add_attachment(note, charset="utf-8", filename="checkpoint.txt", cte="base64")
        return message

    def _last(self) -> dict[str, str | float]:
        try:
            found = json.loads((self.directory / _MAILED).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _newest(path: Path) -> str:
    """Return the last note of the file: each is a text and its signatures, and an empty line is behind either."""
    return "\n\n".join(path.read_text().strip("\n").split("\n\n")[-2:]) + "\n"


def _run(command: Sequence[str], given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise UsageError(f"{' '.join(command[:3])}: exit status {done.returncode}: {said}")
    return done.stdout
