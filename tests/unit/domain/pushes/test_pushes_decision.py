"""The decision task is the one task that `.taskcluster.yml` renders to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.domain.pushes.config_file import parse_config
from liftlock.domain.pushes.decision import decision_task
from liftlock.domain.templates.template import compile_template
from liftlock.errors import InputInvalidError, TemplateRefusedError

OWN = "fN1SbArXTPSVFNUvaOlinQ"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def _decide(tasks: str, **context: Any) -> dict[str, Any] | None:
    file = parse_config(f"version: 1\ntasks: {tasks}".encode())
    return decision_task(file, {"ownTaskId": OWN, "tasks_for": "github-push", **context}, now=NOW)


def test_the_rendered_task_starts_its_own_group_and_gets_times_where_it_has_none() -> None:
    assert _decide('[{taskId: "${ownTaskId}", payload: {for: "${tasks_for}"}}]') == {
        "taskGroupId": OWN,
        "payload": {"for": "github-push"},
        "created": "2026-01-02T00:00:00.000Z",
        "deadline": "2026-01-03T00:00:00.000Z",
        "expires": "2026-02-02T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    "tasks", ["[]", "[{$if: \"tasks_for == 'action'\", then: {}}]", "{$if: 'false', then: []}"]
)
def test_a_file_may_want_no_task_for_a_push(tasks: str) -> None:
    assert _decide(tasks) is None


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("[{}, {}]", "expected one decision task at most, rendered 2"),
        ("text", "expected a list once rendered, got str"),
        ("[text]", r"tasks\[0\]: expected a task, got str"),
        ("[{taskId: VGhpcyBpcyBhbm90aGVyLg}]", "expected ownTaskId or nothing"),
        ("[{taskGroupId: VGhpcyBpcyBhbm90aGVyLg}]", "starts its own group"),
    ],
)
def test_what_is_not_one_task_of_its_own_group_is_refused(tasks: str, message: str) -> None:
    with pytest.raises(InputInvalidError, match=message):
        _decide(tasks)


def test_a_mistake_in_the_template_names_the_place() -> None:
    with pytest.raises(TemplateRefusedError, match="nowhere"):
        _decide('["${nowhere}"]')


@pytest.mark.parametrize("label", ["decision", "decision_task", "any"])
def test_as_slugid_is_the_decision_tasks_own_id_by_whatever_label(label: str) -> None:
    task = _decide(f"[{{taskId: '${{as_slugid(\"{label}\")}}', x: '${{as_slugid(\"{label}\")}}'}}]")
    assert task is not None
    assert task["x"] == OWN


@pytest.mark.parametrize("call", ["as_slugid()", "as_slugid(1)", "as_slugid('a', 'b')"])
def test_as_slugid_takes_one_label(call: str) -> None:
    with pytest.raises(TemplateRefusedError, match="as_slugid"):
        _decide(f'["${{{call}}}"]')


def test_as_slugid_needs_a_decision_tasks_context() -> None:
    with pytest.raises(TemplateRefusedError, match="there is no ownTaskId here"):
        compile_template("${as_slugid('a')}").render({}, now=NOW)
