"""What the server says about itself: references, schemas and OpenAPI, fetched over HTTP, are whole and usable (E1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import jsonschema_rs
import pytest
import requests
import taskcluster
from taskcluster.client import BaseClient
from taskcluster.exceptions import TaskclusterRestFailure

from control_plane_server import ROOT, Served, serve
from liftlock.web.routing import Route
from program_routes import program_routes

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("described")) as running:
        yield running


def offered_routes() -> list[Route]:
    """Return the program's routes but the forge's, which are there only where an app is configured."""
    return [route for route in program_routes() if route.service != "forge"]


def fetch(url: str) -> Any:
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 200, url
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


def references(served: Served) -> list[dict[str, Any]]:
    return [fetch(url) for url in fetch(f"{served.root_url}/references/manifest.json")["references"]]


def schemas(served: Served) -> dict[str, Any]:
    """Return address -> schema of everything that the references lead to, links followed over HTTP."""
    waiting = [f"{served.root_url}/schemas/common/action-schema-v1.json#"]
    waiting.append(fetch(f"{served.root_url}/references/manifest.json")["$schema"])
    for reference in references(served):
        waiting.append(reference["$schema"])
        base = f"{served.root_url}/schemas/{reference['serviceName']}/"
        waiting += [
            base + entry[side]
            for entry in reference["entries"]
            for side in ("input", "output")
            if side in entry
        ]
    found: dict[str, Any] = {}
    while waiting:
        url = waiting.pop().partition("#")[0]
        if url in found or url.startswith("http://json-schema.org/"):
            continue
        found[url] = fetch(url)
        assert found[url]["$id"] == f"{url}#"
        waiting += [urljoin(url, link) for link in links(found[url]) if not link.startswith("#")]
        waiting.append(found[url]["$schema"])
    return found


def links(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(link)}:
            yield link
        case dict():
            for item in value.values():
                yield from links(item)
        case list():
            for item in value:
                yield from links(item)


def validator(known: dict[str, Any], url: str) -> jsonschema_rs.Draft7Validator:
    resources = [(address, {**schema, "$schema": DRAFT}) for address, schema in known.items()]
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft7)
    return jsonschema_rs.Draft7Validator({"$ref": url}, registry=registry, offline=True)


DRAFT = "http://json-schema.org/draft-07/schema#"


def test_every_route_of_the_program_is_in_the_references_and_nothing_else(described: Served) -> None:
    said = {
        (reference["serviceName"], entry["name"], entry["method"].upper(), entry["route"])
        for reference in references(described)
        for entry in reference["entries"]
    }
    routes = offered_routes()
    assert said == {(r.service, r.name, r.method, r.path.replace("*>", ">")) for r in routes}
    assert len(said) == len(routes), "a client's methods would hide each other"


def test_references_and_manifest_fit_their_own_schemas(described: Served) -> None:
    known = schemas(described)
    documents = [fetch(f"{described.root_url}/references/manifest.json"), *references(described)]
    assert len(documents) > 10
    for document in documents:
        url = document["$schema"]
        errors = [
            f"{error.instance_path}: {error.message}" for error in validator(known, url).iter_errors(document)
        ]
        assert errors == [], document.get("serviceName")


def test_every_published_schema_fits_its_metaschema_and_links_lead_somewhere(described: Served) -> None:
    known = schemas(described)
    assert len(known) > 100
    for url, schema in known.items():
        jsonschema_rs.meta.validate({**schema, "$schema": DRAFT})
        if (meta := schema["$schema"]) != DRAFT:
            assert validator(known, meta).is_valid(schema), url
        validator(known, url)


def test_a_reference_with_a_mistake_does_not_fit(described: Served) -> None:
    known = schemas(described)
    reference = fetch(f"{described.root_url}/references/queue/v1/api.json")
    check = validator(known, reference["$schema"])
    reference["entries"][0]["scopes"] = {"for": "x", "in": "xs", "each": "<x>"}
    assert not check.is_valid(reference), "a bare list of scopes is no expression"


def client_of(reference: dict[str, Any], options: dict[str, Any]) -> Any:
    """Return a client made from a reference document alone, on the official client's base."""

    def method(name: str) -> Any:
        return lambda self, *args, **kwargs: self._makeApiCall(self.funcinfo[name], *args, **kwargs)

    entries = {entry["name"]: entry for entry in reference["entries"]}
    body = {
        "classOptions": {},
        "serviceName": reference["serviceName"],
        "apiVersion": reference["apiVersion"],
        "funcinfo": entries,
        **{name: method(name) for name in entries},
    }
    return type("Generated", (BaseClient,), body)(options)


