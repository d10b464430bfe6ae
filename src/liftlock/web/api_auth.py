"""The auth service: clients, roles, scopes, and whether a request's credentials prove anything."""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.credentials.authentication import Signed
from liftlock.domain.credentials.hawk import Target
from liftlock.domain.scopes.refusal_rules import RULES
from liftlock.domain.scopes.satisfaction import parse_expression
from liftlock.errors import (
    AuthenticationFailedError,
    InputInvalidError,
    NotFoundError,
    RequestArgumentsError,
)
from liftlock.services.clients import Clients, NewToken
from liftlock.services.explain_access import ExplainAccess
from liftlock.services.inspect_access import InspectAccess
from liftlock.services.remote_authentication import RemoteAuthentication, authenticate_tester
from liftlock.services.roles import ALL, Roles
from liftlock.values.instants import format_instant
from liftlock.web.auth_wire import (
    MAX_LIMIT,
    client_input,
    client_wire,
    explanation_wire,
    history_wire,
    limit_of,
    role_wire,
    token_of,
    with_token,
)
from liftlock.web.routing import ApiRequest, Handler, Method, Route

_TEST_SCOPES: Final = ("test:*", "auth:create-client:test:*")
_TEST_NEED: Final = ("test:authenticate-get",)
_PAGE: Final = ("continuationToken", "limit")
_NEWEST: Final = str(2**62)


def routes(
    clients: Clients,
    roles: Roles,
    inspect: InspectAccess,
    explain: ExplainAccess,
    remote: RemoteAuthentication,
) -> list[Route]:
    """Return the service's routes, but for `/ping` and its like."""
    return [
        *_client_routes(_ClientHandlers(clients)),
        *_role_routes(_RoleHandlers(roles)),
        *_inspection_routes(_InspectionHandlers(inspect, explain)),
        _rule_route(),
        *_authentication_routes(remote),
        *_routes_not_offered(),
    ]


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="auth", method=method, path=path, name=name, handler=handler, title=title, **more)


def _rule_route() -> Route:
    async def rule(request: ApiRequest) -> object:
        name = request.params["rule"]
        found = RULES.get(name)
        if found is None:
            raise NotFoundError(f"no refusal has the rule {name[:64]!r}; there are: {', '.join(RULES)}")
        return {"rule": name, "holds": found.holds, "remedy": found.remedy, "page": found.page}

    return _route(
        "GET",
        "/refusal-rule/<rule>",
        "refusalRule",
        rule,
        "Explain a refusal that names a rule",
        description="What must hold, what to do, and where it is documented. Refusals for want of scopes: see explain.",
        output="auth/refusal-rule-response",
    )


class _ClientHandlers:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def list(self, request: ApiRequest) -> object:
        views, more = await self._clients.list(
            request.caller,
            prefix=request.query.get("prefix", ""),
            after=token_of(request.query),
            limit=limit_of(request.query, MAX_LIMIT),
            now=request.now,
        )
        return with_token({"clients": [client_wire(view) for view in views]}, more)

    async def get(self, request: ApiRequest) -> object:
        return client_wire(await self._clients.get(request.caller, request.params["clientId"], request.now))

    async def create(self, request: ApiRequest) -> object:
        given = client_input(request.payload)
        made = await self._clients.create(request.caller, request.params["clientId"], given, request.now)
        return _with_access_token(made)

    async def update(self, request: ApiRequest) -> object:
        given = client_input(request.payload)
        view = await self._clients.update(request.caller, request.params["clientId"], given, request.now)
        return client_wire(view)

    async def enable(self, request: ApiRequest) -> object:
        return await self._set_disabled(request, disabled=False)

    async def disable(self, request: ApiRequest) -> object:
        return await self._set_disabled(request, disabled=True)

    async def _set_disabled(self, request: ApiRequest, *, disabled: bool) -> object:
        return client_wire(
            await self._clients.set_disabled(
                request.caller, request.params["clientId"], request.now, disabled=disabled
            )
        )

    async def reset(self, request: ApiRequest) -> object:
        made = await self._clients.reset_token(request.caller, request.params["clientId"], request.now)
        return _with_access_token(made)

    async def delete(self, request: ApiRequest) -> None:
        await self._clients.delete(request.caller, request.params["clientId"], request.now)


