"""The official client's auth methods against a control plane over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import mohawk
import pytest
import requests
import taskcluster
from taskcluster.exceptions import TaskclusterAuthFailure, TaskclusterRestFailure

from control_plane_server import Served
from liftlock.web.validation import SCHEMAS

pytestmark = pytest.mark.process

EXPIRES = "2036-01-01T00:00:00.000Z"
NOT_OFFERED = {
    "awsS3Credentials",
    "gcpCredentials",
    "githubRepoToken",
    "sentryDSN",
    "websocktunnelToken",
}


def client_of(served: Served, credentials: dict[str, Any], **options: Any) -> taskcluster.Auth:
    return taskcluster.Auth(
        {"rootUrl": served.root_url, "credentials": credentials, "maxRetries": 0, **options}
    )


def wanted(*scopes: str, description: str = "d", expires: str = EXPIRES) -> dict[str, Any]:
    return {"description": description, "expires": expires, "scopes": list(scopes)}


@pytest.fixture
def root(served: Served) -> taskcluster.Auth:
    return taskcluster.Auth(served.options)


@pytest.fixture
def alice(served: Served, root: taskcluster.Auth) -> Iterator[taskcluster.Auth]:
    root.createRole("dev", {"description": "developers", "scopes": ["x:*"]})
    made = root.createClient("people/alice", wanted("assume:dev", "auth:create-client:people/alice/*"))
    return client_of(served, {"clientId": "people/alice", "accessToken": made["accessToken"]})


def status_of(call: Any) -> tuple[int, str]:
    with pytest.raises((TaskclusterRestFailure, TaskclusterAuthFailure)) as caught:
        call()
    return caught.value.status_code, caught.value.body["code"]


def check(name: str, value: Any) -> None:
    """The answer fits the schema that we publish for it."""
    resources = [(f"liftlock:{each}", schema) for each, schema in SCHEMAS.items()]
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft7)
    jsonschema_rs.Draft7Validator(
        {"$ref": f"liftlock:auth/{name}"}, registry=registry, offline=True, validate_formats=True
    ).validate(value)


def test_every_method_of_the_official_client_has_a_route(served: Served, root: taskcluster.Auth) -> None:
    """Called with arguments of the right form, no method is answered with 'no such route'."""
    root.createClient("a", wanted())
    for name, entry in taskcluster.Auth.funcinfo.items():
        arguments: list[Any] = ["a" for _ in entry["args"]]
        if "input" in entry:
            arguments.append({})
        problem = problem_of(root, name, arguments)
        assert problem is None or problem[0] < 500, name
        assert problem is None or "no such route" not in problem[1], name
        assert problem is None or "this path answers" not in problem[1], name


def problem_of(client: taskcluster.Auth, name: str, arguments: list[Any]) -> tuple[int, str] | None:
    try:
        getattr(client, name)(*arguments)
    except (TaskclusterRestFailure, TaskclusterAuthFailure) as error:
        return error.status_code, str(error)
    return None


def test_what_is_not_offered_is_said_clearly(root: taskcluster.Auth) -> None:
    for name in NOT_OFFERED:
        entry = taskcluster.Auth.funcinfo[name]
        arguments: list[Any] = ["a" for _ in entry["args"]] + ([{}] if "input" in entry else [])
        with pytest.raises(TaskclusterRestFailure, match="liftlock does not offer this") as caught:
            getattr(root, name)(*arguments)
        assert caught.value.status_code == 400


def test_health_needs_no_credentials_and_minds_no_wrong_ones(served: Served) -> None:
    nobody = client_of(served, {"clientId": "nobody", "accessToken": "wrong"})
    assert nobody.ping()["alive"] is True
    assert "version" in nobody.version()
    nobody.lbheartbeat()
    nobody.heartbeat()


def test_a_client_lives_from_creation_to_deletion(served: Served, root: taskcluster.Auth) -> None:
    made = root.createClient("people/bob+x@host", wanted("x:1", description="Bob"))
    check("create-client-response", made)
    bob = client_of(served, {"clientId": "people/bob+x@host", "accessToken": made["accessToken"]})
    assert bob.currentScopes() == {"scopes": ["assume:anonymous", "x:1"]}
    assert status_of(lambda: root.createClient("people/bob+x@host", wanted("x:1", description="Bob"))) == (
        409,
        "RequestConflict",
    )
    shown = root.client("people/bob+x@host")
    check("get-client-response", shown)
    assert "accessToken" not in shown
    updated = root.updateClient("people/bob+x@host", wanted("x:2", description="Robert"))
    assert (updated["description"], updated["scopes"]) == ("Robert", ["x:2"])
    kept = root.updateClient("people/bob+x@host", {"description": "R.", "expires": EXPIRES})
    assert kept["scopes"] == ["x:2"]
    assert bob.currentScopes() == {"scopes": ["assume:anonymous", "x:2"]}
    assert root.disableClient("people/bob+x@host")["disabled"] is True
    with pytest.raises(TaskclusterAuthFailure, match="is disabled"):
        bob.currentScopes()
    assert root.enableClient("people/bob+x@host")["disabled"] is False
    reset = root.resetAccessToken("people/bob+x@host")
    check("create-client-response", reset)
    with pytest.raises(TaskclusterAuthFailure, match="signature does not match"):
        bob.currentScopes()
    root.deleteClient("people/bob+x@host")
    root.deleteClient("people/bob+x@host")
    assert status_of(lambda: root.client("people/bob+x@host")) == (404, "ResourceNotFound")


def test_an_expired_client_is_refused_with_the_reason(served: Served, root: taskcluster.Auth) -> None:
    made = root.createClient("old", wanted(expires="2020-01-01T00:00:00.000Z"))
    old = client_of(served, {"clientId": "old", "accessToken": made["accessToken"]})
    with pytest.raises(TaskclusterAuthFailure, match="client old has expired"):
        old.currentScopes()


def test_clients_are_listed_by_prefix_and_in_pages(root: taskcluster.Auth) -> None:
    for name in ("l/1", "l/2", "l/3", "m"):
        root.createClient(name, wanted())
    pages: list[list[str]] = []

    def collect(page: dict[str, Any]) -> None:
        check("list-clients-response", page)
        pages.append([client["clientId"] for client in page["clients"]])

    root.listClients(query={"prefix": "l/"}, paginationHandler=collect, paginationLimit=2)
    assert pages == [["l/1", "l/2"], ["l/3"]]
    everything = [client["clientId"] for client in root.listClients()["clients"]]
    assert everything == sorted(everything)
    assert {"l/1", "m", "static/liftlock/root"} <= set(everything)
    assert status_of(lambda: root.listClients(query={"limit": "0"})) == (400, "InvalidRequestArguments")
    assert status_of(lambda: root.listClients(query={"continuationToken": "é"})) == (
        400,
        "InvalidRequestArguments",
    )


def test_a_role_lives_from_creation_to_deletion(root: taskcluster.Auth) -> None:
    role_id = "repo:github.com/a/b:*"
    made = root.createRole(role_id, {"description": "d", "scopes": ["z", "x:*", "y:<..>"]})
    check("get-role-response", made)
    assert made["scopes"] == ["x:*", "y:<..>", "z"]
    assert root.createRole(role_id, {"description": "d", "scopes": ["y:<..>", "z", "x:*"]}) == made
    assert status_of(lambda: root.createRole(role_id, {"description": "d", "scopes": []})) == (
        409,
        "RequestConflict",
    )
    expanded = root.expandScopes({"scopes": ["assume:repo:github.com/a/b:branch:main"]})
    check("scopeset", expanded)
    assert expanded["scopes"] == ["assume:repo:github.com/a/b:branch:main", "x:*", "y:branch:main", "z"]
    updated = root.updateRole(role_id, {"description": "e", "scopes": ["z"]})
    assert (updated["description"], updated["scopes"], updated["created"]) == ("e", ["z"], made["created"])
    assert root.role(role_id) == updated
    check("list-roles-response", root.listRoles())
    assert role_id in [role["roleId"] for role in root.listRoles()]
    page = root.listRoles2(query={"limit": "1"})
    check("list-roles2-response", page)
    check("list-role-ids-response", root.listRoleIds())
    root.deleteRole(role_id)
    root.deleteRole(role_id)
    assert role_id not in root.listRoleIds()["roleIds"]
    assert status_of(lambda: root.role(role_id)) == (404, "ResourceNotFound")
    assert status_of(lambda: root.updateRole(role_id, {"description": "", "scopes": []})) == (
        404,
        "ResourceNotFound",
    )


def test_a_cycle_of_roles_is_refused_on_the_wire(root: taskcluster.Auth) -> None:
    root.createRole("a:*", {"description": "", "scopes": ["assume:b:<..>"]})
    assert status_of(lambda: root.createRole("b:*", {"description": "", "scopes": ["assume:a:<..>"]})) == (
        400,
        "DependencyCycleError",
    )
    assert status_of(lambda: root.createRole("c", {"description": "", "scopes": ["x**"]})) == (
        400,
        "InputError",
    )
    assert status_of(lambda: root.createRole("c", {"description": "", "scopes": ["é"]})) == (
        400,
        "InputValidationError",
    )


def test_a_refusal_says_what_is_missing_and_how_to_get_it(alice: taskcluster.Auth) -> None:
    with pytest.raises(TaskclusterRestFailure) as caught:
        alice.createClient("people/alice/ci", wanted("x:1", "y:1"))
    assert caught.value.status_code == 403
    body = caught.value.body
    assert body["code"] == "InsufficientScopes"
    assert "Missing:\n\ny:1\n" in body["message"]
    assert "liftlock access explain" in body["message"]
    assert body["details"]["unsatisfied"] == "y:1"
    assert body["details"]["required"] == {"AllOf": ["auth:create-client:people/alice/ci", "x:1", "y:1"]}


def test_temporary_and_limited_credentials_of_the_official_client_work(
    served: Served, alice: taskcluster.Auth
) -> None:
    credentials = alice.options["credentials"]
    now = datetime.now(UTC)
    for name in (None, "people/alice/laptop"):
        temporary = taskcluster.createTemporaryCredentials(
            credentials["clientId"].decode(),
            credentials["accessToken"].decode(),
            now,
            now + timedelta(hours=1),
            ["x:1", "x:2"],
            name,
        )
        assert client_of(served, dict(temporary)).currentScopes()["scopes"] == [
            "assume:anonymous",
            "x:1",
            "x:2",
        ]
        limited = client_of(served, dict(temporary), authorizedScopes=["x:2"])
        assert limited.currentScopes()["scopes"] == ["assume:anonymous", "x:2"]
        widened = client_of(served, dict(temporary), authorizedScopes=["x:3"])
        with pytest.raises(TaskclusterAuthFailure, match="authorizedScopes"):
            widened.currentScopes()


def test_a_signed_link_of_the_official_client_works_for_get_alone(root: taskcluster.Auth) -> None:
    url = root.buildSignedUrl("role", "dev")
    assert requests.get(url, timeout=10).status_code == 404
    url = root.buildSignedUrl("currentScopes")
    assert requests.get(url, timeout=10).json()["scopes"] == ["*"]
    refused = requests.post(root.buildSignedUrl("role", "dev"), json={}, timeout=10)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "hawk"
    both = requests.get(url, headers={"authorization": 'Hawk id="a"'}, timeout=10)
    assert both.status_code == 401
    assert "together" in both.json()["message"]


def test_a_captured_write_is_refused_when_it_is_sent_again(served: Served, root: taskcluster.Auth) -> None:
    sent: list[requests.PreparedRequest] = []

    def remember(response: requests.Response, **_: Any) -> None:
        sent.append(response.request)

    session = requests.Session()
    session.hooks["response"].append(remember)
    original = taskcluster.utils.makeSingleHttpRequest

    def through_session(method: str, url: str, payload: Any, headers: Any) -> requests.Response:
        return session.request(method.upper(), url, data=payload, headers=headers, timeout=10)

    taskcluster.utils.makeSingleHttpRequest = through_session
    try:
        root.createRole("captured", {"description": "", "scopes": ["x"]})
    finally:
        taskcluster.utils.makeSingleHttpRequest = original
    root.deleteRole("captured")
    again = requests.Session().send(sent[0], timeout=10)
    assert (again.status_code, again.json()["code"]) == (401, "AuthenticationFailed")
    assert "was received before" in again.json()["message"]
    assert "captured" not in root.listRoleIds()["roleIds"]


@pytest.mark.parametrize("method", ["testAuthenticate", "testAuthenticateGet"])
def test_signing_can_be_tried_out_as_the_tester(served: Served, method: str) -> None:
    tester = client_of(served, {"clientId": "tester", "accessToken": "no-secret"})
    wrong = client_of(served, {"clientId": "tester", "accessToken": "no"})
    if method == "testAuthenticate":
        payload = [{"clientScopes": ["test:a"], "requiredScopes": ["test:a"]}]
        expected = {"clientId": "tester", "scopes": ["assume:anonymous", "test:a"]}
        lacking = {"clientScopes": [], "requiredScopes": ["test:a"]}
        assert status_of(lambda: tester.testAuthenticate(lacking)) == (403, "InsufficientScopes")
    else:
        payload = []
        expected = {
            "clientId": "tester",
            "scopes": ["assume:anonymous", "auth:create-client:test:*", "test:*"],
        }
        url = tester.buildSignedUrl("testAuthenticateGet")
        assert requests.get(url, timeout=10).json() == expected
    answer = getattr(tester, method)(*payload)
    check("test-authenticate-response", answer)
    assert answer == expected
    with pytest.raises(TaskclusterAuthFailure, match="signature does not match"):
        getattr(wrong, method)(*payload)


def test_somebody_elses_request_is_authenticated(served: Served, root: taskcluster.Auth) -> None:
    made = root.createClient("people/bob", wanted("x:1"))
    url = "https://other.example/v1/thing?a=b"
    header = mohawk.Sender(
        {"id": "people/bob", "key": made["accessToken"], "algorithm": "sha256"},
        url,
        "POST",
        content="{}",
        content_type="application/json",
    ).request_header
    request = {
        "method": "post",
        "resource": "/v1/thing?a=b",
        "host": "other.example",
        "port": 443,
        "authorization": header,
    }
    anybody = taskcluster.Auth({"rootUrl": served.root_url, "maxRetries": 0})
    found = anybody.authenticateHawk(request)
    check("authenticate-hawk-response", found)
    assert (found["status"], found["clientId"], found["scopes"]) == (
        "auth-success",
        "people/bob",
        ["assume:anonymous", "x:1"],
    )
    assert found["hash"]
    failed = anybody.authenticateHawk({**request, "port": 80})
    check("authenticate-hawk-response", failed)
    assert failed["status"] == "auth-failed"
    none = anybody.authenticateHawk({key: request[key] for key in ("method", "resource", "host", "port")})
    check("authenticate-hawk-response", none)
    assert (none["status"], none["scopes"]) == ("no-auth", ["assume:anonymous"])


def test_the_history_tells_who_did_what_and_the_difference(root: taskcluster.Auth) -> None:
    root.createClient("people/bob", wanted("x:1"))
    root.updateClient("people/bob", wanted("x:2"))
    root.disableClient("people/bob")
    history = root.listAuditHistory("people/bob")
    check("get-entity-history-response", history)
    assert [entry["actionType"] for entry in history["auditHistory"]] == ["disabled", "updated", "created"]
    assert {entry["clientId"] for entry in history["auditHistory"]} == {"static/liftlock/root"}
    details = history["auditHistory"][1]["details"]
    assert (details["scopesAdded"], details["scopesRemoved"]) == (["x:2"], ["x:1"])
    first = root.getEntityHistory("client", "people/bob", query={"limit": "2"})
    assert len(first["auditHistory"]) == 2
    rest = root.getEntityHistory(
        "client", "people/bob", query={"limit": "2", "continuationToken": first["continuationToken"]}
    )
    assert [entry["actionType"] for entry in rest["auditHistory"]] == ["created"]
    assert "continuationToken" not in rest


def test_a14_everyone_is_told_why_he_may_not_and_by_which_role_he_may(
    served: Served, root: taskcluster.Auth, alice: taskcluster.Auth
) -> None:
    root.createRole("release", {"description": "", "scopes": ["ship:*"]})
    body = {"need": {"AllOf": ["x:1", {"AnyOf": ["ship:now", "assume:release"]}]}}
    mine = alice._makeApiCall({**EXPLAIN, "name": "explain"}, body)
    check("explain-response", mine)
    assert (mine["clientId"], mine["satisfied"]) == ("people/alice", False)
    held, either = mine["tree"]["parts"]
    assert (held["satisfied"], held["by"]) == (True, "x:*")
    assert held["chain"] == [
        {"held": "(a role you may not see)", "roleId": "(a role you may not see)", "given": "x:*"}
    ]
    assert [part["grantorRoles"] for part in either["parts"]] == [[], []]
    shown = root._makeApiCall({**EXPLAIN, "name": "explain"}, {**body, "clientId": "people/alice"})
    check("explain-response", shown)
    held, either = shown["tree"]["parts"]
    assert held["chain"] == [{"held": "assume:dev", "roleId": "dev", "given": "x:*"}]
    assert either["parts"][0]["grantorRoles"] == ["release"]
    assert {"clientId": "static/liftlock/root", "by": "auth:update-client:people/alice"} in either["parts"][
        0
    ]["grantorClients"]
    with pytest.raises(TaskclusterRestFailure, match="auth:get-client:static/liftlock/root"):
        alice._makeApiCall({**EXPLAIN, "name": "explain"}, {**body, "clientId": "static/liftlock/root"})


EXPLAIN = {"args": [], "input": "v1/explain-request.json#", "method": "post", "route": "/explain"}
