"""A hook is checked whole when it is saved."""

from __future__ import annotations

from typing import Any

import pytest

from hook_builders import GROUP, HOOK, hook_body
from liftlock.domain.hooks.definition import define_hook, from_document
from liftlock.errors import (
    InputInvalidError,
    InputValidationError,
    LiftlockError,
    RequestArgumentsError,
    TemplateRefusedError,
)


def test_defaults_are_filled_in() -> None:
    body = hook_body(schedule=None, bindings=None, triggerSchema=None)
    del body["metadata"]["emailOnError"]
    document = define_hook(GROUP, HOOK, body).document
    assert document["schedule"] == []
    assert document["bindings"] == []
    assert document["triggerSchema"] == {"type": "object", "additionalProperties": False}
    assert document["metadata"]["emailOnError"] is True
    assert (document["hookGroupId"], document["hookId"]) == (GROUP, HOOK)


def test_a_stored_document_gives_the_same_definition() -> None:
    defined = define_hook(GROUP, HOOK, hook_body())
    assert from_document(defined.document) == defined


def test_every_change_changes_the_version() -> None:
    versions = {
        define_hook(GROUP, HOOK, body).version
        for body in (
            hook_body(),
            hook_body(schedule=["0 0 0 * * *"]),
            hook_body(triggerSchema=True),
            hook_body(task={"a": 1}),
        )
    }
    assert len(versions) == 4
    assert define_hook(GROUP, HOOK, hook_body()).version == define_hook(GROUP, HOOK, hook_body()).version


def test_the_role_is_named_after_the_hook() -> None:
    defined = define_hook(GROUP, HOOK, hook_body())
    assert defined.role_scope == "assume:hook-id:project-demo/nightly/build"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"metadata": None}, InputValidationError, "metadata"),
        ({"task": None}, InputValidationError, "task"),
        ({"task": [1]}, InputValidationError, r"\$\.task"),
        ({"extra": 1}, InputValidationError, "extra"),
        ({"schedule": "daily"}, InputValidationError, r"\$\.schedule"),
        ({"hookId": "other"}, InputInvalidError, "the body says 'other'"),
        ({"hookGroupId": "other"}, InputInvalidError, "the body says 'other'"),
        ({"task": {"a": {"$eval": "("}}}, TemplateRefusedError, r"^task: template\.a\.\$eval: expected"),
        ({"schedule": ["* * * * *"]}, InputInvalidError, r"schedule\[0\].*six fields"),
        ({"triggerSchema": {"typ": "object"}}, InputInvalidError, "unknown keyword 'typ'"),
        ({"task": {"a": "x" * (512 << 10)}}, InputInvalidError, "at most 524288 bytes"),
        ({"bindings": [{"exchange": "", "routingKeyPattern": "#"}]}, InputValidationError, "exchange"),
    ],
)
def test_what_makes_no_sense_is_refused_when_the_hook_is_saved(
    changes: dict[str, Any], error: type[LiftlockError], message: str
) -> None:
    with pytest.raises(error, match=message):
        define_hook(GROUP, HOOK, hook_body(**changes))


@pytest.mark.parametrize("owner", ["nobody", "a b@c", "@x", "x@", ""])
def test_the_owner_is_an_e_mail_address(owner: str) -> None:
    body = hook_body()
    body["metadata"] = {**body["metadata"], "owner": owner}
    with pytest.raises(InputInvalidError, match=r"metadata\.owner"):
        define_hook(GROUP, HOOK, body)


@pytest.mark.parametrize(
    ("group", "hook"), [("a/b", "x"), ("", "x"), ("g", ""), ("g", "a b"), ("g" * 1001, "x")]
)
def test_ids_have_their_form(group: str, hook: str) -> None:
    with pytest.raises(RequestArgumentsError):
        define_hook(group, hook, hook_body())
