"""Routes are found by the raw path: encoded slashes stay within their segment."""

from __future__ import annotations

import pytest

from liftlock.web.routing import Route, RouteTable


async def handler(_request: object) -> None:
    return None


def route(path: str, name: str, method: str = "GET") -> Route:
    return Route(service="queue", method=method, path=path, name=name, handler=handler, title=name)


TABLE = RouteTable(
    [
        route("/ping", "ping"),
        route("/task/<taskId>", "task"),
        route("/task/<taskId>/status", "status"),
        route("/task/<taskId>", "createTask", "PUT"),
        route("/task/<taskId>/artifacts/<name*>", "artifact"),
        route("/task/<taskId>/artifacts", "listArtifacts"),
        route("/claim-work/<taskQueueId*>", "claimWork", "POST"),
        route("/queues/<taskQueueId*>/workers", "listWorkers"),
        route("/queues/<taskQueueId*>", "getQueue"),
        route("/hooks/<hookGroupId>/<hookId>/trigger", "trigger", "POST"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "name", "params"),
    [
        ("GET", "/ping", "ping", {}),
        ("GET", "/ping/", "ping", {}),
        ("GET", "/task/abc", "task", {"taskId": "abc"}),
        ("HEAD", "/task/abc", "task", {"taskId": "abc"}),
        ("PUT", "/task/abc", "createTask", {"taskId": "abc"}),
        ("GET", "/task/abc/status", "status", {"taskId": "abc"}),
        (
            "GET",
            "/task/abc/artifacts/public/logs/live.log",
            "artifact",
            {"taskId": "abc", "name": "public/logs/live.log"},
        ),
        (
            "GET",
            "/task/abc/artifacts/public%2Flogs%2Flive.log",
            "artifact",
            {"taskId": "abc", "name": "public/logs/live.log"},
        ),
        ("GET", "/task/abc/artifacts/", "listArtifacts", {"taskId": "abc"}),
        ("POST", "/claim-work/local%2Funprivileged", "claimWork", {"taskQueueId": "local/unprivileged"}),
        ("POST", "/claim-work/local/unprivileged", "claimWork", {"taskQueueId": "local/unprivileged"}),
        ("GET", "/queues/a/b/workers", "listWorkers", {"taskQueueId": "a/b"}),
        ("GET", "/queues/a%2Fb/workers", "listWorkers", {"taskQueueId": "a/b"}),
        ("GET", "/queues/a/b", "getQueue", {"taskQueueId": "a/b"}),
        ("POST", "/hooks/g/in-tree%2Fx/trigger", "trigger", {"hookGroupId": "g", "hookId": "in-tree/x"}),
    ],
)
def test_a_path_leads_to_its_route(method: str, path: str, name: str, params: dict[str, str]) -> None:
    found = TABLE.match("queue", method, path)
    assert found is not None
    assert (found[0].name, found[1]) == (name, params)


@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("queue", "GET", "/task"),
        ("queue", "GET", "/task/"),
        ("auth", "GET", "/ping"),
        ("queue", "DELETE", "/task/abc"),
    ],
)
def test_what_no_route_answers_is_not_found(service: str, method: str, path: str) -> None:
    assert TABLE.match(service, method, path) is None


def test_a_wrong_method_is_told_with_the_right_ones() -> None:
    assert TABLE.methods("queue", "/task/abc") == ["GET", "PUT"]


def test_two_routes_for_one_path_are_a_programming_mistake() -> None:
    with pytest.raises(AssertionError, match="two routes answer"):
        RouteTable([route("/a/<x>", "one"), route("/a/<x>", "two")])