def _with_access_token(made: NewToken) -> dict[str, Any]:
    return {**client_wire(made.view), "accessToken": made.access_token}


def _client_routes(handle: _ClientHandlers) -> list[Route]:
    one = "/clients/<clientId>"
    full: dict[str, Any] = {"output": "auth/get-client-response"}
    token: dict[str, Any] = {"output": "auth/create-client-response"}
    given: dict[str, Any] = {"input": "auth/create-client-request"}
    added = {
        "AllOf": ["auth:update-client:<clientId>", {"for": "scope", "in": "scopesAdded", "each": "<scope>"}]
    }
    made = {"AllOf": ["auth:create-client:<clientId>", {"for": "scope", "in": "scopes", "each": "<scope>"}]}
    return [
        _route(
            "GET",
            "/clients/",
            "listClients",
            handle.list,
            "List clients",
            query=("prefix", *_PAGE),
            output="auth/list-clients-response",
            scopes="auth:list-clients",
        ),
        _route("GET", one, "client", handle.get, "See a client", scopes="auth:get-client:<clientId>", **full),
        _route("PUT", one, "createClient", handle.create, "Make a client", scopes=made, **given, **token),
        _route("POST", one, "updateClient", handle.update, "Change a client", scopes=added, **given, **full),
        _route(
            "DELETE",
            one,
            "deleteClient",
            handle.delete,
            "Delete a client",
            scopes="auth:delete-client:<clientId>",
        ),
        _route(
            "POST",
            f"{one}/enable",
            "enableClient",
            handle.enable,
            "Enable a client",
            scopes="auth:enable-client:<clientId>",
            **full,
        ),
        _route(
            "POST",
            f"{one}/disable",
            "disableClient",
            handle.disable,
            "Disable a client",
            scopes="auth:disable-client:<clientId>",
            **full,
        ),
        _route(
            "POST",
            f"{one}/reset",
            "resetAccessToken",
            handle.reset,
            "Give a client a new access token",
            scopes="auth:reset-access-token:<clientId>",
            **token,
        ),
    ]


class _RoleHandlers:
    def __init__(self, roles: Roles) -> None:
        self._roles = roles

    async def list_all(self, request: ApiRequest) -> object:
        views, _ = await self._roles.list(request.caller, after="", limit=ALL, now=request.now)
        return [role_wire(view) for view in views]

    async def list(self, request: ApiRequest) -> object:
        views, more = await self._roles.list(
            request.caller,
            after=token_of(request.query),
            limit=limit_of(request.query, ALL),
            now=request.now,
        )
        return with_token({"roles": [role_wire(view) for view in views]}, more)

    async def list_ids(self, request: ApiRequest) -> object:
        views, more = await self._roles.list(
            request.caller,
            after=token_of(request.query),
            limit=limit_of(request.query, ALL),
            now=request.now,
        )
        return with_token({"roleIds": [view.record.role_id for view in views]}, more)

    async def get(self, request: ApiRequest) -> object:
        return role_wire(await self._roles.get(request.caller, request.params["roleId"], request.now))

    async def create(self, request: ApiRequest) -> object:
        return await self._put(request, create=True)

    async def update(self, request: ApiRequest) -> object:
        return await self._put(request, create=False)

    async def _put(self, request: ApiRequest, *, create: bool) -> object:
        change = self._roles.create if create else self._roles.update
        view = await change(
            request.caller,
            request.params["roleId"],
            request.payload["description"],
            tuple(request.payload["scopes"]),
            request.now,
        )
        return role_wire(view)

    async def delete(self, request: ApiRequest) -> None:
        await self._roles.delete(request.caller, request.params["roleId"], request.now)


