"""Events reach those who listen and webhooks, over real HTTP, from what an official client does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import taskcluster

from control_plane_server import ROOT, Served, serve
from event_world import EXCHANGE, Events, Receiver, Stream, bindings, receiving
from hook_builders import GROUP, HOOK, ROLE, ROLE_SCOPES, hook_body
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.events.naming import TOPICS
from task_builders import QUEUE, document

pytestmark = pytest.mark.process

WHO = Credentials(ROOT.client_id, ROOT.access_token)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def running(tmp_path: Path, receiver: Receiver) -> Iterator[Served]:
    """A control plane on SQLite that may send webhooks to the receiver."""
    with serve(tmp_path, webhooks_to=(receiver.place,)) as served:
        yield served


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def on_both(request: pytest.FixtureRequest, tmp_path: Path, receiver: Receiver) -> Iterator[Served]:
    """The same, on each database."""
    dsn = request.getfixturevalue("postgres_dsn") if request.param == "postgresql" else None
    with serve(tmp_path, dsn, webhooks_to=(receiver.place,)) as served:
        yield served


def run_a_task(served: Served, **changes: Any) -> str:
    """Create a task, claim it, give it an artifact and complete it; return its id."""
    queue = taskcluster.Queue(served.options)
    task_id: str = taskcluster.slugId()
    now = taskcluster.fromNow("0 seconds")
    queue.createTask(task_id, document(now, **changes))
    [claim] = queue.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w", "tasks": 1})["tasks"]
    assert claim["status"]["taskId"] == task_id
    worker = taskcluster.Queue({**served.options, "credentials": claim["credentials"]})
    artifact = {
        "storageType": "reference",
        "url": "https://example.com/x",
        "contentType": "text/plain",
        "expires": taskcluster.fromNowJSON("1 hour"),
    }
    worker.createArtifact(task_id, 0, "public/x", artifact)
    worker.reportCompleted(task_id, 0)
    return task_id


WHOLE_LIFE = [
    "task-defined",
    "task-pending",
    "task-running",
    "artifact-created",
    "task-completed",
    "task-group-resolved",
]


def test_a_listener_and_a_webhook_get_a_tasks_whole_life_in_order(
    on_both: Served, receiver: Receiver
) -> None:
    made = Events(on_both.options).create("team/dashboard", receiver.url, bindings(*TOPICS))
    stream = Stream(on_both.root_url, WHO, bindings(*TOPICS))
    assert stream.answer.status == 200
    assert next(iter(stream))[0] == "ready"
    task_id = run_a_task(on_both)
    heard = stream.take(6)
    stream.close()
    assert [one["exchange"].removeprefix(EXCHANGE) for one in heard] == WHOLE_LIFE
    assert all(one["routing"].startswith(f"primary.{task_id}.") for one in heard)
    assert heard[3]["payload"]["artifact"]["name"] == "public/x"
    assert heard[4]["payload"]["status"]["state"] == "completed"
    assert (heard[4]["payload"]["workerGroup"], heard[4]["payload"]["workerId"]) == ("g", "w")
    got = receiver.wait(lambda all_of_them: len(all_of_them) >= 6)
    assert [one.event for one in got] == heard
    assert all(one.verifies(made["secret"]) for one in got)
    assert len({one.headers["webhook-id"] for one in got}) == 6
    assert not any(one.verifies("whsec_" + "A" * 43 + "=") for one in got)


def test_a_listener_that_comes_back_goes_on_behind_its_last_event(running: Served) -> None:
    stream = Stream(running.root_url, WHO, bindings("task-completed"))
    next(iter(stream))
    first = run_a_task(running)
    [heard] = stream.take(1)
    stream.close()
    second = run_a_task(running)
    again = Stream(running.root_url, WHO, bindings("task-completed"), last_id=str(heard["id"]))
    [missed] = again.take(1)
    again.close()
    assert heard["payload"]["status"]["taskId"] == first
    assert missed["payload"]["status"]["taskId"] == second
    lost = Stream(running.root_url, WHO, bindings("task-completed"), last_id="999999999")
    assert (lost.answer.status, lost.error()["code"]) == (410, "ResourceExpired")


def test_a_listener_hears_only_what_it_asked_for(running: Served) -> None:
    by_route = bindings("task-defined", pattern="route.wanted.#")
    stream = Stream(running.root_url, WHO, by_route)
    next(iter(stream))
    run_a_task(running)
    wanted = run_a_task(running, routes=["wanted.one"])
    [heard] = stream.take(1)
    stream.close()
    assert heard["payload"]["status"]["taskId"] == wanted
    assert heard["routes"] == ["route.wanted.one"]


def test_a_stream_ends_with_the_link_that_opened_it(running: Served) -> None:
    began = time.monotonic()
    stream = Stream(running.root_url, WHO, bindings("task-defined"), lasts_s=2)
    kinds = [kind for kind, _, _ in stream]
    stream.close()
    assert kinds == ["ready", ""]
    assert time.monotonic() - began < 10


def test_a_failing_receiver_gets_the_event_again_and_the_next_one_after_it(
    running: Served, receiver: Receiver
) -> None:
    failed: list[str] = []

    def once(one: Any) -> int:
        if one.topic == "task-pending" and not failed:
            failed.append(one.headers["webhook-id"])
            return 500
        return 200

    receiver.answer = once
    events = Events(running.options)
    events.create("w", receiver.url, bindings(*TOPICS))
    run_a_task(running)
    got = receiver.wait(lambda all_of_them: len(all_of_them) >= 7)
    of_task = [one.topic for one in got if one.topic != "task-group-resolved"]
    assert of_task == ["task-defined", "task-pending", *WHOLE_LIFE[1:5]]
    assert [one.headers["webhook-id"] for one in got if one.topic == "task-pending"] == failed * 2
    deadline = time.monotonic() + 10
    while events.show("w")["waiting"] and time.monotonic() < deadline:
        time.sleep(0.05)
    state = events.show("w")
    assert (state["waiting"], state["failuresInARow"], state["lastError"]) == (0, 0, "HTTP 500")


def test_a_dead_receiver_keeps_nobody_waiting(running: Served, receiver: Receiver) -> None:
    events = Events(running.options)
    events.create("a-dead", "http://127.0.0.1:9/", bindings(*TOPICS))
    events.create("b-alive", receiver.url, bindings(*TOPICS))
    assert events.all() == ["a-dead", "b-alive"]
    run_a_task(running)
    assert len(receiver.wait(lambda all_of_them: len(all_of_them) >= 6)) == 6
    state = events.show("a-dead")
    assert state["waiting"] == 6
    assert state["failuresInARow"] >= 1
    events.remove("a-dead")
    assert events.all() == ["b-alive"]


def test_a_redirect_is_a_failure_and_is_not_followed(running: Served, receiver: Receiver) -> None:
    receiver.answer = lambda _: 307
    events = Events(running.options)
    events.create("w", receiver.url, bindings("task-defined"))
    run_a_task(running)
    receiver.wait(lambda all_of_them: len(all_of_them) >= 2)
    assert {one.path for one in receiver.got} == {"/events"}
    assert events.show("w")["lastError"] == "HTTP 307"


def bound_hook(pattern: str = "route.fire.me", *topics: str, **changes: Any) -> dict[str, Any]:
    """Return a hook that fires for completed tasks with the route."""
    body = hook_body(bindings=bindings(*(topics or ("task-completed",)), pattern=pattern), triggerSchema={})
    body["task"] = {
        **body["task"],
        "scopes": [],
        "metadata": {**body["task"]["metadata"], "description": "after ${payload.status.taskId}"},
        **changes,
    }
    return body


def fires(served: Served, count: int) -> list[dict[str, Any]]:
    """Return the hook's fires once there are so many."""
    hooks = taskcluster.Hooks(served.options)
    deadline = time.monotonic() + 20
    while True:
        found: list[dict[str, Any]] = hooks.listLastFires(GROUP, HOOK)["lastFires"]
        if len(found) >= count or time.monotonic() > deadline:
            assert len(found) == count, found
            return found
        time.sleep(0.05)


