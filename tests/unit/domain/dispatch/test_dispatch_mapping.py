"""Configuration alone says who may send which event, and what it starts."""

from __future__ import annotations

import pytest

from liftlock.domain.dispatch.mapping import DispatchRefusal, parse_rules, rule_for
from liftlock.errors import InputInvalidError

HOOK = {"type": "nightly", "senders": ["bots/a", "bots/b"], "hook": "widget/nightly"}
OPERATION = {"type": "format", "senders": ["bots/a"], "operation": "format-widget", "ref": "main"}
RULES = parse_rules([HOOK, OPERATION])


def test_a_configured_sender_finds_the_rule() -> None:
    assert rule_for(RULES, "nightly", "bots/b") == RULES[0]
    assert rule_for(RULES, "format", "bots/a") == RULES[1]


@pytest.mark.parametrize(
    ("event", "sender", "reason"),
    [
        ("format", "bots/b", "the sender is none of those configured for this event"),
        ("format", "bots/a/x", "the sender is none of those configured for this event"),
        ("format", "", "the sender is none of those configured for this event"),
        ("Format", "bots/a", "no such event is configured"),
    ],
)
def test_everybody_and_everything_else_is_refused(event: str, sender: str, reason: str) -> None:
    assert rule_for(RULES, event, sender) == DispatchRefusal(reason)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (HOOK | {"type": "a b"}, "event 'a b': expected a type of up to 100 of [A-Za-z0-9._-]"),
        (HOOK | {"operation": "x"}, "event 'nightly': expected either hook or operation"),
        (HOOK | {"hook": "x"}, "event 'nightly'.hook: expected GROUP/ID, got 'x'"),
        (
            HOOK | {"ref": "main"},
            "event 'nightly': an operation needs the branch, as ref, and a hook has none",
        ),
        (HOOK | {"senders": []}, "event 'nightly'.senders: expected whole client ids, at least one"),
        (HOOK | {"senders": ["bots/*"]}, "event 'nightly'.senders: expected whole client ids, at least one"),
        (HOOK | {"sender": "x"}, "event: Object contains unknown field `sender` - at `$[0]`"),
    ],
)
def test_a_rule_of_another_form_is_refused_with_where(table: dict[str, object], said: str) -> None:
    with pytest.raises(InputInvalidError) as refused:
        parse_rules([table])
    assert refused.value.message == said


def test_a_type_is_given_once() -> None:
    with pytest.raises(InputInvalidError, match="event 'nightly': it is given twice"):
        parse_rules([HOOK, HOOK])
