"""Whom routes of a task name for e-mail, and about which of its events."""

from __future__ import annotations

import pytest

from liftlock.domain.events.mail_routes import recipients
from liftlock.domain.events.naming import Message


def about(topic: str, *routes: str) -> tuple[str, ...]:
    copies = tuple(f"route.{route}" for route in routes)
    return recipients(Message(1, topic, "id", "primary.id", {}, copies))


ENDS = ("task-completed", "task-failed", "task-exception")
ALL = ("task-defined", "task-pending", "task-running", *ENDS)


@pytest.mark.parametrize(
    ("when", "topics"),
    [
        ("any", ENDS),
        ("resolved", ENDS),
        ("transition", ALL),
        ("completed", ("task-completed",)),
        ("failed", ("task-failed",)),
        ("exception", ("task-exception",)),
        ("running", ("task-running",)),
        ("pending", ("task-pending",)),
        ("defined", ("task-defined",)),
        ("never", ()),
    ],
)
def test_a_route_means_the_events_that_its_end_names(when: str, topics: tuple[str, ...]) -> None:
    heard = [
        topic for topic in (*ALL, "artifact-created") if about(topic, f"notify.email.a@b.example.on-{when}")
    ]
    assert heard == list(topics)


def test_each_address_is_named_once_in_order() -> None:
    routes = (
        "notify.email.b@x.example.on-any",
        "notify.email.a@x.example.on-any",
        "notify.email.b@x.example.on-failed",
    )
    assert about("task-failed", *routes) == ("a@x.example", "b@x.example")


@pytest.mark.parametrize(
    "route",
    [
        "notify.email.a@b.example",
        "notify.email..on-any",
        "notify.email.a.on-any",
        "notify.email.a@b@c.on-any",
        "notify.email.a@b.example.on-any\n",
        "notify.email.a@b.example\r\nBcc: c@d.on-any",
        "notify.email.a b@c.example.on-any",
        "notify.email.ü@b.example.on-any",
        "index.notify.email.a@b.example.on-any",
        "notify.slack-channel.C1.on-any",
    ],
)
def test_what_is_no_such_route_names_nobody(route: str) -> None:
    assert about("task-failed", route) == ()
