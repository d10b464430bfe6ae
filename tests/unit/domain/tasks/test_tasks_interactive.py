"""Interactive tasks: which task may have a shell."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.tasks.interactive import is_interactive, why_not

HARMLESS: dict[str, Any] = {
    "scopes": ["pushes:get-source:widget", "queue:get-artifact:public/x"],
    "api_proxy": False,
    "network_open": False,
    "caches": False,
    "commands": 1,
}


def test_a_task_that_can_do_nothing_may_have_a_shell() -> None:
    assert why_not(**HARMLESS) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scopes": ["pushes:get-source:widget", "secrets:get:x"]}, "found secrets:get:x"),
        ({"scopes": ["*"]}, "found *"),
        ({"scopes": ["queue:*"]}, "found queue:*"),
        ({"scopes": ["queue:get-artifact*"]}, "found queue:get-artifact*"),
        ({"api_proxy": True}, "expected no taskclusterProxy beside it"),
        ({"network_open": True}, "expected a closed network"),
        ({"caches": True}, "expected no caches"),
        ({"commands": 2}, "expected one command, the shell, found 2"),
    ],
)
def test_whatever_it_could_do_keeps_it_from_having_one(changes: dict[str, Any], why: str) -> None:
    said = why_not(**{**HARMLESS, **changes})
    assert said is not None
    assert said.startswith("features.shell: ")
    assert why in said


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"features": {"shell": True}}, True),
        ({"features": {"shell": False}}, False),
        ({"features": {"shell": 1}}, False),
        ({"features": []}, False),
        ({}, False),
        (None, False),
        ("shell", False),
    ],
)
def test_what_asks_for_a_shell_is_told_from_any_payload(payload: Any, found: bool) -> None:
    assert is_interactive(payload) is found