def _role_routes(handle: _RoleHandlers) -> list[Route]:
    one = "/roles/<roleId>"
    listing: dict[str, Any] = {"scopes": "auth:list-roles"}
    full: dict[str, Any] = {"output": "auth/get-role-response"}
    given: dict[str, Any] = {"input": "auth/create-role-request"}
    made = {"AllOf": ["auth:create-role:<roleId>", {"for": "scope", "in": "scopes", "each": "<scope>"}]}
    added = {"AllOf": ["auth:update-role:<roleId>", {"for": "scope", "in": "scopesAdded", "each": "<scope>"}]}
    return [
        _route(
            "GET",
            "/roles/",
            "listRoles",
            handle.list_all,
            "List all roles",
            output="auth/list-roles-response",
            **listing,
        ),
        _route(
            "GET",
            "/roles2/",
            "listRoles2",
            handle.list,
            "List roles, in pages",
            query=_PAGE,
            output="auth/list-roles2-response",
            **listing,
        ),
        _route(
            "GET",
            "/roleids/",
            "listRoleIds",
            handle.list_ids,
            "List the ids of roles",
            query=_PAGE,
            output="auth/list-role-ids-response",
            **listing,
        ),
        _route("GET", one, "role", handle.get, "See a role", scopes="auth:get-role:<roleId>", **full),
        _route("PUT", one, "createRole", handle.create, "Make a role", scopes=made, **given, **full),
        _route("POST", one, "updateRole", handle.update, "Change a role", scopes=added, **given, **full),
        _route(
            "DELETE", one, "deleteRole", handle.delete, "Delete a role", scopes="auth:delete-role:<roleId>"
        ),
    ]


class _InspectionHandlers:
    def __init__(self, inspect: InspectAccess, explain: ExplainAccess) -> None:
        self._inspect = inspect
        self._explain = explain

    async def expand(self, request: ApiRequest) -> object:
        return {
            "scopes": list(await self._inspect.expand(request.caller, request.payload["scopes"], request.now))
        }

    async def current(self, request: ApiRequest) -> object:
        return {"scopes": list(request.caller.scopes)}

    async def explain(self, request: ApiRequest) -> object:
        scopes = request.payload.get("scopes")
        explanation = await self._explain(
            request.caller,
            parse_expression(request.payload["need"]),
            request.now,
            client_id=request.payload.get("clientId"),
            scopes=None if scopes is None else tuple(scopes),
        )
        return explanation_wire(explanation)

    async def history(self, request: ApiRequest) -> object:
        entity_type, entity_id = request.params["entityType"], request.params["entityId"]
        entries, more = await self._inspect.history(
            request.caller,
            entity_type,
            entity_id,
            before=_before(request),
            limit=limit_of(request.query, MAX_LIMIT),
        )
        return history_wire(entries, entity_type, entity_id, more)

    async def client_history(self, request: ApiRequest) -> object:
        client_id = request.params["clientId"]
        entries, more = await self._inspect.client_history(
            request.caller, client_id, before=_before(request), limit=limit_of(request.query, MAX_LIMIT)
        )
        return history_wire(entries, "client", client_id, more)


def _before(request: ApiRequest) -> int:
    text = token_of(request.query, _NEWEST)
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise RequestArgumentsError("continuationToken: expected one that an earlier answer had")
    return int(text)


def _inspection_routes(handle: _InspectionHandlers) -> list[Route]:
    history: dict[str, Any] = {"query": _PAGE, "output": "auth/get-entity-history-response"}
    scopeset: dict[str, Any] = {"output": "auth/scopeset"}
    return [
        _route(
            "POST",
            "/scopes/expand",
            "expandScopes",
            handle.expand,
            "Expand scopes",
            input="auth/scopeset",
            scopes="auth:expand-scopes",
            **scopeset,
        ),
        _route(
            "GET",
            "/scopes/current",
            "currentScopes",
            handle.current,
            "See one's own scopes",
            description="The scopes of this request: expanded, limited by authorizedScopes. Needs none: everyone may.",
            **scopeset,
        ),
        _route(
            "POST",
            "/explain",
            "explain",
            handle.explain,
            "Explain why one may or may not",
            description="The need as a tree: each scope satisfied or missing, by which roles, and who could grant it.",
            input="auth/explain-request",
            output="auth/explain-response",
        ),
        _route(
            "GET",
            "/audit/<entityType>/<entityId>",
            "getEntityHistory",
            handle.history,
            "See who changed something",
            scopes="auth:audit-history:<entityType>",
            **history,
        ),
        _route(
            "GET",
            "/clients/<clientId>/audit",
            "listAuditHistory",
            handle.client_history,
            "See who changed a client",
            scopes="auth:client-audit-history:<clientId>",
            **history,
        ),
    ]


