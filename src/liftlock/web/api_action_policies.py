"""Standing policies of action hooks over HTTP, as a part of the pushes service.

Source: docs/reference/actions.md#policy
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liftlock.domain.actions.policy import DomainPolicy
from liftlock.services.action_policies import ActionPolicies
from liftlock.services.bring_hooks import BringHooks
from liftlock.web.push_wire import admission_wire
from liftlock.web.routing import ApiRequest, Handler, Method, Route


def routes(policies: ActionPolicies, bring: BringHooks) -> list[Route]:
    """Return the routes of policies, and of bringing hooks again."""

    async def listed(request: ApiRequest) -> object:
        found = await policies.list(request.caller)
        return {
            "policies": [
                {"trustDomain": name, **policy_wire(policy)} for name, policy in sorted(found.items())
            ]
        }

    async def put(request: ApiRequest) -> object:
        policy = _policy(request.payload)
        gone = await policies.put(request.caller, request.params["trustDomain"], policy, request.now)
        return policy_wire(policy) | {"withdrawn": [admission_wire(each) for each in gone]}

    async def remove(request: ApiRequest) -> object:
        await policies.remove(request.caller, request.params["trustDomain"], request.now)
        return None

    async def again(request: ApiRequest) -> object:
        return {"branches": await bring(request.caller, request.params["project"], request.now)}

    where, manage = "/action-policy/<trustDomain>", "pushes:manage-action-policy:<trustDomain>"
    return [
        _route(
            "GET",
            "/action-policies",
            "listActionPolicies",
            listed,
            "List the stored policies of action hooks",
            scopes="pushes:list-action-policies",
        ),
        _route(
            "PUT",
            where,
            "putActionPolicy",
            put,
            "Say for which permissions a trust domain's pushes bring hooks",
            description=(
                "Content that was admitted and would not be any more is withdrawn: the answer lists it, and its hooks are"
                " refused."
            ),
            input="pushes/action-policy",
            scopes=manage,
        ),
        _route("DELETE", where, "removeActionPolicy", remove, "Forget a stored policy", scopes=manage),
        _route(
            "POST",
            "/project/<project>/hooks",
            "bringHooks",
            again,
            "Bring the action hooks of a project's branches again",
            description="After a change of policy. It makes what a push of the same content would make.",
            scopes="pushes:manage-project:<project>",
        ),
    ]


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="pushes", method=method, path=path, name=name, handler=handler, title=title, **more)


def policy_wire(policy: DomainPolicy) -> dict[str, Any]:
    """Return the policy as JSON."""
    return {
        "levels": sorted(policy.levels),
        "permissions": sorted(policy.permissions),
        "selfAdmitted": sorted(policy.self_admitted),
        "inputSchemas": policy.input_schema,
    }


def _policy(payload: Mapping[str, Any]) -> DomainPolicy:
    return DomainPolicy(
        levels=tuple(payload["levels"]),
        permissions=tuple(payload["permissions"]),
        self_admitted=tuple(payload["selfAdmitted"]),
        input_schema=payload["inputSchemas"],
    )
