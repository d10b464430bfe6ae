"""`liftlock hook`: see hooks, what they would do, what they did, and fire them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output, printable

_NAME = click.argument("name", metavar="GROUP/HOOK")


@click.group()
def hook() -> None:
    """See, simulate and trigger hooks."""


def _payload_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--payload", default="{}", metavar="JSON|@FILE", help="The payload: JSON, or a file that holds it."
    )(function)


@hook.command()
@click.argument("group", required=False)
@api_command
def ls(api: Api, out: Output, group: str | None) -> None:
    """List the hooks of GROUP, or of all groups."""
    groups = [group] if group is not None else api.get("hooks", "hooks")["groups"]
    hooks = [found for name in groups for found in api.get("hooks", "hooks", name)["hooks"]]
    rows = [
        [
            f"{found['hookGroupId']}/{found['hookId']}",
            "; ".join(found["schedule"]) or "-",
            found["metadata"]["name"],
        ]
        for found in hooks
    ]
    out.data(hooks, out.table(["hook", "schedule", "name"], rows))


@hook.command()
@_NAME
@api_command
def show(api: Api, out: Output, name: str) -> None:
    """Show the definition of a hook."""
    found = api.get("hooks", "hooks", *_split(name))
    out.data(found, [json.dumps(found, indent=2, ensure_ascii=False)])


@hook.command()
@_NAME
@_payload_option
@api_command
def simulate(api: Api, out: Output, name: str, payload: str) -> int:
    """Show the task that firing a hook would create, and whether its role may. Nothing is created.

    Exit status 0 if it would fire, 3 if something is in the way.
    """
    found = api.post("hooks", "hooks", *_split(name), "simulate", payload=_payload(payload))
    out.data(found, _simulated(out, found))
    return Exit.OK if found["problem"] is None else Exit.DENIED


def _simulated(out: Output, found: dict[str, Any]) -> Iterator[str]:
    if found["task"] is not None:
        yield json.dumps(found["task"], indent=2, ensure_ascii=False)
    if found["problem"] is not None:
        yield f"{out.styled('would fail', 'red')} ({found['code']}): {printable(found['problem'])}"
    elif found["task"] is None:
        yield "the template renders to nothing: no task would be created"
    else:
        yield f"{out.styled('would fire', 'green')} with the role {printable(found['role'])}"
    if not found["mayTrigger"]:
        yield "you may not trigger this hook"


@hook.command()
@_NAME
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many at most."
)
@api_command
def fires(api: Api, out: Output, name: str, limit: int) -> None:
    """List who fired a hook, when, and what came of it; the newest first."""
    answer = api.get("hooks", "hooks", *_split(name), "last-fires", query={"limit": str(limit)})
    rows = [
        [
            fire["taskCreateTime"],
            fire["firedBy"],
            fire["actor"],
            fire["result"],
            fire["taskId"] if fire["result"] == "success" else fire["error"][:100],
        ]
        for fire in answer["lastFires"]
    ]
    out.data(answer["lastFires"], out.table(["when", "fired by", "who", "result", "task"], rows))


@hook.command()
@_NAME
@_payload_option
@click.option("--token", metavar="TOKEN", help="Fire by the hook's trigger token, not by your scopes.")
@api_command
def trigger(api: Api, out: Output, name: str, payload: str, token: str | None) -> None:
    """Fire a hook, and show the task that it created."""
    way = ["trigger"] if token is None else ["trigger", token]
    answer = api.post("hooks", "hooks", *_split(name), *way, payload=_payload(payload))
    line = answer["taskId"] if answer else "the template rendered to nothing: no task was created"
    out.data(answer, [line])


def _split(name: str) -> tuple[str, str]:
    group, slash, hook_id = name.partition("/")
    if not (group and slash and hook_id):
        raise UsageError(f"expected GROUP/HOOK, got {name!r}")
    return group, hook_id


def _payload(text: str) -> Any:
    """Return the JSON that `text` holds, or the file that it names with a leading `@`."""
    try:
        content = Path(text[1:]).read_text() if text.startswith("@") else text
        return json.loads(content)
    except OSError as error:
        raise UsageError(f"--payload: {text[1:]}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--payload: expected JSON: {error}") from error
