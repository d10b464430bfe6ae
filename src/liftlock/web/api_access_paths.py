"""Escalation paths over HTTP: from where, to what, by which steps (A16)."""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.scopes.escalation import PushRight, Reached
from liftlock.services.escalation_paths import SEE_ALL, EscalationPaths, Path, Sight, Start
from liftlock.web.routing import ApiRequest, Handler, Route

HIDDEN: Final[dict[str, str]] = {
    "hook": "(a hook you may not see)",
    "client": "(a client you may not see)",
    "push": "(a role you may not see)",
    "scope": "(a scope you may not see)",
}
_OTHERS: Final = "One's own answer needs no scope, and does not name what one may not see."


def routes(paths: EscalationPaths) -> list[Route]:
    """Return the routes below `/escalation/` of the auth service."""
    handle = _Handlers(paths)
    return [
        _route(
            "paths", "escalationPath", handle.path, "Find how a scope is reached", f"The shortest. {_OTHERS}"
        ),
        _route("reach", "escalationReach", handle.reach, "See all that is reached", _OTHERS),
        _route(
            "who",
            "escalationWho",
            handle.who,
            "See who reaches a scope",
            "Clients that may act now, and roles; the nearest first.",
        ),
    ]


def _route(path: str, name: str, handler: Handler, title: str, description: str) -> Route:
    need: dict[str, Any] = {"AllOf": list(SEE_ALL)}
    return Route(
        service="auth",
        method="POST",
        path=f"/escalation/{path}",
        name=name,
        handler=handler,
        title=title,
        description=description,
        input=f"auth/escalation-{path}-request",
        output=f"auth/escalation-{path}-response",
        scopes=need if path == "who" else {"if": "others", "then": need},
    )


class _Handlers:
    def __init__(self, paths: EscalationPaths) -> None:
        self._paths = paths

    async def path(self, request: ApiRequest) -> object:
        wanted = request.payload["to"]
        start, pushes = _start(request.payload), _pushes(request.payload)
        answer = await self._paths.path(request.caller, start, wanted, pushes, request.now)
        path = None if answer.path is None else path_wire(answer.path, answer.sight)
        return {"from": _start_wire(start, request), "to": wanted, "path": path}

    async def reach(self, request: ApiRequest) -> object:
        start, pushes = _start(request.payload), _pushes(request.payload)
        answer = await self._paths.reach(request.caller, start, pushes, request.now)
        return {
            "from": _start_wire(start, request),
            "places": [
                {"steps": steps_wire(reached, answer.sight)} for reached in answer.places if reached.steps
            ],
            "scopes": list(answer.scopes),
            "placesNotShown": answer.hidden,
            "truncated": answer.truncated,
        }

    async def who(self, request: ApiRequest) -> object:
        wanted = request.payload["to"]
        answer = await self._paths.who(request.caller, wanted, _pushes(request.payload), request.now)
        sight = Sight(request.caller, all_of_it=True)
        return {
            "to": wanted,
            "clients": [{"clientId": who, "path": path_wire(path, sight)} for who, path in answer.clients],
            "roles": [{"roleId": who, "path": path_wire(path, sight)} for who, path in answer.roles],
            "truncated": answer.truncated,
        }


def _start(payload: dict[str, Any]) -> Start:
    given = payload.get("from", {})
    scopes = given.get("scopes")
    return Start(given.get("clientId"), given.get("roleId"), None if scopes is None else tuple(scopes))


def _pushes(payload: dict[str, Any]) -> tuple[PushRight, ...]:
    return tuple(PushRight(given["scope"], given["roleId"]) for given in payload.get("pushes", ()))


def _start_wire(start: Start, request: ApiRequest) -> dict[str, Any]:
    if start.role_id is not None:
        return {"roleId": start.role_id}
    if start.scopes is not None:
        return {"scopes": list(start.scopes)}
    return {"clientId": start.client_id or request.caller.client_id}


def path_wire(path: Path, sight: Sight) -> dict[str, Any]:
    given = path.given if sight.scopes(path.reached) else HIDDEN["scope"]
    return {"steps": steps_wire(path.reached, sight), "given": given}


def steps_wire(reached: Reached, sight: Sight) -> list[dict[str, str]]:
    """Return the steps; names and scopes that may not be seen are replaced, and with them the scopes that tell them."""
    found = []
    for number, step in enumerate(reached.steps):
        before = Reached(reached.steps[:number], reached.scopes)
        named = sight.place(Reached(reached.steps[: number + 1], reached.scopes))
        found.append(
            {
                "means": step.means,
                "kind": step.place.kind,
                "name": step.place.name if named else HIDDEN[step.place.kind],
                "needed": step.needed if named else HIDDEN["scope"],
                "held": step.held if sight.scopes(before) else HIDDEN["scope"],
            }
        )
    return found
