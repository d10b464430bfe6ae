"""The audit service over HTTP.

Source: docs/reference/audit.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from liftlock.domain.audit.verification import Sequenced
from liftlock.errors import MalformedPayloadError, RequestArgumentsError
from liftlock.ports.audit_store import AuditFilter, PlacedRow, StoredCheckpoint
from liftlock.services.audit_log import READ, AuditLog
from liftlock.values.instants import format_ms
from liftlock.values.json import decode_as
from liftlock.web.paging import QUERY, limit_of, number_after, token
from liftlock.web.routing import ApiRequest, Route

_NEVER = 2**62
_MAX_DIGITS = 15
_FILTERS = ("actor", "action", "subject", "verdict")


class _Audit:
    def __init__(self, log: AuditLog) -> None:
        self._log = log

    async def key(self, request: ApiRequest) -> object:
        return {"key": await self._log.key()}

    async def checkpoint(self, request: ApiRequest) -> object:
        return _checkpoint(await self._log.checkpoint(_optional(request.query, "size")))

    async def checkpoints(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        found = await self._log.checkpoints(number_after(request.query), limit)
        answer: dict[str, Any] = {"checkpoints": [_checkpoint(each) for each in found]}
        return {**answer, "continuationToken": token(found[-1].size)} if len(found) == limit else answer

    async def tail(self, request: ApiRequest) -> object:
        limit = limit_of(request.query)
        wanted = AuditFilter(**{name: request.query.get(name) for name in _FILTERS})
        before = number_after(request.query) or _NEVER
        found = await self._log.tail(request.caller, wanted, before=before, limit=limit)
        answer: dict[str, Any] = {"rows": [row_wire(each) for each in found]}
        return {**answer, "continuationToken": token(found[-1].row.id)} if len(found) == limit else answer

    async def entries(self, request: ApiRequest) -> object:
        begin = _number(request.params["begin"], "path argument begin")
        found = await self._log.entries(request.caller, begin, limit_of(request.query))
        return {"entries": [_entry(each) for each in found]}

    async def inclusion(self, request: ApiRequest) -> object:
        seq = _number(request.params["seq"], "path argument seq")
        found = await self._log.inclusion(request.caller, seq, _optional(request.query, "size"))
        return {
            "entry": _entry(found.entry),
            "path": [each.hex() for each in found.path],
            "checkpoint": found.checkpoint.note,
        }

    async def consistency(self, request: ApiRequest) -> object:
        old = _number(request.params["old"], "path argument old")
        new = _number(request.params["new"], "path argument new")
        return {"path": [each.hex() for each in await self._log.consistency(old, new)]}


def _checkpoint(found: StoredCheckpoint) -> dict[str, Any]:
    return {"size": found.size, "at": format_ms(found.at_ms), "checkpoint": found.note}


def _entry(found: Sequenced) -> dict[str, Any]:
    row = None if found.row is None else msgspec.to_builtins(found.row)
    return {"seq": found.seq, "leaf": found.leaf.hex(), "row": row}


def row_wire(found: PlacedRow) -> dict[str, Any]:
    """Return a row as JSON, with its place; `seq` is null while it has none."""
    row = found.row
    return {
        "seq": found.seq,
        "id": row.id,
        "at": format_ms(row.at),
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "verdict": row.verdict,
        "details": _object(row.details),
        "authority": _object(row.authority),
    }


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object that a column holds, or, if somebody put something else there, that text."""
    try:
        return decode_as(text, dict[str, Any], what="column")
    except MalformedPayloadError:
        return {"unreadable": text}


def _number(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise RequestArgumentsError(
            f"{what}: expected a number from 0, at most {_MAX_DIGITS} digits, got {text[:32]!r}"
        )
    return int(text)


def _optional(query: Mapping[str, str], name: str) -> int | None:
    return None if name not in query else _number(query[name], name)


def routes(log: AuditLog) -> list[Route]:
    """Return the routes of the audit service."""
    found = _Audit(log)
    public = "Public: it holds hashes and signatures, and nothing of the rows."
    return [
        Route(service="audit", method="GET", path="/key", name="key", handler=found.key,
              title="Get the public key of the log", description=public, output="audit/key", authenticated=False),
        Route(service="audit", method="GET", path="/checkpoint", name="checkpoint", handler=found.checkpoint,
              title="Get a signed checkpoint", description=f"The newest, or that of `size` rows. {public}",
              query=("size",), output="audit/checkpoint", authenticated=False),
        Route(service="audit", method="GET", path="/checkpoints", name="checkpoints", handler=found.checkpoints,
              title="List signed checkpoints", description=public, query=QUERY, output="audit/checkpoints",
              authenticated=False),
        Route(service="audit", method="GET", path="/consistency/<old>/<new>", name="consistency",
              handler=found.consistency, title="Prove that one size of the log is a beginning of another",
              description=public, output="audit/consistency", authenticated=False),
        Route(service="audit", method="GET", path="/rows", name="rows", handler=found.tail,
              title="List rows, newest first",
              description="Also those without a place yet (`seq` is null). `action` and `subject` match from the beginning.",
              scopes=READ, query=(*QUERY, *_FILTERS), output="audit/rows"),
        Route(service="audit", method="GET", path="/entries/<begin>", name="entries", handler=found.entries,
              title="Read places of the log",
              description="Rows byte for byte, and the hashes recorded for them; a `row` of null is gone.",
              scopes=READ, query=("limit",), output="audit/entries"),
        Route(service="audit", method="GET", path="/inclusion/<seq>", name="inclusion", handler=found.inclusion,
              title="Prove that a row is in the log", scopes=READ, query=("size",), output="audit/inclusion"),
    ]  # fmt: skip
