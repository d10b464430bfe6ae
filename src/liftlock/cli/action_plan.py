"""What running an action would do, found out before it is done: rendered, checked, and shown to who asked."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from liftlock.cli.action_offer import Offer
from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError, UsageError
from liftlock.domain.actions.document import Action
from liftlock.domain.actions.naming import in_tree_scope
from liftlock.domain.actions.rendering import default_input, render_payload, render_task
from liftlock.domain.hooks.trigger_schema import compile_trigger_schema
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import InputInvalidError, InputValidationError, LiftlockError

NOT_GIVEN: Final = object()
MAX_INPUT: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """One action, ready to run. `task` is the task as it would be created, as far as that is known.

    `sent` is the hook's payload or the task's definition; `problem` is what is in the way, None if nothing is known to be.
    """

    action: Action
    what: str
    sent: dict[str, Any]
    own_task_id: str
    task: dict[str, Any] | None
    authorized_scopes: list[str]
    notes: tuple[str, ...]
    problem: LiftlockError | None

    def run(self, api: Api) -> str:
        """Do it, and return the id of the task that was created."""
        if self.action.kind == "task":
            # Source: A4: the user needs every scope, and creation is limited to those of the decision task.
            api.call(
                "PUT",
                "queue",
                "task",
                self.own_task_id,
                payload=self.sent,
                authorized_scopes=self.authorized_scopes,
            )
            return self.own_task_id
        answer = api.post(
            "hooks", "hooks", self.action.hook_group_id, self.action.hook_id, "trigger", payload=self.sent
        )
        task_id = (answer.get("status") or {}).get("taskId") or answer.get("taskId")
        if not isinstance(task_id, str):
            raise AnsweredError(
                200, "Answered", "the hook's template rendered to nothing: no task was created"
            )
        return task_id


def read_input(given: str | None) -> Any:
    """Return the value that `--input` names, or `NOT_GIVEN`.

    Raises:
        UsageError: it can't be read, or is neither JSON nor YAML.
    """
    if given is None:
        return NOT_GIVEN
    text = _text_of(given)
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        value = yaml.safe_load(text)
        json.dumps(value)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"--input: expected JSON or YAML of JSON values: {error}") from error
    return value


def make_plan(api: Api, offer: Offer, name: str, given: Any) -> Plan:
    """Return what running the action would do; nothing is created.

    Raises:
        InputInvalidError: there is no such action, or more than one.
        InputValidationError: the input does not fit the action's schema.
        TemplateRefusedError: the action's template fails.
    """
    action = offer.file.only(name, offer.tags)
    notes: list[str] = []
    value = _checked_input(action, given, notes)
    if action.kind == "task":
        return _plan_task(offer, action, value, notes)
    return _plan_hook(api, offer, action, value, notes)


def explain_plan(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON."""
    answer: dict[str, Any] = {
        "name": plan.action.name,
        "kind": plan.action.kind,
        "what": plan.what,
        "sends": plan.sent,
        "task": plan.task,
        "schema": plan.action.schema,
        "notes": list(plan.notes),
        "problem": None if plan.problem is None else plan.problem.message,
    }
    if plan.action.kind == "hook":
        name = f"{plan.action.hook_group_id}/{plan.action.hook_id}"
        answer["needs"] = {
            "you": f"hooks:trigger-hook:{name}",
            "decisionTask": in_tree_scope(plan.action.hook_group_id, plan.action.hook_id),
        }
    return answer


def _plan_task(offer: Offer, action: Action, value: Any, notes: list[str]) -> Plan:
    own = _slugid()
    task = render_task(offer.file, action, offer.target, value, own, now=datetime.now(UTC))
    scopes = list(offer.decision.get("scopes", []))
    return Plan(
        action=action,
        what=f"creates task {own} with your own scopes, limited to those of the decision task",
        sent=task,
        own_task_id=own,
        task=task,
        authorized_scopes=scopes,
        notes=tuple(notes),
        problem=None,
    )


def _plan_hook(api: Api, offer: Offer, action: Action, value: Any, notes: list[str]) -> Plan:
    payload = render_payload(offer.file, action, offer.target, value, now=datetime.now(UTC))
    problem = _offer_problem(api, offer, action, notes)
    task = None
    if problem is None:
        found = api.post("hooks", "hooks", action.hook_group_id, action.hook_id, "simulate", payload=payload)
        task = found["task"]
        if found["problem"] is not None:
            problem = AnsweredError(403, found["code"] or "InsufficientScopes", found["problem"])
    return Plan(
        action=action,
        what=f"fires the hook {action.hook_group_id}/{action.hook_id}, whose task has the hook's scopes, not yours",
        sent=payload,
        own_task_id="",
        task=task,
        authorized_scopes=[],
        notes=tuple(notes),
        problem=problem,
    )


def _offer_problem(api: Api, offer: Offer, action: Action, notes: list[str]) -> LiftlockError | None:
    """Return the refusal if the decision task may not offer this hook: actions.json alone proves nothing."""
    needed = in_tree_scope(action.hook_group_id, action.hook_id)
    try:
        expanded = api.post("auth", "scopes", "expand", payload={"scopes": offer.decision.get("scopes", [])})
    except AnsweredError as error:
        if error.status != 403:
            raise
        notes.append(
            f"you may not expand scopes, so only the server checks that the decision task has {needed}"
        )
        return None
    if ScopeSet(expanded["scopes"]).satisfies(needed):
        return None
    return AnsweredError(
        403,
        "InsufficientScopes",
        f"the decision task {offer.target.task_group_id} does not have {needed}: it may not offer this hook",
    )


def _checked_input(action: Action, given: Any, notes: list[str]) -> Any:
    if action.schema is None:
        if given is not NOT_GIVEN:
            raise UsageError(f"action {action.name!r} takes no input")
        return None
    value = default_input(action.schema) if given is NOT_GIVEN else given
    try:
        schema = compile_trigger_schema(action.schema)
    except InputInvalidError as error:
        notes.append(f"the action's schema is refused, so the input was not checked here: {error.message}")
        return value
    try:
        schema.validate(value)
    except InputValidationError as error:
        lines = [line.replace("payload", "input", 1) for line in error.message.splitlines()[1:]]
        raise InputValidationError(
            f"the input does not fit the schema of action {action.name!r}:\n" + "\n".join(lines)
        ) from error
    return value


def _text_of(given: str) -> str:
    if given == "-":
        return sys.stdin.read(MAX_INPUT)
    path = given.removeprefix("@")
    if given.startswith("@") or os.path.isfile(path):
        try:
            with open(path, encoding="utf-8") as file:
                return file.read(MAX_INPUT)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--input: {path}: {error}") from error
    return given


def _slugid() -> str:
    """Return a new slugid that does not begin with a hyphen, as `ports.entropy` says."""
    raw = bytearray(secrets.token_bytes(16))
    raw[0], raw[6], raw[8] = raw[0] & 0x7F, raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    return base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
