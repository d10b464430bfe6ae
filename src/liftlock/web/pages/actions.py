"""Actions of a group or a task: the menu, the form of one, the confirmation of exactly what will happen, and doing it.

A link may fill the form in. It never sends it: what happens needs the form of this page, then that of the confirmation.
"""

from __future__ import annotations

import json
import shlex
from typing import Any, Final

from liftlock.domain.actions.document import Action
from liftlock.domain.actions.naming import in_tree_scope
from liftlock.domain.actions.rendering import default_input
from liftlock.errors import InputInvalidError, InputValidationError, NotFoundError, RequestArgumentsError
from liftlock.ports.task_store import TaskStore
from liftlock.services.offered_actions import Moment, Offer, OfferedActions, check_input
from liftlock.values.ids import is_task_id
from liftlock.values.instants import from_ms, to_ms
from liftlock.values.json import decode
from liftlock.web.pages.markdown import rendered
from liftlock.web.pages.page import Answer, Go, Page, PageRequest, Shown
from liftlock.web.pages.schema_form import form_of, from_yaml, value_of, yaml_text

MAX_PREFILL: Final = 100_000


class Actions:
    """Answers for actions."""

    def __init__(self, tasks: TaskStore, offered: OfferedActions) -> None:
        self._tasks = tasks
        self._offered = offered

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/groups/{group}/actions", self.menu),
            Page("GET", "/tasks/{task}/actions", self.menu_of_task),
            Page("GET", "/groups/{group}/actions/{name}", self.form),
            Page("POST", "/groups/{group}/actions/{name}", self.confirm),
            Page("POST", "/groups/{group}/actions/{name}/run", self.run),
        ]

    async def _offer(self, request: PageRequest, group: str, task_id: str | None) -> Offer:
        for one in (group, task_id or group):
            if not is_task_id(one):
                raise NotFoundError(f"{one[:64]!r} is no task's id")
        return await self._offered.offer(request.caller, group, task_id, request.now)

    async def menu(self, request: PageRequest) -> Answer:
        return await self._menu(request, request.params["group"], request.query.get("task") or None)

    async def menu_of_task(self, request: PageRequest) -> Answer:
        task_id = request.params["task"]
        request.caller.require(f"queue:get-task:{task_id}")
        found = await self._tasks.task(task_id) if is_task_id(task_id) else None
        if found is None:
            raise NotFoundError(f"there is no task {task_id[:64]!r}")
        return await self._menu(request, found.task_group_id, task_id)

    async def _menu(self, request: PageRequest, group: str, task_id: str | None) -> Answer:
        offer = await self._offer(request, group, task_id)
        shown = [
            (action, rendered(action.description), _need(action), request.caller.satisfies(_need(action)))
            for action in offer.relevant()
        ]
        return Shown("actions.html", {**_where(offer), "actions": shown})

    async def form(self, request: PageRequest) -> Answer:
        offer = await self._offer(request, request.params["group"], request.query.get("task") or None)
        action = offer.only(request.params["name"])
        value = default_input(action.schema)
        said = request.query.get("input")
        if said is not None:
            if len(said) > MAX_PREFILL:
                raise RequestArgumentsError(f"input: expected at most {MAX_PREFILL} characters")
            value = decode(said, what="input")
        return _form(
            request, offer, action, value, request.query.get("mode", ""), None, prefilled=said is not None
        )

    async def confirm(self, request: PageRequest) -> Answer:
        offer = await self._offer(request, request.params["group"], request.field("task") or None)
        action = offer.only(request.params["name"])
        mode = request.field("mode")
        try:
            value = _given(request, action, mode)
            check_input(action, value)
        except (InputInvalidError, InputValidationError) as error:
            return _form(request, offer, action, _as_sent(request, action, mode), mode, error.message)
        if request.field("back"):
            return _form(request, offer, action, value, request.field("back"), None)
        moment = self._offered.moment(request.now)
        plan = await self._offered.plan(request.caller, offer, action.name, value, moment, request.now)
        return Shown(
            "action_confirm.html",
            {
                **_where(offer),
                "action": action,
                "plan": plan,
                "moment": f"{moment.task_id} {to_ms(moment.at)}",
                "value": None if action.schema is None else yaml_text(value),
                "sent": json.dumps(value),
                "cli": _command(offer, action, value),
                "need": _need(action),
                "may": request.caller.satisfies(_need(action)),
                "gained": list((plan.task or {}).get("scopes") or ()),
                "inputs": _inputs(plan.task),
                "offers": in_tree_scope(action.hook_group_id, action.hook_id)
                if action.kind == "hook"
                else None,
            },
        )

    async def run(self, request: PageRequest) -> Answer:
        offer = await self._offer(request, request.params["group"], request.field("task") or None)
        value = decode(request.field("input", "null"), what="input")
        made = await self._offered.run(
            request.caller,
            offer,
            request.params["name"],
            value,
            request.field("seal"),
            _moment(request.field("moment")),
            request.now,
        )
        return Go(f"/tasks/{made}" if made else f"/groups/{request.params['group']}")


