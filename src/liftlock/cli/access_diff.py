"""`liftlock access diff`: what a change of configuration lets whom newly reach (A16)."""

from __future__ import annotations

from pathlib import Path

import click

from liftlock.cli.command import json_option
from liftlock.cli.config_files import read_files
from liftlock.cli.exit_codes import Exit
from liftlock.cli.output import Output, printable
from liftlock.domain.configuration.folder import read_folder
from liftlock.domain.configuration.generate import generate
from liftlock.domain.configuration.reach_change import gains
from liftlock.domain.configuration.whole import Whole

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("before", type=_FOLDER)
@click.argument("after", type=_FOLDER)
@json_option
def diff(out: Output, before: Path, after: Path) -> int:
    """Show what the configuration in AFTER lets whom reach that the one in BEFORE does not. Asks no server.

    Exit status 7 if anybody reaches more, 0 if nobody does.
    """
    found = list(gains(_whole(before), _whole(after)))
    lines = []
    for gain in found:
        lines.append(f"{out.styled(gain.who, 'bold')} newly reaches:")
        lines += [f"  {out.styled('+ ' + scope, 'red')}" for scope in gain.scopes]
        lines += [f"  {printable(line)}" for line in gain.path.splitlines()]
    value = [{"who": gain.who, "scopes": list(gain.scopes), "path": gain.path} for gain in found]
    out.data(value, lines or ["nobody reaches more than before"])
    return Exit.PLAN_HAS_CHANGES if found else Exit.OK


def _whole(folder: Path) -> Whole:
    said = read_folder(read_files(folder))
    return Whole(said, generate(said))