def test_a_hook_fires_for_the_events_that_its_bindings_name_with_its_own_role(running: Served) -> None:
    taskcluster.Auth(running.options).createRole(ROLE, {"scopes": list(ROLE_SCOPES), "description": ""})
    taskcluster.Hooks(running.options).createHook(GROUP, HOOK, bound_hook())
    run_a_task(running)
    cause = run_a_task(running, routes=["fire.me"])
    [fire] = fires(running, 1)
    assert (fire["firedBy"], fire["result"], fire["actor"]) == ("pulseMessage", "success", "hooks/event")
    task = taskcluster.Queue(running.options).task(fire["taskId"])
    assert task["metadata"]["description"] == f"after {cause}"
    assert task["metadata"]["name"] == "built by pulseMessage"


def test_a_hook_that_its_own_task_would_fire_fires_once_and_says_why(on_both: Served) -> None:
    taskcluster.Auth(on_both.options).createRole(ROLE, {"scopes": list(ROLE_SCOPES), "description": ""})
    taskcluster.Hooks(on_both.options).createHook(GROUP, HOOK, bound_hook("#", "task-defined"))
    queue = taskcluster.Queue(on_both.options)
    queue.createTask(taskcluster.slugId(), document(taskcluster.fromNow("0 seconds")))
    [refused, fired] = fires(on_both, 2)
    assert (fired["result"], refused["result"]) == ("success", "error")
    assert "a task that this hook's own fire led to" in refused["error"]
    time.sleep(0.5)
    assert len(fires(on_both, 2)) == 2
    assert queue.status(fired["taskId"])["status"]["state"] == "pending"
