"""Webhooks are believed by their signature alone, and read only as far as decisions need."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from liftlock.domain.forge.happenings import (
    CheckSaid,
    CommentSaid,
    Envelope,
    PullSaid,
    PushSaid,
    parse,
)
from liftlock.domain.forge.settings import parse_github
from liftlock.domain.forge.signature import is_signed
from liftlock.errors import InputInvalidError, MalformedPayloadError

SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
# The example of GitHub's documentation of webhook signatures.
PUBLISHED = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_the_published_example_of_a_signature_verifies() -> None:
    assert is_signed(SECRET, BODY, PUBLISHED)


@pytest.mark.parametrize(
    ("secret", "body", "header"),
    [
        (b"another", BODY, PUBLISHED),
        (b"", BODY, "sha256=" + hmac.new(b"", BODY, hashlib.sha256).hexdigest()),
        (SECRET, BODY + b" ", PUBLISHED),
        (SECRET, BODY, None),
        (SECRET, BODY, ""),
        (SECRET, BODY, PUBLISHED.removeprefix("sha256=")),
        (SECRET, BODY, PUBLISHED[:-1]),
        (SECRET, BODY, PUBLISHED + "0"),
        (SECRET, BODY, "sha1=" + hmac.new(SECRET, BODY, hashlib.sha1).hexdigest()),
        (SECRET, BODY, "sha256=" + "\u00e9" * 64),
    ],
)
def test_anything_else_does_not(secret: bytes, body: bytes, header: str | None) -> None:
    assert not is_signed(secret, body, header)


SENDER = {"id": 1, "login": "robin"}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("push", PushSaid),
        ("pull_request", PullSaid),
        ("issue_comment", CommentSaid),
        ("check_run", CheckSaid),
        ("star", Envelope),
    ],
)
def test_each_event_is_read_in_its_own_form(event: str, kind: type) -> None:
    found = parse(event, json.dumps({"sender": SENDER, "installation": {"id": 7}}).encode())
    assert type(found) is kind
    assert (found.sender.id, found.installation and found.installation.id) == (1, 7)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "webhook 'issue_comment': expected JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `sender`"),
        (b'{"sender":{"id":"1"}}', "Expected `int`, got `str` - at `$.sender.id`"),
        (b'{"sender":{"id":1},"repository":{"id":1.5}}', "Expected `int`, got `float`"),
        (b'{"x":' * 100_000, "nested too deeply"),
    ],
)
def test_a_webhook_of_another_form_is_refused_with_where(body: bytes, said: str) -> None:
    with pytest.raises(MalformedPayloadError) as refused:
        parse("issue_comment", body)
    assert said in str(refused.value)


GOOD = {
    "app-id": 5,
    "webhook-secret-file": "/s",
    "private-key-file": "/k",
    "repository": [
        {"id": 1, "full-name": "o/n", "installation": 9, "project": "widget", "commands": {"format": "f"}}
    ],
    "person": [{"id": 3, "client": "people/robin"}],
}


def test_settings_find_repositories_and_people_by_number() -> None:
    found = parse_github(GOOD)
    repository = found.repository_of(1)
    assert repository is not None
    assert (repository.project, repository.trusted_branch, repository.pull_requests) == (
        "widget",
        "main",
        False,
    )
    assert (found.repository_of(2), found.client_of(3), found.client_of(4)) == (None, "people/robin", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"app-id": "5"}, "github: Expected `int`, got `str` - at `$.app-id`"),
        ({"surprise": 1}, "github: Object contains unknown field `surprise`"),
        ({"api": "http://example.org"}, "github.api: expected https://HOST, got 'http://example.org'"),
        (
            {"person": [{"id": 3, "client": "a"}, {"id": 3, "client": "b"}]},
            "github.person.id: 3 is given twice",
        ),
        (
            {"repository": [{"id": 1, "full-name": "o", "installation": 9, "project": "w"}]},
            "github.repository 1.full-name: expected OWNER/NAME, got 'o'",
        ),
        (
            {
                "repository": [
                    {
                        "id": 1,
                        "full-name": "o/n",
                        "installation": 9,
                        "project": "w",
                        "commands": {"ping": "x"},
                    }
                ]
            },
            "github.repository 1.commands: expected some of format, publish, update-deps, got 'ping'",
        ),
    ],
)
def test_settings_of_another_form_are_refused_with_where(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputInvalidError) as refused:
        parse_github(GOOD | change)
    assert refused.value.message == said
