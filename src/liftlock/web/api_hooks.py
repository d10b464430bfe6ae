"""Hooks over HTTP.

Source: docs/reference/hooks.md
"""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.domain.scopes.satisfaction import AllOf, AnyOf, Expression, to_wire
from liftlock.ports.hook_store import FireRecord, HookRecord
from liftlock.services.fire_hook import Fired, FireHook
from liftlock.services.hooks import NEWEST, Hooks
from liftlock.services.simulate_hook import SimulateHook
from liftlock.values.instants import format_instant
from liftlock.web.paging import QUERY, limit_of, number_after, token
from liftlock.web.routing import ApiRequest, Handler, Method, Route

_HOOK = "/hooks/<hookGroupId>/<hookId>"


def _ids(request: ApiRequest) -> tuple[str, str]:
    return request.params["hookGroupId"], request.params["hookId"]


class _Keeping:
    """Handlers that show and change hooks."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    async def groups(self, request: ApiRequest) -> object:
        return {"groups": await self._hooks.groups(request.caller)}

    async def of_group(self, request: ApiRequest) -> object:
        found = await self._hooks.of_group(request.caller, request.params["hookGroupId"])
        return {"hooks": [hook.document for hook in found]}

    async def get(self, request: ApiRequest) -> object:
        return (await self._hooks.get(request.caller, *_ids(request))).document

    async def status(self, request: ApiRequest) -> object:
        return status_wire(*await self._hooks.status(request.caller, *_ids(request)))

    async def create(self, request: ApiRequest) -> object:
        return (
            await self._hooks.create(request.caller, *_ids(request), request.payload, request.now)
        ).document

    async def update(self, request: ApiRequest) -> object:
        return (
            await self._hooks.update(request.caller, *_ids(request), request.payload, request.now)
        ).document

    async def remove(self, request: ApiRequest) -> object:
        await self._hooks.remove(request.caller, *_ids(request), request.now)
        return None

    async def token(self, request: ApiRequest) -> object:
        return {"token": await self._hooks.token(request.caller, *_ids(request), request.now)}

    async def reset_token(self, request: ApiRequest) -> object:
        return {"token": await self._hooks.reset_token(request.caller, *_ids(request), request.now)}

    async def last_fires(self, request: ApiRequest) -> object:
        limit, before = limit_of(request.query), number_after(request.query) or NEWEST
        found = await self._hooks.fires(request.caller, *_ids(request), before=before, limit=limit)
        more = {"continuationToken": token(found[-1].id)} if len(found) == limit else {}
        return {"lastFires": [_fire_wire(fire) for fire in found], **more}


class _Firing:
    """Handlers that fire hooks, or show what that would do."""

    def __init__(self, fire: FireHook, simulate: SimulateHook) -> None:
        self._fire = fire
        self._simulate = simulate

    async def trigger(self, request: ApiRequest) -> object:
        fired = await self._fire.by_trigger(request.caller, *_ids(request), request.payload, request.now)
        return _fired_wire(fired)

    async def trigger_with_token(self, request: ApiRequest) -> object:
        fired = await self._fire.by_token(
            request.caller, *_ids(request), request.params["token"], request.payload, request.now
        )
        return _fired_wire(fired)

    async def simulate(self, request: ApiRequest) -> object:
        found = await self._simulate(request.caller, *_ids(request), request.payload, request.now)
        return msgspec.to_builtins(found)


def _fired_wire(fired: Fired) -> dict[str, Any]:
    return {} if fired.status is None else {"taskId": fired.task_id, "status": fired.status}


def status_wire(hook: HookRecord, last: FireRecord | None) -> dict[str, Any]:
    """Return what getHookStatus answers."""
    due = {} if hook.next_fire is None else {"nextScheduledDate": format_instant(hook.next_fire)}
    if last is None or last.result == "no-fire":
        return {"lastFire": {"result": "no-fire"}, **due}
    outcome = {"taskId": last.task_id} if last.result == "success" else {"error": {"message": last.error}}
    return {"lastFire": {"result": last.result, **outcome, "time": format_instant(last.at)}, **due}


def _fire_wire(fire: FireRecord) -> dict[str, Any]:
    return {
        "hookGroupId": fire.hook_group_id,
        "hookId": fire.hook_id,
        "firedBy": fire.fired_by,
        "taskId": fire.task_id,
        "taskCreateTime": format_instant(fire.at),
        "result": fire.result,
        "error": fire.error,
        "actor": fire.actor,
        "payloadDigest": fire.payload_digest,
        "hookVersion": fire.hook_version,
    }


def routes(hooks: Hooks, fire: FireHook, simulate: SimulateHook) -> list[Route]:
    """Return the routes of the hooks service."""
    return [*_keeping_routes(_Keeping(hooks)), *_firing_routes(_Firing(fire, simulate))]


def _keeping_routes(keep: _Keeping) -> list[Route]:
    modify = AllOf("hooks:modify-hook:<hookGroupId>/<hookId>", "assume:hook-id:<hookGroupId>/<hookId>")
    change = {"input": "hooks/create-hook-request", "output": "hooks/hook-definition"}
    return [
        _route("GET", "/hooks", "listHookGroups", keep.groups, "List hook groups", "hooks:list-hooks:",
               output="hooks/list-hook-groups-response"),
        _route("GET", "/hooks/<hookGroupId>", "listHooks", keep.of_group, "List the hooks of a group",
               "hooks:list-hooks:<hookGroupId>", output="hooks/list-hooks-response"),
        _route("GET", _HOOK, "hook", keep.get, "Show a hook", "hooks:get:<hookGroupId>:<hookId>",
               output="hooks/hook-definition"),
        _route("GET", f"{_HOOK}/status", "getHookStatus", keep.status, "Show how a hook fired last",
               "hooks:status:<hookGroupId>/<hookId>", output="hooks/hook-status", stability="deprecated"),
        _route("PUT", _HOOK, "createHook", keep.create, "Create a hook", modify, **change),
        _route("POST", _HOOK, "updateHook", keep.update, "Change a hook", modify, **change),
        _route("DELETE", _HOOK, "removeHook", keep.remove, "Delete a hook",
               "hooks:modify-hook:<hookGroupId>/<hookId>"),
        _route("GET", f"{_HOOK}/token", "getTriggerToken", keep.token, "Show the token that triggers a hook",
               "hooks:get-trigger-token:<hookGroupId>/<hookId>", output="hooks/trigger-token-response"),
        _route("POST", f"{_HOOK}/token", "resetTriggerToken", keep.reset_token, "Replace the token that triggers a hook",
               "hooks:reset-trigger-token:<hookGroupId>/<hookId>", output="hooks/trigger-token-response"),
        _route("GET", f"{_HOOK}/last-fires", "listLastFires", keep.last_fires, "List the last fires of a hook",
               "hooks:list-last-fires:<hookGroupId>/<hookId>", output="hooks/list-last-fires-response", query=QUERY),
    ]  # fmt: skip


def _firing_routes(fire: _Firing) -> list[Route]:
    trigger = "hooks:trigger-hook:<hookGroupId>/<hookId>"
    asked = {"input": "hooks/trigger-hook"}
    return [
        _route("POST", f"{_HOOK}/trigger", "triggerHook", fire.trigger, "Fire a hook", trigger, **asked,
               output="hooks/trigger-hook-response"),
        _route("POST", f"{_HOOK}/trigger/<token>", "triggerHookWithToken", fire.trigger_with_token,
               "Fire a hook by its token", None, **asked, output="hooks/trigger-hook-response"),
        _route("POST", f"{_HOOK}/simulate", "simulateHook", fire.simulate, "Show what firing a hook would do",
               AnyOf(trigger, "hooks:get:<hookGroupId>:<hookId>"), **asked, output="hooks/simulate-hook-response"),
    ]  # fmt: skip


def _route(
    method: Method, path: str, name: str, handler: Handler, title: str, needs: Expression | None, **more: Any
) -> Route:
    scopes = None if needs is None else to_wire(needs)
    return Route(
        service="hooks",
        method=method,
        path=path,
        name=name,
        handler=handler,
        title=title,
        scopes=scopes,
        **more,
    )
