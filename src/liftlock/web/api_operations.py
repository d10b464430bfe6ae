"""Operations of two stages over HTTP: ask, look, approve, reject, cancel.

Source: docs/reference/operations.md
"""

from __future__ import annotations

from typing import Any

from liftlock.domain.approvals.approval import Verdict, approval_wire
from liftlock.services.operations import Operations
from liftlock.services.request_operation import RequestOperation, Wanted
from liftlock.services.say_on_operation import SayOnOperation, Word
from liftlock.services.show_differences import ShowDifferences
from liftlock.web.operation_wire import (
    OPERATION_QUERY,
    differences_wire,
    operation_query,
    operation_wire,
    record_wire,
    shown_wire,
)
from liftlock.web.paging import token
from liftlock.web.routing import ApiRequest, Handler, Method, Route

_ONE = "/operation/<operationId>"


class _Handlers:
    def __init__(
        self,
        operations: Operations,
        request: RequestOperation,
        say: SayOnOperation,
        differences: ShowDifferences,
    ) -> None:
        self._operations = operations
        self._request = request
        self._say = say
        self._differences = differences

    async def configured(self, request: ApiRequest) -> object:
        return {"operations": [operation_wire(each) for each in self._operations.configured(request.caller)]}

    async def ask(self, request: ApiRequest) -> object:
        given = request.payload
        wanted = Wanted(
            operation=request.params["operation"],
            ref=given["ref"],
            revision=given.get("revision"),
            input=given.get("input", {}),
            key=given.get("key"),
        )
        return record_wire(await self._request(request.caller, wanted, request.now))

    async def list(self, request: ApiRequest) -> object:
        query = operation_query(request.query)
        found = await self._operations.find(request.caller, query)
        answer: dict[str, Any] = {"operations": [record_wire(each) for each in found]}
        if len(found) == query.limit:
            answer["continuationToken"] = token(found[-1].number)
        return answer

    async def show(self, request: ApiRequest) -> object:
        return shown_wire(
            await self._operations.show(request.caller, request.params["operationId"], request.now)
        )

    async def differences(self, request: ApiRequest) -> object:
        return differences_wire(await self._differences(request.caller, request.params["operationId"]))

    async def handoff(self, request: ApiRequest) -> object:
        return shown_wire(
            await self._operations.handoff(request.caller, request.params["taskId"], request.now)
        )

    async def cancel(self, request: ApiRequest) -> object:
        return record_wire(
            await self._operations.cancel(request.caller, request.params["operationId"], request.now)
        )

    async def approve(self, request: ApiRequest) -> object:
        return await self._word(request, "approve")

    async def reject(self, request: ApiRequest) -> object:
        return await self._word(request, "reject")

    async def _word(self, request: ApiRequest, verdict: Verdict) -> object:
        given = request.payload
        word = Word(
            verdict=verdict,
            digest=given["digest"],
            approver=given["approver"],
            reason=given["reason"],
            method=given["method"],
            proof=given.get("signature", ""),
        )
        said = await self._say(request.caller, request.params["operationId"], word, request.now)
        return approval_wire(said)


def routes(
    operations: Operations, request: RequestOperation, say: SayOnOperation, differences: ShowDifferences
) -> list[Route]:
    """Return the routes of the operations service."""
    do = _Handlers(operations, request, say, differences)
    read = "liftlock:list-operations"
    return [
        _route("GET", "/configured", "listConfigured", do.configured, "List what can be asked for", read),
        _route("POST", "/request/<operation>", "requestOperation", do.ask, "Ask for an operation",
               "liftlock:request:<operation>", input="operations/request-operation"),
        _route("GET", "/operations", "listOperations", do.list, "List operations, newest first", read,
               query=OPERATION_QUERY),
        _route("GET", _ONE, "operation", do.show, "Show an operation, its frozen request and what was said on it", read),
        _route("GET", f"{_ONE}/differences", "differences", do.differences,
               "Show how each file that crosses differs from the last release and from the source",
               {"AllOf": [read, {"AnyOf": ["liftlock:approve:<operation>", "liftlock:request:<operation>"]}]}),
        _route("POST", f"{_ONE}/approve", "approveOperation", do.approve, "Approve a frozen request",
               "liftlock:approve:<operation>", input="operations/say-request"),
        _route("POST", f"{_ONE}/reject", "rejectOperation", do.reject, "Reject a frozen request",
               "liftlock:approve:<operation>", input="operations/say-request"),
        _route("POST", f"{_ONE}/cancel", "cancelOperation", do.cancel, "Cancel an operation: one's own, or by scope",
               {"AnyOf": [read, "liftlock:cancel:<operation>"]}),
        _route("GET", "/handoff/<taskId>", "handoff", do.handoff, "What a stage 2 is to perform, for its worker",
               "liftlock:handoff:<taskId>"),
    ]  # fmt: skip


def _route(
    method: Method, path: str, name: str, handler: Handler, title: str, scopes: object, **more: Any
) -> Route:
    return Route(
        service="operations",
        method=method,
        path=path,
        name=name,
        handler=handler,
        title=title,
        scopes=scopes,
        **more,
    )
