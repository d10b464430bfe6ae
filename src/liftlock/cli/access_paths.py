"""`liftlock access paths | reach | who | check`: what somebody reaches by causing things to happen (A16)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from liftlock.cli import access_assertions
from liftlock.cli.access_assertions import Assertions, Never, push_of, start_of
from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import VerificationFailedError
from liftlock.cli.output import Output

_ACTS = {
    "trigger": "triggers the hook {name}",
    "trigger-token": "takes the trigger token of the hook {name}, and fires it",
    "access-token": "gives the client {name} a new access token, and acts as it",
    "push": "pushes, and tasks run with the role {name}",
}
_ARRIVES = {
    "hook": "the task of the hook {name}",
    "client": "the client {name}",
    "push": "a task of that push",
}


def _push_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--push",
        "pushes",
        multiple=True,
        metavar="SCOPE=ROLE",
        help="Take it that whoever holds SCOPE can push so that tasks run with ROLE.",
    )(function)


@click.command()
@click.option(
    "--from",
    "start",
    metavar="WHO",
    help="A client's id, role:ID or scope:SCOPE; without it, yourself.",
)
@click.option("--to", "wanted", required=True, metavar="SCOPE", help="May end in * for anything below it.")
@_push_option
@api_command
def paths(api: Api, out: Output, start: str | None, wanted: str, pushes: tuple[str, ...]) -> int:
    """Show the shortest path by which SCOPE is reached, step by step.

    Exit status 0 if there is one, 3 if there is none.
    """
    payload = _payload(start, map(push_of, pushes))
    answer = api.post("auth", "escalation", "paths", payload={**payload, "to": wanted})
    out.data(answer, _explained(out, _who(answer["from"]), wanted, answer["path"]))
    return Exit.DENIED if answer["path"] is None else Exit.OK


@click.command()
@click.argument("start", required=False, metavar="[WHO]")
@_push_option
@api_command
def reach(api: Api, out: Output, start: str | None, pushes: tuple[str, ...]) -> None:
    """Show everything that WHO (a client's id, role:ID or scope:SCOPE; without it, you) reaches."""
    answer = api.post("auth", "escalation", "reach", payload=_payload(start, map(push_of, pushes)))
    out.data(answer, _reached(out, answer))


@click.command()
@click.argument("scope")
@_push_option
@api_command
def who(api: Api, out: Output, scope: str, pushes: tuple[str, ...]) -> int:
    """Show which clients and roles reach SCOPE, the nearest first.

    Exit status 0 if any does, 3 if none does.
    """
    answer = _ask_who(api, scope, tuple(map(push_of, pushes)))
    out.data(answer, _listed(out, scope, answer))
    return Exit.OK if answer["clients"] or answer["roles"] else Exit.DENIED


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@api_command
def check(api: Api, out: Output, file: Path) -> int:
    """Check FILE (YAML or TOML): what it says must never be reached is not.

    Exit status 5 if something is, with the path.
    """
    given = access_assertions.read(file)
    answers = [(never, list(_violations(api, given, never))) for never in given.never]
    violated = [(never, found) for never, found in answers if found]
    lines: list[str] = []
    for never, found in answers:
        word = out.styled("FAIL", "red") if found else out.styled("ok  ", "green")
        lines.append(f"{word} never from {never.start} to {never.to}")
        for name, path in found:
            lines += [f"     {line}" for line in _explained(out, name, never.to, path)]
    value = {
        "checked": len(answers),
        "violations": [
            {"from": never.start, "to": never.to, "who": name, "path": path}
            for never, found in violated
            for name, path in found
        ],
    }
    out.data(value, lines)
    return Exit.VERIFICATION_FAILED if violated else Exit.OK


def _violations(api: Api, given: Assertions, never: Never) -> Iterator[tuple[str, dict[str, Any]]]:
    beginning = never.clients
    if beginning is None:
        payload = {**_payload(never.start, given.pushes), "to": never.to}
        answer = api.post("auth", "escalation", "paths", payload=payload)
        if answer["path"] is not None:
            yield _who(answer["from"]), answer["path"]
        return
    answer = _ask_who(api, never.to, given.pushes)
    if answer["truncated"]:
        raise VerificationFailedError(
            f"never from {never.start} to {never.to}: more clients or roles reach it than one answer holds"
        )
    for client in answer["clients"]:
        name = client["clientId"]
        if name.startswith(beginning) and name not in never.excepted:
            yield name, client["path"]


def _payload(start: str | None, pushes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = {} if start is None else {"from": start_of(start)}
    given = list(pushes)
    if given:
        payload["pushes"] = given
    return payload


def _ask_who(api: Api, scope: str, pushes: tuple[dict[str, str], ...]) -> Any:
    return api.post("auth", "escalation", "who", payload={**_payload(None, pushes), "to": scope})


def _who(start: dict[str, Any]) -> str:
    if "roleId" in start:
        return f"who has the role {start['roleId']}"
    if "scopes" in start:
        return f"who holds {', '.join(start['scopes'])}"
    return str(start["clientId"])


def _steps(count: int) -> str:
    return f"{count} step" + ("" if count == 1 else "s")


def _explained(out: Output, name: str, wanted: str, path: dict[str, Any] | None) -> Iterator[str]:
    """Yield the path in plain words: what is done, by which scope, and what that gives in the end."""
    title = out.styled(name, "bold")
    if path is None:
        yield f"{title}: no path leads to {out.styled(wanted, 'bold')}"
        return
    steps = path["steps"]
    if not steps:
        yield f"{title}: holds {out.styled(path['given'], 'bold')} without any step"
        return
    yield f"{title}: reaches {out.styled(wanted, 'bold')} in {_steps(len(steps))}"
    actor = name
    for number, step in enumerate(steps, 1):
        yield f"  {number}. {out.styled(actor, 'dim')} {_ACTS[step['means']].format(name=step['name'])}"
        yield f"     this needs {out.styled(step['needed'], 'dim')}"
        yield f"     and it holds {out.styled(step['held'], 'dim')}"
        actor = _ARRIVES[step["kind"]].format(name=step["name"])
    yield f"  {out.styled(actor, 'dim')} holds {out.styled(path['given'], 'bold')}"


def _reached(out: Output, answer: dict[str, Any]) -> Iterator[str]:
    places = answer["places"]
    yield f"{out.styled(_who(answer['from']), 'bold')}: reaches {len(places)} further place" + (
        "" if len(places) == 1 else "s"
    )
    for place in places:
        steps = place["steps"]
        last = steps[-1]
        yield f"  {_steps(len(steps))}: {last['kind']} {out.styled(last['name'], 'bold')} (by {last['means']})"
    yield "  all scopes there and at the start:"
    yield from (f"    {out.styled(scope, 'dim')}" for scope in answer["scopes"])
    if answer["placesNotShown"]:
        yield f"  and those of {answer['placesNotShown']} places, which you may not see"
    if answer["truncated"]:
        yield "  and more than one answer holds"


def _listed(out: Output, scope: str, answer: dict[str, Any]) -> Iterator[str]:
    if not answer["clients"] and not answer["roles"]:
        yield f"nobody reaches {out.styled(scope, 'bold')}"
    for kind, key in (("client", "clientId"), ("role", "roleId")):
        for one in answer[f"{kind}s"]:
            steps = one["path"]["steps"]
            way = " > ".join(f"{step['kind']} {step['name']}" for step in steps)
            shown = f"{_steps(len(steps))}: {way}" if steps else "holds it"
            yield f"{kind} {out.styled(one[key], 'bold')}  {shown}"
    if answer["truncated"]:
        yield "and more than one answer holds"
