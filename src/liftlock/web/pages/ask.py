"""Asking for an operation: the form made from its input schema, what would happen, and the request itself."""

from __future__ import annotations

import json
import shlex
from typing import Any, Final

from liftlock.domain.actions.rendering import default_input
from liftlock.domain.hooks.trigger_schema import compile_trigger_schema
from liftlock.domain.operations.definition import Operation
from liftlock.errors import InputInvalidError, InputValidationError, NotFoundError, RequestArgumentsError
from liftlock.services.operations import Operations
from liftlock.services.request_operation import RequestOperation, Wanted
from liftlock.values.json import decode
from liftlock.web.pages.page import Answer, Go, Page, PageRequest, Shown
from liftlock.web.pages.schema_form import form_of, from_yaml, value_of, yaml_text

MAX_PREFILL: Final = 100_000
MAX_REF: Final = 250


class Ask:
    """Answers for who asks for operations."""

    def __init__(self, operations: Operations, request: RequestOperation) -> None:
        self._operations = operations
        self._request = request

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/operations/ask/{name}", self.form),
            Page("POST", "/operations/ask/{name}", self.confirm),
            Page("POST", "/operations/ask/{name}/run", self.run),
        ]

    def _operation(self, request: PageRequest) -> Operation:
        """Return the operation that the path names; RefusedError, NotFoundError."""
        name = request.params["name"]
        for one in self._operations.configured(request.caller):
            if one.name == name:
                return one
        raise NotFoundError(f"operation {name[:80]!r} is not configured")

    async def form(self, request: PageRequest) -> Answer:
        operation = self._operation(request)
        value = _complete(default_input(operation.input_schema))
        said = request.query.get("input")
        if said is not None:
            if len(said) > MAX_PREFILL:
                raise RequestArgumentsError(f"input: expected at most {MAX_PREFILL} characters")
            value = decode(said, what="input")
        ref = request.query.get("ref") or _usual(operation)
        return _form(request, operation, ref, value, request.query.get("mode", ""), None, said is not None)

    async def confirm(self, request: PageRequest) -> Answer:
        operation = self._operation(request)
        mode, ref = request.field("mode"), request.field("ref").strip()
        try:
            value = _given(request, operation, mode)
            _check(operation, ref, value)
        except (InputInvalidError, InputValidationError) as error:
            text = error.message.replace("payload", "input").replace("hook's triggerSchema", "schema")
            return _form(request, operation, ref, _as_sent(request, operation, mode), mode, text, False)
        if request.field("back"):
            return _form(request, operation, ref, value, request.field("back"), None, False)
        return Shown(
            "operation_confirm.html",
            {
                "operation": operation,
                "ref": ref,
                "revision": await self._request.head(operation, ref),
                "value": yaml_text(value),
                "sent": json.dumps(value),
                "need": f"liftlock:request:{operation.name}",
                "may": request.caller.satisfies(f"liftlock:request:{operation.name}"),
                "cli": _command(operation, ref, value),
            },
        )

    async def run(self, request: PageRequest) -> Answer:
        wanted = Wanted(
            operation=request.params["name"],
            ref=request.field("ref"),
            revision=request.field("revision") or None,
            input=decode(request.field("input", "{}"), what="input"),
            origin={"kind": "page"},
        )
        made = await self._request(request.caller, wanted, request.now)
        return Go(f"/operations/{made.operation_id}")


def _check(operation: Operation, ref: str, value: Any) -> None:
    """Return if the branch and the input fit; InputInvalidError, InputValidationError."""
    compile_trigger_schema(operation.input_schema).validate(value)
    if not operation.takes_ref(ref) or len(ref) > MAX_REF:
        raise InputInvalidError(f"Branch: expected one of {', '.join(operation.refs)}")


def _command(operation: Operation, ref: str, value: Any) -> str:
    words = ["liftlock", "operation", "request", operation.name, "--ref", ref, "--input", "-"]
    return f"echo {shlex.quote(json.dumps(value))} | {shlex.join(words)}"


def _usual(operation: Operation) -> str:
    plain = [ref for ref in operation.refs if not ref.endswith("*")]
    return plain[0] if plain else "main"


def _complete(value: Any) -> Any:
    return {} if value is None else value


def _given(request: PageRequest, operation: Operation, mode: str) -> Any:
    if mode == "json":
        return decode(request.field("input", "{}"), what="input")
    if mode == "yaml":
        return _complete(from_yaml(request.field("yaml"), "input"))
    return _complete(value_of(operation.input_schema, request.form))


def _as_sent(request: PageRequest, operation: Operation, mode: str) -> Any:
    """Return what to show again of an input that was refused: the text of YAML, or the fields as far as they are read."""
    if mode == "yaml":
        return request.field("yaml")
    try:
        return _given(request, operation, mode)
    except InputInvalidError:
        return _complete(default_input(operation.input_schema))


def _form(
    request: PageRequest,
    operation: Operation,
    ref: str,
    value: Any,
    mode: str,
    error: str | None,
    prefilled: bool,
) -> Answer:
    as_yaml = mode == "yaml"
    text = value if as_yaml and isinstance(value, str) and error else yaml_text(value)
    need = f"liftlock:request:{operation.name}"
    return Shown(
        "operation_ask.html",
        {
            "operation": operation,
            "ref": ref,
            "mode": "yaml" if as_yaml else "",
            "form": form_of(operation.input_schema, value),
            "yaml": text,
            "error": error,
            "prefilled": prefilled,
            "need": need,
            "may": request.caller.satisfies(need),
        },
        status=400 if error else 200,
    )