def test_a_client_generated_from_our_references_can_call(described: Served) -> None:
    made = {
        r["serviceName"]: client_of(
            r,
            {
                "rootUrl": described.root_url,
                "maxRetries": 0,
                "credentials": {"clientId": ROOT.client_id, "accessToken": ROOT.access_token},
            },
        )
        for r in references(described)
    }
    for client in made.values():
        assert client.ping()["alive"]
    secret = {"secret": {"a": 1}, "expires": taskcluster.fromNowJSON("1 day")}
    made["secrets"].set("a/b c", secret)
    assert made["secrets"].get("a/b c")["secret"] == {"a": 1}
    assert made["secrets"].list(query={"limit": "1"})["secrets"] == ["a/b c"]
    with pytest.raises(TaskclusterRestFailure, match="there is no project not-there"):
        made["pushes"].project("not-there")


def test_openapi_names_every_route_and_its_schemas_are_whole(described: Served) -> None:
    document = fetch(f"{described.root_url}/openapi.json")
    assert document["openapi"] == "3.1.0"
    said = {
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    }
    assert said == {f"{route.service}.{route.name}" for route in offered_routes()}
    for link in links(document):
        if not link.startswith("#"):
            assert link == DRAFT
            continue
        place = document
        for part in link.removeprefix("#/").split("/"):
            place = place[part]
    shapes = [re.sub(r"{[^}]*}", "{}", path) for path in document["paths"]]
    assert len(set(shapes)) == len(shapes), "two paths differ in the names of their arguments alone"


def test_the_action_schema_accepts_what_the_example_offers_and_refuses_other_things(
    described: Served,
) -> None:
    url = f"{described.root_url}/schemas/common/action-schema-v1.json"
    check = validator({url: fetch(url)}, url)
    action = {
        "kind": "hook",
        "name": "retrigger",
        "title": "Retrigger",
        "description": "Again.",
        "context": [{}],
        "hookGroupId": "project-demo",
        "hookId": "in-tree-action-3-retrigger/0123456789",
        "hookPayload": {"decision": {}, "user": {"$eval": "input"}},
    }
    offer: dict[str, Any] = {"version": 1, "variables": {}, "actions": [action]}
    assert check.is_valid(offer)
    assert not check.is_valid({**offer, "version": 2})
    assert not check.is_valid({**offer, "actions": [{**action, "task": {}}]})
    assert not check.is_valid({**offer, "actions": [{**action, "schema": {"type": "no type"}}]})
    assert not check.is_valid({**offer, "actions": [{**action, "kind": "task"}]})


def test_documents_are_read_only_and_nothing_else_is_below_their_folders(described: Served) -> None:
    url = f"{described.root_url}/references/manifest.json"
    assert requests.post(url, timeout=30).status_code == 405
    head = requests.head(url, timeout=30)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(requests.get(url, timeout=30).content)
    for path in ("/schemas/../pyproject.toml", "/schemas/queue/v1/task", "/references/", "/schemas/common/"):
        assert requests.get(described.root_url + path, timeout=30).status_code == 404, path
    assert urlsplit(fetch(url)["references"][0]).netloc == urlsplit(described.root_url).netloc
