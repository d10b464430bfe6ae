"""Where searches start, and a path in plain words, step by step.

Source: docs/reference/access.md#escalation-paths
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from liftlock.domain.configuration.generate_roles import path_of
from liftlock.domain.configuration.resources import by_kind
from liftlock.domain.configuration.whole import Whole, group_scope, projects_at
from liftlock.domain.scopes.escalation import Hunt, Reached, given_of
from liftlock.domain.scopes.roles import ANONYMOUS, ASSUME

_ACTS: Final = {
    "trigger": "triggers the hook {name}",
    "trigger-token": "takes the trigger token of the hook {name}, and fires it",
    "access-token": "gives the client {name} a new access token, and acts as it",
    "push": "pushes, and tasks run with the role {name}",
}
_ARRIVES: Final = {
    "hook": "the task of the hook {name}",
    "client": "the client {name}",
    "push": "a task of that push",
}


@dataclass(frozen=True, slots=True)
class Start:
    """From where to search: who, and the scopes that he holds, unexpanded."""

    who: str
    scopes: tuple[str, ...]
    client: str = ""


def starts(whole: Whole, text: str) -> tuple[Start, ...] | None:
    """Return whom `text` means, or None if there is nobody of that name.

    `level:1` (whoever pushes at that level and no higher one), `group:<name>`, `role:<id>`, `scope:<scope>`, or a client's
    id, which may end in `*`.
    """
    kind, _, name = text.partition(":")
    if kind == "level" and name in {"1", "2", "3"}:
        return tuple(of_level(whole, int(name)))
    if kind == "group":
        return (
            (Start(f"group {name}", (group_scope(name), ANONYMOUS)),) if name in whole.folder.groups else None
        )
    if kind == "role":
        return (Start(f"who has the role {name}", (ASSUME + name, ANONYMOUS)),)
    if kind == "scope":
        return (Start(f"who holds {name}", (name, ANONYMOUS)),)
    wanted = text.removeprefix("client:")
    found = tuple(
        Start(each.key.id, (*each.scopes, ANONYMOUS), each.key.id)
        for each in by_kind(whole.files, "Client")
        if each.key.id == wanted or (wanted.endswith("*") and each.key.id.startswith(wanted[:-1]))
    )
    return found or (() if wanted.endswith("*") else None)


def of_level(whole: Whole, level: int) -> Iterator[Start]:
    """Yield the repositories of that level, and the groups that may push there and no higher."""
    for project in projects_at(whole.folder, level):
        path = path_of(project.said)
        role = path if path.endswith("*") else f"{path}:*"
        yield Start(f"a task of {project.name}", (f"{ASSUME}repo:{role}", ANONYMOUS))
    for name, group in whole.folder.groups.items():
        if group.said.push_levels and max(group.said.push_levels) == level:
            yield Start(f"group {name}", (group_scope(name), ANONYMOUS))


def first_path(whole: Whole, found: Iterable[Start], wanted: str, excepted: Iterable[str] = ()) -> str | None:
    """Return the first path from one of the starts to anything of `wanted`, in words, or None."""
    hunt = Hunt(whole.graph)
    left_out = set(excepted)
    for start in found:
        if start.who in left_out:
            continue
        for reached in hunt.walk(start.scopes, name=start.client):
            given = given_of(reached.scopes, wanted)
            if given is not None:
                return explained(start.who, wanted, reached, given)
    return None


def explained(who: str, wanted: str, reached: Reached, given: str) -> str:
    """Return the path in words: what is done, by which scope, and what that gives in the end."""
    if not reached.steps:
        return f"{who}: holds {given} without any step"
    count = len(reached.steps)
    lines = [f"{who}: reaches {wanted} in {count} step{'' if count == 1 else 's'}"]
    actor = who
    for number, step in enumerate(reached.steps, 1):
        name = step.place.name
        lines.append(f"  {number}. {actor} {_ACTS[step.means].format(name=name)}")
        lines.append(f"     this needs {step.needed}")
        lines.append(f"     and it holds {step.held}")
        actor = _ARRIVES[step.place.kind].format(name=name)
    return "\n".join([*lines, f"  {actor} holds {given}"])
