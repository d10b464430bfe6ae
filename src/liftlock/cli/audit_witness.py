"""`liftlock audit witness`: keeps the log's checkpoints where the server can't reach, and refuses a log that was changed.

It is run by another user, or on another machine, than the control plane; it needs no credentials.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from liftlock.cli.audit_files import read_checkpoints, unhex
from liftlock.cli.audit_witness_away import CHECKPOINTS, KEY, GitRemote, Mail
from liftlock.cli.client import Api
from liftlock.cli.command import json_option
from liftlock.cli.failures import UsageError, VerificationFailedError
from liftlock.cli.output import Output
from liftlock.cli.profiles import load_profile
from liftlock.domain.audit.note import Checkpoint, Verifier, open_checkpoint, parse_verifier
from liftlock.domain.audit.tree import is_consistent
from liftlock.errors import LiftlockError


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIRECTORY")
@click.option("--every", type=click.IntRange(1, 86400), metavar="SECONDS", help="Go on for ever, so often.")
@click.option("--git", "remote", metavar="REMOTE", help="Push what is kept to a branch of this git remote.")
@click.option("--branch", default="liftlock-witness", show_default=True, help="The branch, with --git.")
@click.option("--mail", "address", metavar="ADDRESS", help="Mail the newest checkpoint to this address.")
@click.option(
    "--mail-every",
    type=click.FloatRange(0),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="With --mail.",
)
@click.option(
    "--sendmail", default="/usr/sbin/sendmail", show_default=True, metavar="PROGRAM", help="With --mail."
)
@json_option
@click.pass_context
def witness(ctx: click.Context, /, directory: Path, every: int | None, out: Output, **options: Any) -> None:
    """Keep the log's newest checkpoint in DIRECTORY, if it holds all rows of the last one kept.

    The first run keeps the log's key, and only that key counts from then on. Run it as a user of its own, or on another
    machine; it needs no credentials. Exit status 5 if the log was changed, or its key was; or if the git remote has other
    checkpoints than were kept.
    """
    api = Api(load_profile(os.environ, ctx.find_root().obj))
    away = _Away.of(directory, options)
    try:
        while True:
            try:
                away.restore()
                size = keep(api, directory)
                out.data({"size": size}, [f"witnessed: {size} rows", *away.send()])
            except VerificationFailedError:
                raise
            except LiftlockError as error:
                if every is None:
                    raise
                out.progress(f"{error.code}: {error.message}")
            if every is None:
                return
            time.sleep(every)
    finally:
        api.close()


class _Away(NamedTuple):
    """Where else checkpoints go."""

    git: GitRemote | None
    mail: Mail | None

    @classmethod
    def of(cls, directory: Path, options: Mapping[str, Any]) -> _Away:
        """Return what the command's options name."""
        remote, address = options["remote"], options["address"]
        return cls(
            None if remote is None else GitRemote(directory, remote, options["branch"]),
            None
            if address is None
            else Mail(directory, address, options["mail_every"] * 3600, options["sendmail"]),
        )

    def restore(self) -> None:
        """Get back what was sent to git, if nothing is kept here."""
        if self.git is not None:
            self.git.restore()

    def send(self) -> list[str]:
        """Send what is new; return what was done."""
        said = []
        if self.git is not None and self.git.send():
            said.append(f"pushed to {self.git.remote}, {self.git.branch}")
        if self.mail is not None and self.mail.send():
            said.append(f"mailed to {self.mail.address}")
        return said


def keep(api: Api, directory: Path) -> int:
    """Append the newest checkpoint to the directory's file; return its size.

    Raises:
        VerificationFailedError: it contradicts what was kept before.
        UsageError: the directory can't be written.
    """
    told = parse_verifier(api.get("audit", "key")["key"])
    verifier = _pinned(directory, told)
    note = str(api.get("audit", "checkpoint")["checkpoint"])
    new = open_checkpoint(note, verifier)
    path = directory / CHECKPOINTS
    last = read_checkpoints(path, verifier)[-1] if path.exists() else None
    if last is not None:
        _compare(api, last, new)
    if last is None or last.size < new.size:
        _append(path, note)
    return new.size


def _compare(api: Api, last: Checkpoint, new: Checkpoint) -> None:
    if new.size < last.size:
        raise VerificationFailedError(
            f"the log has {new.size} rows and a checkpoint of {last.size} was kept: rows were removed"
        )
    answer = api.get("audit", "consistency", str(last.size), str(new.size))
    path = [unhex(each) for each in answer["path"]]
    if not is_consistent(last.size, last.root, new.size, new.root, path):
        raise VerificationFailedError(
            f"the first {last.size} rows are not those that were witnessed: the log was changed; find the row by"
            " `liftlock audit verify --checkpoint FILE`"
        )


def _pinned(directory: Path, told: Verifier) -> Verifier:
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = directory / KEY
        if not path.exists():
            path.write_text(told.text + "\n")
            return told
        kept = parse_verifier(path.read_text())
    except OSError as error:
        raise UsageError(f"{directory}: {error.strerror}") from error
    if kept != told:
        raise VerificationFailedError(f"the log names another key than the one kept in {path}: {told.text}")
    return kept


def _append(path: Path, note: str) -> None:
    """Add the note, durably; the file is only ever added to, so it may have the append-only attribute."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{note}\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
