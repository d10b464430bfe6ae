"""Firing an action's hook is bound to a recorded push: each rule, alone, refuses."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from liftlock.domain.actions.binding import (
    GENERATORS_OWNER,
    RULES,
    BindingRefusal,
    Claimed,
    Facts,
    RecordedDecision,
    check_binding,
    read_payload,
)
from liftlock.domain.actions.naming import ActionHookName

GROUP, TASK, OTHER = "fN1SbArXTPSVFNUvaOlinQ", "aN1SbArXTPSVFNUvaOlinQ", "bN1SbArXTPSVFNUvaOlinQ"
REV, BASE = "a" * 40, "b" * 40
DIGEST = "0123456789" + "c" * 54
RECORD = RecordedDecision(
    task_id=GROUP,
    project="widget",
    identity="https://github.com/liftlock-demo/widget",
    level=3,
    trust_domain="demo",
    branch="main",
    revision=REV,
    base_revision=BASE,
    owner="robin@example.org",
    pushlog_id=7,
    config_digest=DIGEST,
    branches=("main", "dev"),
)
FACTS = Facts(
    hook=ActionHookName("demo", 3, "generic", DIGEST[:10]),
    decision=RECORD,
    content_digest=DIGEST,
    admitted=True,
    in_policy=True,
    target_group=GROUP,
    known_ancestor=False,
    registered_alike=True,
)
PAYLOAD: dict[str, Any] = {
    "decision": {
        "action": {
            "name": "retrigger",
            "title": "Retrigger",
            "description": "…",
            "taskGroupId": GROUP,
            "cb_name": "retrigger",
            "symbol": "rt",
        },
        "repository": {
            "url": RECORD.identity,
            "project": "widget",
            "level": "3",
            "base_url": RECORD.identity,
        },
        "push": {
            "owner": GENERATORS_OWNER,
            "pushlog_id": "7",
            "revision": REV,
            "base_revision": BASE,
            "branch": "main",
        },
    },
    "user": {"input": {}, "taskId": TASK, "taskGroupId": GROUP},
}


def _with(path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(PAYLOAD)
    *parents, last = path.split(".")
    place = changed
    for name in parents:
        place = place[name]
    place[last] = value
    return changed


def _check(payload: Any, facts: Facts = FACTS) -> BindingRefusal | None:
    claimed = read_payload(payload)
    return check_binding(claimed, facts) if isinstance(claimed, Claimed) else claimed


def test_what_taskgraph_sends_for_a_recorded_push_is_let_through() -> None:
    assert _check(PAYLOAD) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("user.taskId", None),
        ("decision.push.owner", "robin@example.org"),
        ("decision.push.pushlog_id", 7),
        ("decision.repository.level", 3),
        ("decision.push.base_revision", "0" * 40),
        ("decision.push.base_revision", REV),
        ("decision.push.branch", "refs/heads/main"),
        ("decision.push.base_branch", "dev"),
    ],
)
def test_equal_ways_to_write_the_record_are_let_through(path: str, value: Any) -> None:
    assert _check(_with(path, value)) is None


def test_a_base_revision_in_the_pushs_history_is_let_through() -> None:
    payload = _with("decision.push.base_revision", "e" * 40)
    assert _check(payload, replace(FACTS, known_ancestor=True)) is None


FORGED: list[tuple[str, str, Any]] = [
    ("repository", "decision.repository.url", "https://github.com/somebody/widget"),
    ("repository", "decision.repository.url", RECORD.identity + "/"),
    ("repository", "decision.repository.url", [RECORD.identity]),
    ("base-repository", "decision.repository.base_url", "https://github.com/somebody/widget"),
    ("project", "decision.repository.project", "gadget"),
    ("level", "decision.repository.level", "1"),
    ("level", "decision.repository.level", 3.0),
    ("level", "decision.repository.level", " 3"),
    ("revision", "decision.push.revision", "e" * 40),
    ("revision", "decision.push.revision", REV[:39]),
    ("base-revision", "decision.push.base_revision", "e" * 40),
    ("base-revision", "decision.push.base_revision", ""),
    ("base-revision", "decision.push.base_revision", {}),
    ("branch", "decision.push.branch", "dev"),
    ("branch", "decision.push.branch", "refs/tags/main"),
    ("base-branch", "decision.push.base_branch", "elsewhere"),
    ("base-branch", "decision.push.base_branch", ["main"]),
    ("owner", "decision.push.owner", "boss@example.org"),
    ("pushlog-id", "decision.push.pushlog_id", "8"),
    ("pushlog-id", "decision.push.pushlog_id", "07"),
    ("pushlog-id", "decision.push.pushlog_id", True),
    ("group", "user.taskGroupId", OTHER),
    ("group", "decision.action.taskGroupId", OTHER),
]


@pytest.mark.parametrize(("rule", "path", "value"), FORGED)
def test_a_forged_field_is_refused_by_its_own_rule(rule: str, path: str, value: Any) -> None:
    refusal = _check(_with(path, value))
    assert refusal is not None
    assert refusal.rule == rule


MISFITS: list[tuple[str, Facts]] = [
    ("task", replace(FACTS, target_group=OTHER)),
    ("task", replace(FACTS, target_group=None)),
    ("hook-level", replace(FACTS, hook=ActionHookName("demo", 1, "generic", DIGEST[:10]))),
    ("hook-trust-domain", replace(FACTS, hook=ActionHookName("other", 3, "generic", DIGEST[:10]))),
    ("registration", replace(FACTS, registered_alike=False)),
    ("content", replace(FACTS, content_digest=DIGEST[:10] + "d" * 54)),
    ("content", replace(FACTS, content_digest=None)),
    ("content", replace(FACTS, hook=ActionHookName("demo", 3, "generic", "f" * 10))),
    ("content", replace(FACTS, content_digest=None, decision=replace(RECORD, config_digest=None))),
    ("hook-kind", replace(FACTS, hook=ActionHookName("demo", 3, "generic", DIGEST[:10], pull=True))),
    ("hook-kind", replace(FACTS, decision=replace(RECORD, kind="pull"))),
    ("policy", replace(FACTS, in_policy=False)),
    ("admission", replace(FACTS, admitted=False)),
]


@pytest.mark.parametrize(("rule", "facts"), MISFITS)
def test_a_fact_that_does_not_fit_is_refused_by_its_own_rule(rule: str, facts: Facts) -> None:
    refusal = _check(PAYLOAD, facts)
    assert refusal is not None
    assert refusal.rule == rule


def test_every_rule_has_a_case_that_only_it_refuses() -> None:
    cases = {rule for rule, _, _ in FORGED} | {rule for rule, _ in MISFITS}
    assert {name for name, _, _ in RULES} == cases


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        [],
        "text",
        {"decision": {}, "user": {}},
        {"user": PAYLOAD["user"]},
        {"decision": PAYLOAD["decision"]},
        _with("decision.push", None),
        _with("decision.action", {}),
        _with("decision.action.taskGroupId", None),
        _with("user.taskId", 5),
    ],
)
def test_a_payload_of_another_form_is_refused_and_never_crashes(payload: Any) -> None:
    refusal = _check(payload)
    assert refusal is not None
    assert refusal.rule == "payload"


def test_the_refusal_says_what_was_claimed_and_what_is_recorded() -> None:
    refusal = _check(_with("decision.push.revision", "e" * 40))
    assert refusal is not None
    assert refusal.message == (
        f"push.revision: the payload says '{'e' * 40}', but group {GROUP} is that of push 7 of widget, with '{REV}'"
    )


def test_the_refusal_of_content_that_waits_says_who_has_to_do_what() -> None:
    facts = replace(FACTS, admitted=False, hook=ActionHookName("demo", 3, "release-promotion", DIGEST[:10]))
    refusal = _check(PAYLOAD, facts)
    assert refusal is not None
    assert "somebody other than the pusher, with pushes:admit-hooks:3:release-promotion" in refusal.message
    assert (
        f"liftlock push admit {DIGEST} --trust-domain demo --level 3 --permission release-promotion"
        in refusal.message
    )
