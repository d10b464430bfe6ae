"""`liftlock config`: the whole privilege structure as a folder of files, seen before it applies (E4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command, json_option
from liftlock.cli.config_export import export, import_
from liftlock.cli.config_run import Intent, apply_plan, failed_checks, is_there, read_both, read_intent
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import VerificationFailedError
from liftlock.cli.output import Output, printable
from liftlock.domain.configuration.page import page
from liftlock.domain.configuration.shown import lines, plan_wire

_STYLES = {"widens": "red", "narrows": "green", "drift": "yellow", "title": "bold", "plain": "dim"}
_FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))


@click.group()
def config() -> None:
    """Check, plan and apply the configuration: projects, grants, hooks, clients, pools."""


config.add_command(export)
config.add_command(import_)


@config.command()
@_FOLDER
@json_option
def check(out: Output, folder: Path) -> int:
    """Check the files in FOLDER, and the whole that they make. Asks no server.

    Exit status 2 if they make no sense, 5 if a check fails.
    """
    intent = read_intent(folder)
    return _report_checks(out, intent)


def _report_checks(out: Output, intent: Intent) -> int:
    found = failed_checks(intent)
    text = [
        line
        for name, problems in found.items()
        for line in [
            f"{out.styled('FAIL', 'red') if problems else out.styled('ok  ', 'green')} {name}",
            *(f"     {printable(part)}" for problem in problems for part in str(problem).splitlines()),
        ]
    ]
    value = {
        "resources": len(intent.files),
        "checks": [{"check": name, "problems": list(map(str, problems))} for name, problems in found.items()],
    }
    out.data(value, [*text, f"{len(intent.files)} resources"])
    return Exit.VERIFICATION_FAILED if any(found.values()) else Exit.OK


@config.command()
@_FOLDER
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the plan as one HTML page as well."
)
@api_command
def plan(api: Api, out: Output, folder: Path, html: Path | None) -> int:
    """Show what applying FOLDER would change, widening first.

    Exit status 7 if there are changes, 0 if there are none.
    """
    intent, made = read_both(api, folder)
    _expect_checked(intent)
    if html is not None:
        html.write_text(page(intent.name, made.plan), encoding="utf-8")
    out.data(plan_wire(made.plan), _shown(out, made.plan))
    if made.unfinished:
        out.progress(f"an apply that {made.begun} has not ended")
    return Exit.PLAN_HAS_CHANGES if made.plan.changes else Exit.OK


@config.command()
@_FOLDER
@click.option("--yes", is_flag=True, help="Do not ask before anything is changed.")
@click.option(
    "--expect", metavar="DIGEST", help="Apply only if the plan has this digest, as `config plan` shows it."
)
@click.option(
    "--resume", is_flag=True, help="Go on where an apply, of yours or somebody else's, has stopped."
)
@click.option(
    "--new-tokens",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the access tokens of new clients to this new file (mode 0600). Without it nobody learns them.",
)
@api_command
def apply(
    api: Api,
    out: Output,
    folder: Path,
    expect: str | None,
    new_tokens: Path | None,
    *,
    yes: bool,
    resume: bool,
) -> int:
    """Make the server what FOLDER says, where FOLDER manages it.

    No moment has more privilege than before or after. Stopped anywhere, it goes on with --resume. Where nothing would
    change, no check runs.
    """
    intent, made = read_both(api, folder)
    nothing_to_do = is_there(intent, made)
    if not nothing_to_do:
        _expect_checked(intent)
    made.expect(expect, resume=resume)
    for line in _shown(out, made.plan):
        out.progress(line)
    if made.plan.changes and not yes:
        click.confirm("Apply this?", abort=True, err=True)
    done = 0 if nothing_to_do else apply_plan(api, out, intent, made, new_tokens)
    value: dict[str, Any] = {
        "applied": done,
        "digest": plan_wire(made.plan)["digest"],
        "version": made.version,
    }
    out.data(value, [f"applied {done} step{'' if done == 1 else 's'}" if done else "nothing to do"])
    return Exit.OK


def _expect_checked(intent: Intent) -> None:
    failed = [str(problem) for problems in failed_checks(intent).values() for problem in problems]
    if failed:
        raise VerificationFailedError("\n".join(["a check fails:", *failed]))


def _shown(out: Output, plan: Any) -> list[str]:
    return [out.styled(text, _STYLES[style]) for style, text in lines(plan)]
