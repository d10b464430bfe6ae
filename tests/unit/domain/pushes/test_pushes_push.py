"""Who owns a push, and what its decision task is rendered with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.domain.pushes.context import push_context
from liftlock.domain.pushes.project import define_project
from liftlock.domain.pushes.push import Claim, Commit, Push, owner_of, safe_person

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
REV, BASE = "a" * 40, "b" * 40
COMMIT = Commit(
    revision=REV,
    author_name="Robin O'Dell",
    author_email="robin@example.org",
    committer_email="c@example.org",
    message="Subject\n\nBody",
    committed=AT,
)
PROJECT = define_project(
    name="widget",
    identity="https://github.com/liftlock-demo/widget",
    fetch_address="/p",
    level=3,
    branches=["main"],
    trust_domain="demo",
)


def _push(**changes: Any) -> Push:
    given: dict[str, Any] = {
        "project": "widget",
        "id": 7,
        "identity": PROJECT.identity,
        "level": 3,
        "trust_domain": "demo",
        "branch": "main",
        "kind": "advanced",
        "base_revision": BASE,
        "revision": REV,
        "at": AT,
        "owner": "robin@example.org",
        "owner_standing": "author",
        "author": "Robin <robin@example.org>",
        "message": "Subject\n\nBody",
        "task_id": "fN1SbArXTPSVFNUvaOlinQ",
    }
    return Push(**(given | changes))


def test_without_a_doorbell_the_author_owns_the_push_and_is_marked_as_such() -> None:
    assert owner_of(COMMIT, None) == ("robin@example.org", "author")


@pytest.mark.parametrize(("authenticated", "standing"), [(False, "claimed"), (True, "authenticated")])
def test_a_pusher_is_claimed_unless_the_host_vouches(authenticated: bool, standing: str) -> None:
    claim = Claim(branch="main", revision=REV, pusher="sam", authenticated=authenticated)
    assert owner_of(COMMIT, claim) == ("sam", standing)


def test_an_owner_cannot_leave_the_quotes_of_a_command_line() -> None:
    assert safe_person("x'; rm -rf / #@a.b") == "x___rm_-rf____@a.b"
    assert safe_person("é\n") == "__"
    assert safe_person("") == "unknown"
    assert len(safe_person("a" * 300)) == 255


def test_the_context_names_the_push_the_repository_and_the_decision_tasks_own_id() -> None:
    context = push_context(PROJECT, _push(), COMMIT, now=AT)
    assert context["tasks_for"] == "github-push"
    assert context["push"] == {
        "owner": "robin@example.org",
        "comment": "Subject\n\nBody",
        "pushlog_id": "7",
        "pushdate": 1767323045,
        "revision": REV,
        "base_revision": BASE,
        "branch": "main",
    }
    assert context["repository"] == {
        "url": "https://github.com/liftlock-demo/widget",
        "base_url": "https://github.com/liftlock-demo/widget",
        "project": "widget",
        "level": "3",
        "type": "git",
    }
    assert context["ownTaskId"] == context["taskGroupId"] == "fN1SbArXTPSVFNUvaOlinQ"
    assert context["now"] == "2026-01-02T03:04:05.678Z"


def test_the_event_has_the_form_that_templates_for_the_forge_read() -> None:
    event = push_context(PROJECT, _push(kind="forced"), COMMIT, now=AT)["event"]
    assert (event["ref"], event["before"], event["after"]) == ("refs/heads/main", BASE, REV)
    assert (event["created"], event["forced"], event["deleted"]) == (False, True, False)
    assert event["repository"]["html_url"] == "https://github.com/liftlock-demo/widget"
    assert event["repository"]["full_name"] == "liftlock-demo/widget"
    assert event["pusher"] == {"name": "robin", "email": "robin@example.org"}
