"""The queue over HTTP: what is typed into the shells of interactive tasks.

Source: docs/reference/loaners.md
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from liftlock.errors import InputInvalidError, RequestArgumentsError
from liftlock.ports.shell_store import ShellInput, ShellSize
from liftlock.services.shells import Shells
from liftlock.web.api_queue_tasks import run_id_of, task_id_of
from liftlock.web.routing import ApiRequest, Route

_MAX_DIGITS = 9
_PATH = "/task/<taskId>/runs/<runId>/shell-input"


def routes(shells: Shells) -> list[Route]:
    """Return the routes for typing and for the worker that reads."""

    async def type_(request: ApiRequest) -> object:
        said = request.payload
        size = said.get("size")
        number = await shells.type(
            request.caller,
            task_id_of(request),
            run_id_of(request),
            _bytes(said["data"]),
            None if size is None else ShellSize(size["columns"], size["rows"]),
            request.now,
        )
        return {"seq": number}

    async def typed(request: ApiRequest) -> object:
        found = await shells.typed(
            request.caller,
            task_id_of(request),
            run_id_of(request),
            _after(request.query.get("after", "0")),
            request.now,
        )
        return {"input": [_wire(each) for each in found]}

    return [
        Route(
            service="queue",
            method="POST",
            path=_PATH,
            name="typeIntoShell",
            handler=type_,
            title="Type into the shell of an interactive task",
            scopes="queue:attach-shell:<schedulerId>/<taskGroupId>/<taskId>",
            input="queue/shell-input-request",
            output="queue/shell-input-response",
            stability="experimental",
        ),
        Route(
            service="queue",
            method="GET",
            path=_PATH,
            name="readShellInput",
            handler=typed,
            title="Read what was typed into the shell of an interactive task",
            description="For its worker. Waits up to 20 seconds if there is nothing after the piece `after`.",
            scopes="queue:reclaim-task:<taskId>/<runId>",
            query=("after",),
            output="queue/shell-typed-response",
            stability="experimental",
        ),
    ]


def _after(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise RequestArgumentsError(f"after: expected the number of a piece, got {text[:32]!r}")
    return int(text)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputInvalidError(f"data: expected base64: {error}") from error


def _wire(piece: ShellInput) -> dict[str, Any]:
    size = {} if piece.size is None else {"size": {"columns": piece.size.columns, "rows": piece.size.rows}}
    return {
        "seq": piece.seq,
        "actor": piece.actor,
        "data": base64.b64encode(piece.data).decode(),
        **size,
    }
