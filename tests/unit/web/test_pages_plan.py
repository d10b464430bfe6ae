"""A plan that somebody brings is read strictly, and is told from one that was changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from liftlock.domain.configuration.difference import Applied, plan
from liftlock.domain.configuration.resources import Key, Managed, Resource
from liftlock.domain.configuration.shown import plan_wire
from liftlock.errors import InputInvalidError
from liftlock.web.pages.configuration import read_plan

ROLE = Key("Role", "x")


def made() -> dict[str, Any]:
    """Return a plan as the command line writes it."""
    wanted = Resource(ROLE, {"scopes": ["a:b"], "description": "d"}, None)
    return plan_wire(plan({ROLE: wanted}, Applied(), {}, Managed(["*"])))


def test_what_the_command_line_writes_is_read_whole() -> None:
    found, is_whole = read_plan(json.dumps(made(), indent=2))
    assert is_whole
    [change] = found.changes
    assert (change.change, change.resource) == ("create", "Role=x")
    assert change.widens
    assert '"a:b"' in change.becomes


def test_a_change_that_was_left_out_afterwards_is_found() -> None:
    assert read_plan(json.dumps({**made(), "changes": []}))[1] is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"digest": "x"}',
        json.dumps({"digest": "x", "changes": [{}]}),
        "\ud800",
        "[" * 9_999,
    ],
)
def test_what_is_no_plan_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(InputInvalidError, match="liftlock config plan FOLDER --json"):
        read_plan(text)
