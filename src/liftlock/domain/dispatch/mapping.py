"""Which event starts what, and who may send it: by configuration alone.

Source: docs/reference/dispatch.md#settings
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from liftlock.errors import InputInvalidError

MAX_EVENTS: Final = 200
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.ASCII)
_HOOK = re.compile(r"[a-zA-Z0-9-_]{1,1000}/[a-zA-Z0-9-_/]{1,1000}\Z", re.ASCII)


class DispatchRule(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """An event of this `type`, from one of `senders` (whole client ids), fires `hook` or asks for `operation` at `ref`."""

    type: str
    senders: tuple[str, ...]
    hook: str | None = None
    operation: str | None = None
    ref: str | None = None


class DispatchRefusal(msgspec.Struct, frozen=True):
    """Why an event starts nothing. What the sender is told is the same for all reasons."""

    reason: str


def parse_rules(tables: Sequence[Mapping[str, Any]]) -> tuple[DispatchRule, ...]:
    """Return the rules that the tables `event` state.

    Raises:
        InputInvalidError: a key is unknown or has the wrong form; the message names it.
    """
    try:
        rules = msgspec.convert(list(tables), tuple[DispatchRule, ...])
    except msgspec.ValidationError as error:
        raise InputInvalidError(f"event: {error}") from error
    if len(rules) > MAX_EVENTS:
        raise InputInvalidError(f"event: expected {MAX_EVENTS} at most, got {len(rules)}")
    for rule in rules:
        where = f"event {rule.type[:40]!r}"
        if _TYPE.match(rule.type) is None:
            raise InputInvalidError(f"{where}: expected a type of up to 100 of [A-Za-z0-9._-]")
        if (rule.hook is None) == (rule.operation is None):
            raise InputInvalidError(f"{where}: expected either hook or operation")
        if rule.hook is not None and _HOOK.match(rule.hook) is None:
            raise InputInvalidError(f"{where}.hook: expected GROUP/ID, got {rule.hook[:80]!r}")
        if (rule.ref is None) != (rule.operation is None):
            raise InputInvalidError(f"{where}: an operation needs the branch, as ref, and a hook has none")
        if not rule.senders or any("*" in sender for sender in rule.senders):
            raise InputInvalidError(f"{where}.senders: expected whole client ids, at least one")
    twice = [rule.type for rule in rules if sum(other.type == rule.type for other in rules) > 1]
    if twice:
        raise InputInvalidError(f"event {twice[0][:40]!r}: it is given twice")
    return rules


def rule_for(rules: Sequence[DispatchRule], event_type: str, sender: str) -> DispatchRule | DispatchRefusal:
    """Return what the event of `sender` starts, or why it starts nothing."""
    rule = next((each for each in rules if each.type == event_type), None)
    if rule is None:
        return DispatchRefusal("no such event is configured")
    if sender not in rule.senders:
        return DispatchRefusal("the sender is none of those configured for this event")
    return rule