def _moment(text: str) -> Moment:
    """Return the moment that a confirmation brings back; InputInvalidError."""
    task_id, _, at = text.partition(" ")
    if not is_task_id(task_id) or not (at.isascii() and at.isdigit() and len(at) <= 14):
        raise InputInvalidError("moment: expected what the confirmation's own form has")
    return Moment(task_id, from_ms(int(at)))


def _where(offer: Offer) -> dict[str, Any]:
    task = offer.target.task
    return {
        "group": offer.target.task_group_id,
        "task_id": offer.target.task_id,
        "task_name": None if task is None else str(task["metadata"]["name"]),
    }


def _need(action: Action) -> str:
    """Return what the user needs to trigger the action; of a task's kind, the first of what creating it takes."""
    if action.kind == "hook":
        return f"hooks:trigger-hook:{action.hook_group_id}/{action.hook_id}"
    return f"queue:scheduler-id:{str(action.task.get('schedulerId', '-'))[:64]}"


def _form(
    request: PageRequest,
    offer: Offer,
    action: Action,
    value: Any,
    mode: str,
    error: str | None,
    *,
    prefilled: bool = False,
) -> Answer:
    as_yaml = mode == "yaml"
    text = value if as_yaml and isinstance(value, str) and error else None
    return Shown(
        "action_form.html",
        {
            **_where(offer),
            "action": action,
            "description": rendered(action.description),
            "mode": "yaml" if as_yaml else "",
            "form": None if action.schema is None else form_of(action.schema, value),
            "yaml": "" if action.schema is None else (text if text is not None else yaml_text(value)),
            "error": error,
            "prefilled": prefilled,
            "need": _need(action),
            "may": request.caller.satisfies(_need(action)),
        },
        status=400 if error else 200,
    )


def _given(request: PageRequest, action: Action, mode: str) -> Any:
    if action.schema is None:
        return None
    if mode == "json":
        return decode(request.field("input", "null"), what="input")
    if mode == "yaml":
        return from_yaml(request.field("yaml"), "input")
    return value_of(action.schema, request.form)


def _as_sent(request: PageRequest, action: Action, mode: str) -> Any:
    """Return what to show again of an input that was refused: the text of YAML, or the fields as far as they are read."""
    if mode == "yaml":
        return request.field("yaml")
    try:
        return _given(request, action, mode)
    except InputInvalidError:
        return default_input(action.schema)


def _inputs(task: dict[str, Any] | None) -> list[str]:
    """Return the inputs that the rendered task declares, a line each."""
    payload = (task or {}).get("payload")
    inputs = payload.get("inputs") if isinstance(payload, dict) else None
    return [json.dumps(one)[:300] for one in inputs[:50]] if isinstance(inputs, list) else []


def _command(offer: Offer, action: Action, value: Any) -> str:
    words = ["liftlock", "action", "run", offer.target.task_group_id, action.name]
    if offer.target.task_id is not None:
        words += ["--task-id", offer.target.task_id]
    if action.schema is not None:
        words += ["--input", json.dumps(value)]
    return shlex.join(words)
