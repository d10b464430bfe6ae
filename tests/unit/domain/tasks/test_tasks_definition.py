"""What a task definition must be, and what it is completed with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.scopes.satisfaction import ScopeSet, decide
from liftlock.domain.tasks.definition import PRIORITIES, define
from liftlock.domain.tasks.requirements import at_priority, to_change_priority, to_create
from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.values.instants import format_instant
from task_builders import NOW, document, task_id

ID = task_id(1)


def test_absent_fields_get_their_documented_defaults() -> None:
    found = define(ID, document(schedulerId=None, expires=None), NOW).document
    assert found["schedulerId"] == "-"
    assert found["projectId"] == "none"
    assert found["priority"] == "lowest"
    assert found["retries"] == 5
    assert found["requires"] == "all-completed"
    assert found["taskGroupId"] == ID
    assert found["dependencies"] == found["routes"] == found["scopes"] == []
    assert found["tags"] == found["extra"] == {}
    assert found["expires"] == format_instant(NOW + timedelta(hours=1, days=365))


def test_a_queue_may_be_named_by_provisioner_and_worker_type() -> None:
    found = define(ID, document(taskQueueId=None, provisionerId="aws", workerType="linux"), NOW)
    assert found.task_queue_id == "aws/linux"
    assert found.document["taskQueueId"] == "aws/linux"
    assert (found.document["provisionerId"], found.document["workerType"]) == ("aws", "linux")


def test_created_is_accepted_at_exactly_fifteen_minutes_from_now() -> None:
    for offset in (timedelta(minutes=15), timedelta(minutes=-15)):
        define(ID, document(created=format_instant(NOW + offset)), NOW)


def test_a_deadline_is_accepted_at_exactly_five_days() -> None:
    define(ID, document(deadline=format_instant(NOW + timedelta(days=5)), expires=None), NOW)


def test_expires_may_equal_the_deadline() -> None:
    same = format_instant(NOW + timedelta(hours=1))
    define(ID, document(deadline=same, expires=same), NOW)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"taskQueueId": None}, "taskQueueId: missing"),
    ({"provisionerId": "aws"}, "both or neither"),
    ({"provisionerId": "aws", "workerType": "x"}, "contradicts"),
    (
        {"created": format_instant(NOW + timedelta(minutes=15, milliseconds=1))},
        "created: .* more than 15 minutes",
    ),
    (
        {"created": format_instant(NOW - timedelta(minutes=15, milliseconds=1))},
        "created: .* more than 15 minutes",
    ),
    ({"deadline": format_instant(NOW)}, "deadline: .* after created"),
    ({"created": format_instant(NOW - timedelta(minutes=9)), "deadline": format_instant(NOW)}, "has passed"),
    (
        {"deadline": format_instant(NOW + timedelta(days=5, milliseconds=1)), "expires": None},
        "more than 5 days",
    ),
    ({"expires": format_instant(NOW + timedelta(minutes=59))}, "expires: .* before the deadline"),
    ({"dependencies": ["nonsense"]}, "dependencies: expected slugids"),
    ({"dependencies": [task_id(2), task_id(2)]}, "at most once"),
    ({"taskGroupId": "nonsense"}, "taskGroupId"),
    ({"routes": ["a", "a"]}, "routes: .* at most once"),
    ({"scopes": ["abc**"]}, "ends in \\*\\*"),
    (
        {"metadata": {"name": "n", "description": "d", "owner": "o", "source": "file:///etc/passwd"}},
        "metadata.source",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_contradictions_are_refused_with_the_field_and_the_expectation(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputInvalidError, match=message):
        define(ID, document(**change), NOW)


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"metadata": None}, "metadata"),
    ({"surprise": 1}, "surprise"),
    ({"retries": 50}, r"\$\.retries"),
    ({"retries": -1}, r"\$\.retries"),
    ({"routes": ["x"] * 65}, r"\$\.routes"),
    ({"routes": ["x" * 250]}, r"\$\.routes\[0\]"),
    ({"routes": [""]}, r"\$\.routes\[0\]"),
    ({"dependencies": ["x"] * 10_001}, r"\$\.dependencies"),
    ({"priority": "urgent"}, r"\$\.priority"),
    ({"requires": "some"}, r"\$\.requires"),
    ({"scopes": ["a\nb"]}, r"\$\.scopes\[0\]"),
    ({"taskQueueId": "one"}, "taskQueueId"),
    ({"payload": []}, r"\$\.payload"),
    ({"schedulerId": "a b"}, "schedulerId"),
    ({"tags": {"a": 1}}, r"\$\.tags"),
]


@pytest.mark.parametrize(("change", "message"), MALFORMED)
def test_a_malformed_field_is_refused_by_its_path(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputValidationError, match=message):
        define(ID, document(**change), NOW)


def test_a_definition_equals_its_own_document_and_the_order_of_keys_is_irrelevant() -> None:
    found = define(ID, document(), NOW)
    assert found.same_as(dict(reversed(found.document.items())))
    assert not found.same_as({**found.document, "payload": {}})


def test_an_explicit_default_defines_the_same_task_as_its_absence() -> None:
    implicit = define(ID, document(), NOW)
    explicit = define(ID, document(retries=5, priority="lowest", taskGroupId=ID), NOW)
    assert implicit.same_as(explicit.document)


def test_the_legacy_priority_normal_means_lowest() -> None:
    assert define(ID, document(priority="normal"), NOW).priority == "lowest"


def test_creating_needs_each_scope_each_route_project_scheduler_and_priority() -> None:
    made = define(ID, document(scopes=["a:b"], routes=["index.x"], projectId="p", priority="low"), NOW)
    enough = [
        "a:b",
        "queue:route:index.x",
        "queue:create-task:project:p",
        "queue:scheduler-id:demo-level-1",
        "queue:create-task:high:local/unprivileged",
    ]
    assert decide(ScopeSet(enough), to_create(made)) is None
    for missing in enough:
        assert decide(ScopeSet(set(enough) - {missing}), to_create(made)) is not None


@given(st.sampled_from(PRIORITIES), st.sampled_from(PRIORITIES))
def test_a_create_scope_is_good_for_its_priority_and_all_lower_ones(held: str, wanted: str) -> None:
    allowed = decide(ScopeSet([f"queue:create-task:{held}:a/b"]), at_priority(wanted, "a/b")) is None
    assert allowed == (PRIORITIES.index(held) <= PRIORITIES.index(wanted))  # type: ignore[arg-type]  # sampled


def test_raising_a_priority_needs_the_right_to_create_at_it_as_well() -> None:
    change = "queue:change-task-priority:x"
    create = "queue:create-task:highest:a/b"
    need = to_change_priority("x", "a/b", "low", "highest")
    assert decide(ScopeSet([change]), need) is not None
    assert decide(ScopeSet([create]), need) is not None
    assert decide(ScopeSet([change, create]), need) is None
    assert decide(ScopeSet([change]), to_change_priority("x", "a/b", "highest", "low")) is None
