"""The command `liftlock`: nouns, then verbs; each noun's module is imported only when it is used.

Commands that run processes live in `liftlock.processes`, which this layer may not import: the table names them.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from liftlock.cli.exit_codes import Exit, exit_status
from liftlock.cli.failures import UsageError
from liftlock.errors import LiftlockError

_DASHED_ID: Final = re.compile(r"-[A-Za-z0-9_-]{21}\Z", re.ASCII)
"""A slugid that click takes for options: liftlock makes no such id, other makers do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is (`module:attribute`) and the line that the list of commands shows for it."""

    target: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "up": Entry("liftlock.processes.up:up", "Run the control plane, the schedulers and local workers."),
    "demo": Entry("liftlock.processes.demo.command:demo", "Show the whole of it on a small example."),
    "doctor": Entry("liftlock.processes.doctor:doctor", "Tell what isolation this machine allows."),
    "project": Entry("liftlock.cli.project:project", "Register repositories."),
    "push": Entry("liftlock.cli.push:push", "See pushes, and tell liftlock of them."),
    "task": Entry("liftlock.processes.task_command:task", "See tasks, their logs and artifacts."),
    "keys": Entry("liftlock.processes.keys_command:keys", "See and change the keys that workers sign with."),
    "action": Entry("liftlock.cli.action:action", "List and run in-tree actions."),
    "operation": Entry("liftlock.cli.operation:operation", "Ask for operations of two stages."),
    "approval": Entry("liftlock.cli.approval:approval", "Approve exactly what an operation will do."),
    "hook": Entry("liftlock.cli.hook:hook", "See, simulate and trigger hooks."),
    "gate": Entry("liftlock.cli.gate:gate", "Keep security fixes from landing by mistake: the push gate."),
    "audit": Entry("liftlock.cli.audit:audit", "See, prove and verify what privilege was used for."),
    "config": Entry("liftlock.cli.config:config", "Configuration as code: check, plan, apply."),
    "access": Entry("liftlock.cli.access:access", "Explain who may do what, and why."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now, or None if there is none of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module_name, _, attribute = entry.target.partition(":")
        try:
            command = getattr(importlib.import_module(module_name), attribute, None)
        except ModuleNotFoundError as error:
            raise UsageError(f"liftlock {cmd_name}: not part of this installation ({error})") from error
        if not isinstance(command, click.Command):
            raise UsageError(f"liftlock {cmd_name}: {entry.target} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--profile", metavar="NAME", help="Credentials from the profile NAME, not from the environment."
)
@click.version_option(package_name="liftlock")
@click.pass_context
def cli(ctx: click.Context, profile: str | None) -> None:
    """Let people and code of low privilege cause privileged things, in a controlled, explained and recorded way.

    Exit status: 0 ok, 1 task failed, 2 usage, 3 denied, 4 waiting for approval, 5 verification failed, 6 timeout,
    7 plan has changes.
    """
    ctx.obj = profile


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; nothing is raised but by ending the process."""
    try:
        result = cli.main(args=list(arguments), prog_name="liftlock", standalone_mode=False)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.Abort:
        click.echo("liftlock: stopped; nothing was done", err=True)
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        if isinstance(error, click.NoSuchOption) and any(_DASHED_ID.match(each) for each in arguments):
            click.echo("An id that begins with - has to stand behind --, at the end.", err=True)
        return Exit.USAGE
    except LiftlockError as error:
        report(error, as_json="--json" in arguments)
        return exit_status(error)
    return result if isinstance(result, int) else Exit.OK


def report(error: LiftlockError, *, as_json: bool) -> None:
    """Write what went wrong to stderr, as JSON if the command was asked for JSON."""
    code = getattr(error, "answered_code", error.code)
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "message": error.message}}), err=True)
    else:
        click.echo(f"liftlock: {code}: {error.message}", err=True)


def main() -> None:
    """Run the command line of this process and end it."""
    try:
        sys.exit(run(sys.argv[1:]))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.FAILED)
