"""`public/actions.json`, version 1: what a decision task offers. It is untrusted: it grants nothing.

Source: docs/reference/actions.md#actions-json
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from liftlock.errors import InputInvalidError
from liftlock.values.json import decode

ARTIFACT: Final = "public/actions.json"
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_ACTIONS: Final = 1_000


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One offer. `context` lists tag sets: empty means the whole group, `{}` in it means every task."""

    name: str
    title: str
    description: str
    context: tuple[dict[str, str], ...]
    kind: Literal["task", "hook"]
    schema: Any = None
    """JSON Schema of the input; documentation for people, no protection. None: the action takes no input."""
    task: Any = None
    """Template of the task, for kind `task`."""
    hook_group_id: str = ""
    hook_id: str = ""
    hook_payload: Any = None
    """Template of the payload, for kind `hook`."""

    def applies_to(self, tags: Mapping[str, str] | None) -> bool:
        """Tell whether the action is relevant to a task with `tags`, or to the group if `tags` is None."""
        if tags is None:
            return not self.context
        return any(all(tags.get(key) == value for key, value in wanted.items()) for wanted in self.context)


class ActionsFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file: variables for the templates, and the actions in order."""

    variables: dict[str, Any]
    actions: tuple[Action, ...]

    def relevant(self, tags: Mapping[str, str] | None) -> tuple[Action, ...]:
        """Return what a menu shows for a task with `tags` (None: for the group): of each name the first match, in order."""
        found: dict[str, Action] = {}
        for action in self.actions:
            if action.applies_to(tags):
                found.setdefault(action.name, action)
        return tuple(found.values())

    def only(self, name: str, tags: Mapping[str, str] | None) -> Action:
        """Return the one relevant action called `name`, for a button made for it.

        Raises:
            InputInvalidError: there is none, or more than one; the message lists what there is.
        """
        found = [action for action in self.actions if action.name == name and action.applies_to(tags)]
        where = "the task group" if tags is None else "this task"
        if not found:
            known = ", ".join(action.name for action in self.relevant(tags)) or "none"
            raise InputInvalidError(f"no action {name!r} for {where}; there are: {known}")
        if len(found) > 1:
            raise InputInvalidError(
                f"{len(found)} actions are called {name!r} for {where}: which one is meant is not clear"
            )
        return found[0]


class _Action(msgspec.Struct, rename="camel"):
    """The wire form of one action, as far as it is read."""

    name: str
    title: str
    kind: str
    description: str = ""
    context: list[dict[str, str]] = []
    schema: Any = None
    task: Any = None
    hook_group_id: str = ""
    hook_id: str = ""
    hook_payload: Any = None


class _File(msgspec.Struct):
    version: Literal[1]
    actions: list[dict[str, Any]]
    variables: dict[str, Any] = {}


def parse_actions(raw: bytes) -> ActionsFile:
    """Return the offer; actions of kinds that we don't know are left out.

    Raises:
        MalformedPayloadError, InputInvalidError: it is none, or too large; the message says where.
    """
    if len(raw) > MAX_BYTES:
        raise InputInvalidError(f"{ARTIFACT}: {len(raw)} bytes, expected at most {MAX_BYTES}")
    try:
        file = msgspec.convert(decode(raw, what=ARTIFACT), _File)
        if len(file.actions) > MAX_ACTIONS:
            raise InputInvalidError(
                f"{ARTIFACT}: {len(file.actions)} actions, expected at most {MAX_ACTIONS}"
            )
        known = [
            msgspec.convert(each, _Action) for each in file.actions if each.get("kind") in ("task", "hook")
        ]
    except msgspec.ValidationError as error:
        raise InputInvalidError(f"{ARTIFACT}: {error}") from error
    return ActionsFile(variables=file.variables, actions=tuple(map(_action, known)))


def _action(wire: _Action) -> Action:
    if wire.kind == "hook":
        if not wire.hook_group_id or not wire.hook_id:
            raise InputInvalidError(f"{ARTIFACT}: action {wire.name!r}: expected hookGroupId and hookId")
        return Action(
            name=wire.name,
            title=wire.title,
            description=wire.description,
            context=tuple(wire.context),
            kind="hook",
            schema=wire.schema,
            hook_group_id=wire.hook_group_id,
            hook_id=wire.hook_id,
            hook_payload=wire.hook_payload,
        )
    if not isinstance(wire.task, dict):
        raise InputInvalidError(f"{ARTIFACT}: action {wire.name!r}: expected task to be an object")
    return Action(
        name=wire.name,
        title=wire.title,
        description=wire.description,
        context=tuple(wire.context),
        kind="task",
        schema=wire.schema,
        task=wire.task,
    )
