"""Every method of the official client against a served control plane: routed alike, refused by name, or clearly not offered (E1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import taskcluster
from taskcluster.exceptions import TaskclusterAuthFailure, TaskclusterRestFailure

import client_methods
from client_methods import ARGUMENTS, DIFFERS, HOUSEKEEPING, NOT_OFFERED, OPEN, Method, methods
from control_plane_server import Served, serve
from liftlock.web.references import arguments
from liftlock.web.routing import Route
from program_routes import program_routes

pytestmark = pytest.mark.process

ROUTES = {(route.service, route.name): route for route in program_routes()}
ALL = methods()
NEEDING = [m for m in ALL if m.key not in NOT_OFFERED and m.key not in OPEN and m.name not in HOUSEKEEPING]


class World:
    """One control plane with something for every method to be about."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.bodies = client_methods.bodies()
        self.root = {name: getattr(taskcluster, name)(served.options) for name in client_methods.CLASSES}
        self._fill()
        nobody = self.call_root("Auth", "createClient", "people/nobody", {**self._client(), "scopes": []})
        self._nobody = {"clientId": "people/nobody", "accessToken": nobody["accessToken"]}

    def _client(self) -> dict[str, Any]:
        made: dict[str, Any] = self.bodies["auth/create-client-request"]
        return made

    def call_root(self, client: str, name: str, *args: Any) -> Any:
        return getattr(self.root[client], name)(*args)

    def _fill(self) -> None:
        body, task = self.bodies, client_methods.TASK
        self.call_root(
            "Auth", "createClient", ARGUMENTS["clientId"], {**self._client(), "scopes": ["other:scope"]}
        )
        self.call_root("Auth", "createRole", ARGUMENTS["roleId"], {"description": "", "scopes": ["other:a"]})
        self.call_root("Queue", "createTask", task, body["queue/create-task-request"])
        [claim] = self.call_root(
            "Queue", "claimWork", client_methods.QUEUE, body["queue/claim-work-request"]
        )["tasks"]
        run = taskcluster.Queue({**self._served.options, "credentials": claim["credentials"]})
        reference = {
            "storageType": "reference",
            "url": "https://example.com/x",
            "contentType": "text/plain",
            "expires": body["queue/post-artifact-request"]["expires"],
        }
        run.createArtifact(task, 0, "private/x", reference)
        self.call_root("Index", "insertTask", "demo.one", body["index/insert-task-request"])
        self.call_root("Hooks", "createHook", "group", "hook", body["hooks/create-hook-request"])
        self.call_root("Secrets", "set", "private/x", body["secrets/secret"])
        self.call_root(
            "WorkerManager",
            "createWorkerPool",
            client_methods.POOL,
            body["worker-manager/create-worker-pool-request"],
        )
        worker = (client_methods.POOL, "g", "w")
        self.call_root("WorkerManager", "createWorker", *worker, body["worker-manager/create-worker-request"])
        self.call_root("Object", "createUpload", "private/x", body["object/create-upload-request"])

    def call(self, method: Method, credentials: dict[str, str] | None) -> Any:
        """Call `method` of the official client with arguments that fit this world."""
        options: dict[str, Any] = {"rootUrl": self._served.root_url, "maxRetries": 0}
        client = getattr(taskcluster, method.client)(
            options if credentials is None else {**options, "credentials": credentials}
        )
        given = [ARGUMENTS[name] for name in method.entry["args"]]
        if "input" in method.entry:
            route = ROUTES[method.key]
            given.append({} if route.input is None else self.bodies[route.input])
        query = (
            {"query": {"workerPoolId": client_methods.POOL}} if method.name == "workerPoolErrorStats" else {}
        )
        return getattr(client, method.name)(*given, **query)

    def refusal(self, method: Method) -> TaskclusterRestFailure:
        """Return the error that a client without scopes gets."""
        with pytest.raises((TaskclusterAuthFailure, TaskclusterRestFailure)) as caught:
            self.call(method, self._nobody)
        return caught.value


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serve(tmp_path_factory.mktemp("methods")) as served:
        yield World(served)


@pytest.mark.parametrize("method", ALL, ids=str)
def test_a_method_is_routed_as_the_client_calls_it(method: Method) -> None:
    route: Route = ROUTES[method.key]
    entry = method.entry
    assert route.method.lower() == entry["method"]
    assert route.path.replace("*>", ">") == entry["route"]
    assert arguments(route) == entry["args"]
    assert set(entry.get("query", ())) <= set(route.query)
    assert route.stability == entry["stability"]
    if method.key not in NOT_OFFERED:
        assert (route.input is None) == ("input" not in entry)
        assert (route.output is None) == ("output" not in entry)


@pytest.mark.parametrize("method", NEEDING, ids=str)
def test_without_scopes_it_is_refused_and_the_refusal_names_exactly_what_is_missing(
    world: World, method: Method
) -> None:
    error = world.refusal(method)
    assert (error.status_code, error.body["code"]) == (403, "InsufficientScopes"), error.body["message"]
    documented = ROUTES[method.key].scopes
    expected = client_methods.plain(client_methods.filled(documented, client_methods.facts(method)))
    details = error.body["details"]
    assert client_methods.plain(details["required"]) == expected
    assert client_methods.plain(details["unsatisfied"]) == expected
    for scope in leaves(expected):
        assert scope in error.body["message"]


def leaves(expression: Any) -> list[str]:
    if isinstance(expression, str):
        return [expression]
    return [scope for parts in expression.values() for part in parts for scope in leaves(part)]


@pytest.mark.parametrize("method", [m for m in ALL if m.key in NOT_OFFERED], ids=str)
def test_what_is_not_offered_answers_so(world: World, method: Method) -> None:
    error = world.refusal(method)
    assert (error.status_code, error.body["code"]) == (400, "InputError")
    assert "liftlock does not offer this" in error.body["message"]


@pytest.mark.parametrize("method", [m for m in ALL if m.name in HOUSEKEEPING], ids=str)
def test_housekeeping_answers_anybody(world: World, method: Method) -> None:
    world.call(method, None)


def test_the_tables_name_methods_that_exist() -> None:
    known = {method.key for method in ALL}
    assert {*NOT_OFFERED, *DIFFERS, *OPEN} <= known
    assert all(ROUTES[key].scopes is None for key in (*OPEN, *NOT_OFFERED))
    assert len(ALL) > 160
