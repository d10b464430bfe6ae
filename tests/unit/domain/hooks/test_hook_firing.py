"""What one fire renders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hook_builders import GROUP, HOOK, NOW, TASK, hook_body
from liftlock.domain.hooks.definition import CompiledHook, compile_hook, define_hook
from liftlock.domain.hooks.firing import Trigger, context_of, render_task, wished_task_id
from liftlock.errors import TemplateRefusedError
from task_builders import task_id

TASK_ID = task_id(1)


def _hook(task: dict[str, Any]) -> CompiledHook:
    return compile_hook(define_hook(GROUP, HOOK, hook_body(task=task)))


def test_a_task_gets_its_defaults() -> None:
    rendered = render_task(_hook(TASK), Trigger("triggerHook", NOW, {}, "alice"), TASK_ID)
    assert rendered is not None
    assert rendered["created"] == "2026-03-01T12:00:00.000Z"
    assert rendered["deadline"] == "2026-03-02T12:00:00.000Z"
    assert rendered["expires"] == "2026-03-31T12:00:00.000Z"
    assert rendered["taskGroupId"] == TASK_ID
    assert rendered["metadata"]["name"] == "built by triggerHook"


def test_what_the_template_says_wins_over_defaults() -> None:
    given = {"taskGroupId": "x", "created": {"$fromNow": "1 hour"}, "deadline": "d", "expires": "e"}
    rendered = render_task(_hook(given), Trigger("triggerHook", NOW, {}), TASK_ID)
    assert rendered == {
        "taskGroupId": "x",
        "created": "2026-03-01T13:00:00.000Z",
        "deadline": "d",
        "expires": "e",
    }


def test_a_trigger_shows_payload_client_task_id_and_time() -> None:
    assert context_of(Trigger("triggerHook", NOW, {"a": 1}, "alice"), TASK_ID) == {
        "firedBy": "triggerHook",
        "taskId": TASK_ID,
        "now": "2026-03-01T12:00:00.000Z",
        "payload": {"a": 1},
        "clientId": "alice",
    }


def test_a_trigger_by_token_shows_no_client() -> None:
    assert "clientId" not in context_of(Trigger("triggerHookWithToken", NOW, {}, "alice"), TASK_ID)


def test_a_schedule_shows_no_payload_and_counts_from_its_own_time() -> None:
    at = NOW - timedelta(minutes=3)
    context = context_of(Trigger("schedule", at), TASK_ID)
    assert context == {"firedBy": "schedule", "taskId": TASK_ID, "now": "2026-03-01T11:57:00.000Z"}
    rendered = render_task(_hook({"t": {"$fromNow": ""}}), Trigger("schedule", at), TASK_ID)
    assert rendered is not None
    assert rendered["t"] == rendered["created"] == "2026-03-01T11:57:00.000Z"


@pytest.mark.parametrize(
    "task", [{"$if": "firedBy == 'schedule'", "then": {"a": 1}}, {"$eval": "{}"}, {"$eval": "null"}]
)
def test_what_renders_to_nothing_is_no_task(task: dict[str, Any]) -> None:
    assert render_task(_hook(task), Trigger("triggerHook", NOW, {}), TASK_ID) is None


def test_what_renders_to_no_object_is_refused() -> None:
    with pytest.raises(TemplateRefusedError, match="renders to a list"):
        render_task(_hook({"$eval": "[1]"}), Trigger("triggerHook", NOW, {}), TASK_ID)


@pytest.mark.parametrize(
    ("payload", "wished"),
    [
        ({"taskId": TASK_ID}, TASK_ID),
        ({"taskId": "no slugid"}, None),
        ({"taskId": TASK_ID + "\n"}, None),
        ({"taskId": 7}, None),
        ({"user": {"taskId": TASK_ID}}, None),
        ({}, None),
        ([TASK_ID], None),
        (None, None),
    ],
)
def test_a_payload_wishes_for_a_task_id_only_at_its_top(payload: Any, wished: str | None) -> None:
    assert wished_task_id(payload) == wished
