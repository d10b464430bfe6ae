"""`liftlock action`: what a push offers, and running it with one's own credentials (A3, A4, A5, A6).

Nothing here protects anything: actions.json is untrusted and the server checks all of it again.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from liftlock.cli.action_offer import load_offer
from liftlock.cli.action_plan import Plan, explain_plan, make_plan, read_input
from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output, printable
from liftlock.cli.waiting import wait_for_task
from liftlock.domain.actions.document import Action

_GROUP = click.argument("group", metavar="GROUP")
_NAME = click.argument("name", metavar="NAME")
_TASK = click.option(
    "--task-id", metavar="ID", help="The task of GROUP to act on; without it, the group itself."
)
_INPUT = click.option(
    "--input",
    "given",
    metavar="JSON|@FILE|-",
    help="The input: JSON or YAML, a file that holds it, or - for standard input. Without it, the schema's defaults.",
)


@click.group()
def action() -> None:
    """List and run in-tree actions. GROUP is a task group: the id of its decision task."""


@action.command()
@_GROUP
@_TASK
@api_command
def ls(api: Api, out: Output, group: str, task_id: str | None) -> None:
    """List the actions that are relevant to a task of GROUP, or to GROUP itself."""
    offer = load_offer(api, group, task_id)
    found = offer.file.relevant(offer.tags)
    rows = [[each.name, each.kind, _permission(each), each.title] for each in found]
    out.data(
        {"taskGroupId": group, "taskId": task_id, "actions": [_wire(each) for each in found]},
        out.table(["name", "kind", "permission", "title"], rows),
    )


@action.command()
@_GROUP
@_NAME
@_TASK
@_INPUT
@click.option("--yes", is_flag=True, help="Run it without asking.")
@click.option(
    "--wait", is_flag=True, help="Wait for the action's task; exit status 1 if it does not complete."
)
@click.option("--timeout", "timeout_s", type=float, default=3600, metavar="SECONDS", help="How long to wait.")
@api_command
def run(
    api: Api,
    out: Output,
    group: str,
    name: str,
    task_id: str | None,
    given: str | None,
    *,
    yes: bool,
    wait: bool,
    timeout_s: float,
) -> int:
    """Run the action NAME, after showing what will run and asking.

    The input is checked by the action's schema; a hook's payload is checked by the server as well, by a schema of its
    own. Exit status 3 if you, the repository, or a consent that is missing stand in the way.
    """
    offer = load_offer(api, group, task_id)
    plan = make_plan(api, offer, name, read_input(given))
    for line in _preview(plan):
        out.progress(line)
    if plan.problem is not None:
        raise plan.problem
    if not yes:
        _confirm()
    created = plan.run(api)
    out.data({"taskId": created}, [created])
    return wait_for_task(api, out, created, timeout_s) if wait else Exit.OK


@action.command()
@_GROUP
@_NAME
@_TASK
@_INPUT
@api_command
def explain(api: Api, out: Output, group: str, name: str, task_id: str | None, given: str | None) -> int:
    """Show what running NAME would do, what it takes, and what is in the way. Runs nothing.

    Exit status 0 if it would run.
    """
    offer = load_offer(api, group, task_id)
    plan = make_plan(api, offer, name, read_input(given))
    answer = explain_plan(plan)
    lines = [f"{plan.action.name}: {plan.action.title} (kind {plan.action.kind})"]
    lines += [f"  {line}" for line in plan.action.description.splitlines()]
    out.data(answer, map(printable, [*lines, *_preview(plan), *_schema_lines(plan.action)]))
    return Exit.OK if plan.problem is None else Exit.DENIED


def _preview(plan: Plan) -> list[str]:
    """Return what will run, for people to read before they agree to it."""
    lines = [f"{plan.action.title}: {plan.what}"]
    if plan.task is not None:
        lines += [
            "the task that would be created:",
            *json.dumps(plan.task, indent=2, ensure_ascii=False).splitlines(),
        ]
        lines += [
            "scopes that the task would have:",
            *(f"  {scope}" for scope in plan.task.get("scopes", [])),
        ]
    lines += [f"note: {note}" for note in plan.notes]
    if plan.problem is not None:
        lines.append(f"in the way: {plan.problem.message}")
    return lines


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise UsageError("nothing was run: add --yes, since there is no terminal to ask on")
    click.confirm("Run this?", abort=True, err=True)


def _schema_lines(found: Action) -> list[str]:
    if found.schema is None:
        return ["input: none"]
    return ["schema of the input:", *json.dumps(found.schema, indent=2, ensure_ascii=False).splitlines()]


def _permission(found: Action) -> str:
    return found.hook_id.partition("/")[0] if found.kind == "hook" else "-"


def _wire(found: Action) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "name": found.name,
        "title": found.title,
        "description": found.description,
        "kind": found.kind,
        "context": list(found.context),
        "schema": found.schema,
    }
    if found.kind == "hook":
        wire |= {"hookGroupId": found.hook_group_id, "hookId": found.hook_id}
    return wire