def _authentication_routes(remote: RemoteAuthentication) -> list[Route]:
    async def authenticate_hawk(request: ApiRequest) -> object:
        said = request.payload
        target = Target(said["method"].upper(), said["resource"], said["host"].lower(), said["port"])
        try:
            found = await remote(Signed(target, said.get("authorization")), request.now)
        except AuthenticationFailedError as error:
            return {"status": "auth-failed", "message": error.message}
        answer: dict[str, Any] = {"scopes": list(found.scopes), "expires": format_instant(found.expires)}
        if found.scheme == "none":
            return {"status": "no-auth", "scheme": "none", **answer}
        if found.payload_hash is not None:
            answer["hash"] = found.payload_hash
        return {"status": "auth-success", "scheme": "hawk", "clientId": found.client_id, **answer}

    async def test(request: ApiRequest) -> object:
        scopes, required = (tuple(request.payload[name]) for name in ("clientScopes", "requiredScopes"))
        tested = authenticate_tester(request.facts, scopes, required, request.now)
        return {"clientId": tested.client_id, "scopes": list(tested.scopes)}

    async def test_get(request: ApiRequest) -> object:
        tested = authenticate_tester(request.facts, _TEST_SCOPES, _TEST_NEED, request.now)
        return {"clientId": tested.client_id, "scopes": list(tested.scopes)}

    tested: dict[str, Any] = {"output": "auth/test-authenticate-response", "authenticated": False}
    return [
        _route(
            "POST",
            "/authenticate-hawk",
            "authenticateHawk",
            authenticate_hawk,
            "Tell who made a request that somebody received",
            input="auth/authenticate-hawk-request",
            output="auth/authenticate-hawk-response",
            authenticated=False,
        ),
        _route(
            "POST",
            "/test-authenticate",
            "testAuthenticate",
            test,
            "Try out signing, as client `tester` with token `no-secret`",
            input="auth/test-authenticate-request",
            **tested,
        ),
        _route(
            "GET",
            "/test-authenticate-get/",
            "testAuthenticateGet",
            test_get,
            "Try out signed links, as client `tester` with token `no-secret`",
            **tested,
        ),
    ]


def _routes_not_offered() -> list[Route]:
    """Credentials for other systems: official clients know these, and get a clear answer."""

    def refuse(name: str) -> Handler:
        async def handler(_request: ApiRequest) -> object:
            raise InputInvalidError(
                f"{name}: liftlock does not offer this; it hands out no other system's credentials"
            )

        return handler

    paths: list[tuple[Method, str, str]] = [
        ("GET", "/aws/s3/<level>/<bucket>/<prefix>", "awsS3Credentials"),
        ("GET", "/gcp/credentials/<projectId>/<serviceAccount>", "gcpCredentials"),
        ("POST", "/github/<appName>/<owner>/repo-token", "githubRepoToken"),
        ("GET", "/sentry/<project>/dsn", "sentryDSN"),
        ("GET", "/websocktunnel/<wstAudience>/<wstClient>", "websocktunnelToken"),
        ("GET", "/azure/accounts", "azureAccounts"),
        ("GET", "/azure/<account>/tables", "azureTables"),
        ("GET", "/azure/<account>/table/<table>/<level>", "azureTableSAS"),
        ("GET", "/azure/<account>/containers", "azureContainers"),
        ("GET", "/azure/<account>/containers/<container>/<level>", "azureContainerSAS"),
    ]
    query = {"awsS3Credentials": ("format",)}
    return [
        _route(
            method,
            path,
            name,
            refuse(name),
            "Not offered",
            query=query.get(name, ()),
            stability="experimental" if name == "githubRepoToken" else "stable",
        )
        for method, path, name in paths
    ]
