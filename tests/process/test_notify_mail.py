"""E-mail is really sent: over SMTP to a mail server, from the official client's calls and from hooks that fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import taskcluster
from taskcluster.exceptions import TaskclusterRestFailure

from control_plane_server import Served, serve
from event_world import bindings
from fakes.smtp_stand_in import MailServer, mail_server
from hook_builders import GROUP, HOOK, hook_body
from task_builders import document

pytestmark = pytest.mark.process


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as made:
        yield made


@pytest.fixture
def served(tmp_path: Path, mail: MailServer) -> Iterator[Served]:
    with serve(tmp_path, mail=mail.url) as running:
        yield running


MESSAGE = {
    "address": "someone@example.com",
    "subject": "It is dönè",
    "content": "All **well**.\n.\n..\nFrom here on",
    "link": {"text": "Look", "href": "https://example.com/x"},
    "replyTo": "team@example.com",
}


def test_an_email_arrives_as_it_was_given(served: Served, mail: MailServer) -> None:
    taskcluster.Notify(served.options).email(MESSAGE)
    [got] = mail.wait(1)
    assert mail.envelopes == [("liftlock@example.com", "someone@example.com")]
    assert (got["To"], got["Subject"], got["Reply-To"]) == (
        "someone@example.com",
        "It is dönè",
        "team@example.com",
    )
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content().replace("\r\n", "\n") == (
        "All **well**.\n.\n..\nFrom here on\n\nLook: https://example.com/x\n"
    )


def test_a_message_that_the_server_puts_off_is_tried_again_and_one_that_it_refuses_is_not(
    served: Served, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftlock.services.send_mail.FIRST_WAIT", timedelta(milliseconds=100))
    mail.answer = "451 later"
    notify = taskcluster.Notify(served.options)
    notify.email(MESSAGE)
    until(lambda: mail.tried >= 2)
    mail.answer = "250 ok"
    mail.wait(1)
    mail.answer = "550 no such mailbox"
    before = mail.tried
    notify.email(MESSAGE)
    until(lambda: mail.tried > before)
    time.sleep(0.5)
    assert mail.tried == before + 1
    assert len(mail.messages) == 1


def until(done: Any) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_address_that_asked_for_nothing_gets_nothing(served: Served, mail: MailServer) -> None:
    notify = taskcluster.Notify(served.options)
    notify.addDenylistAddress({"notificationType": "email", "notificationAddress": "someone@example.com"})
    with pytest.raises(TaskclusterRestFailure, match="has asked for no notifications"):
        notify.email(MESSAGE)
    notify.email({**MESSAGE, "address": "other@example.com"})
    [got] = mail.wait(1)
    assert got["To"] == "other@example.com"


@pytest.mark.parametrize("field", ["address", "subject", "replyTo"])
def test_nobody_adds_headers_or_recipients_by_line_breaks(
    served: Served, mail: MailServer, field: str
) -> None:
    text = "a@example.com\r\nBcc: everybody@example.com"
    with pytest.raises(TaskclusterRestFailure):
        taskcluster.Notify(served.options).email({**MESSAGE, field: text})
    assert mail.messages == []


def failing(**changes: Any) -> dict[str, Any]:
    """Return a hook that an event fires and whose role may nothing."""
    metadata = {"name": "Nightly", "description": "d", "owner": "owner@example.com", "emailOnError": True}
    return hook_body(metadata=metadata | changes, bindings=bindings("task-defined"), triggerSchema={})


def test_the_owner_of_a_hook_that_fails_when_nobody_looks_gets_one_email(
    served: Served, mail: MailServer
) -> None:
    hooks = taskcluster.Hooks(served.options)
    hooks.createHook(GROUP, HOOK, failing())
    hooks.createHook(GROUP, "silent", failing(emailOnError=False))
    queue = taskcluster.Queue(served.options)
    for _ in range(3):
        queue.createTask(taskcluster.slugId(), document(taskcluster.fromNow("0 seconds")))
    [got] = mail.wait(1)
    assert (got["To"], got["Subject"]) == (
        "owner@example.com",
        f"Hook {GROUP}/{HOOK} failed",
    )
    text = got.get_content()
    assert "lacks what the hook's task needs" in text
    assert "pulseMessage" in text
    until(lambda: len(hooks.listLastFires(GROUP, HOOK)["lastFires"]) == 3)
    time.sleep(0.5)
    assert len(mail.messages) == 1, "further failures within the hour are in the hook's fires"


def test_routes_of_a_task_name_who_hears_how_it_ended(served: Served, mail: MailServer) -> None:
    notify = taskcluster.Notify(served.options)
    notify.addDenylistAddress({"notificationType": "email", "notificationAddress": "quiet@example.com"})
    queue = taskcluster.Queue(served.options)
    ends = {"ended@example.com": "any", "failed@example.com": "failed", "quiet@example.com": "completed"}
    routes = [f"notify.email.{address}.on-{when}" for address, when in ends.items()]
    given = document(taskcluster.fromNow("0 seconds"), routes=routes)
    given["metadata"]["name"] = "build\nit"
    task_id = taskcluster.slugId()
    queue.createTask(task_id, given)
    queue.claimTask(task_id, "0", {"workerGroup": "g", "workerId": "w"})
    queue.reportCompleted(task_id, "0")
    [got] = mail.wait(1)
    assert (got["To"], got["Subject"]) == ("ended@example.com", f"Task completed: build it ({task_id})")
    assert got.get_content().replace("\r\n", "\n") == (
        f"The task build it is completed.\n\n{served.root_url}/tasks/{task_id}\n"
    )
    time.sleep(0.6)
    assert len(mail.messages) == 1, "one did not want this, one wants nothing"
