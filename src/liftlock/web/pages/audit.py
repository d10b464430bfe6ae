"""The audit log: its rows, one row with the proof that it is in the signed log, the checkpoints, and everything as a file."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from liftlock.domain.audit.entry import leaf_data, leaf_of
from liftlock.domain.audit.note import BadNoteError, open_checkpoint, parse_verifier
from liftlock.domain.audit.tree import is_included
from liftlock.errors import NotFoundError
from liftlock.ports.audit_store import AuditFilter, PlacedRow, StoredCheckpoint
from liftlock.services.audit_log import READ, AuditLog, Inclusion
from liftlock.services.authorize import Caller
from liftlock.values.instants import from_ms
from liftlock.values.json import encode
from liftlock.web.api_audit import row_wire
from liftlock.web.pages.page import Answer, Page, PageRequest, Raw, Shown, number

PER_PAGE: Final = 100
CHECKPOINTS: Final = 100
PER_READ: Final = 1_000
FILTERS: Final = ("actor", "action", "subject", "verdict")
VERDICTS: Final = ("changed", "allowed", "refused")
_NEWEST: Final = 2**53


@dataclass(frozen=True, slots=True)
class Proof:
    """What the server finds of one row; the page's script finds the same by itself. `problem` is None if all holds."""

    inclusion: Inclusion
    leaf_data: str
    problem: str | None


class AuditPages:
    """Answers for the audit log."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/audit", self.list),
            Page("GET", "/audit/checkpoints", self.checkpoints),
            Page("GET", "/audit/export", self.export),
            Page("GET", "/audit/{row}", self.show),
        ]

    async def list(self, request: PageRequest) -> Answer:
        before = number(request.query.get("before"), _NEWEST, _NEWEST, "before")
        found = await self._log.tail(request.caller, _wanted(request), before=before, limit=PER_PAGE + 1)
        more = len(found) > PER_PAGE
        found = found[:PER_PAGE]
        return Shown(
            "audit.html",
            {
                "rows": [(one, from_ms(one.row.at)) for one in found],
                "filters": {name: request.query.get(name, "") for name in FILTERS},
                "verdicts": VERDICTS,
                "older": request.here_with(before=str(found[-1].row.id)) if more else None,
                "newest": request.here_with(before=None) if request.query.get("before") else None,
                "export": request.here_with(before=None).replace("/audit", "/audit/export", 1),
                "checkpoint": await self._newest(),
            },
        )

    async def show(self, request: PageRequest) -> Answer:
        placed = await self._row(request)
        proof = None if placed.seq is None else await self._proof(request.caller, placed.seq)
        return Shown(
            "audit_row.html",
            {
                "placed": placed,
                "row": row_wire(placed),
                "at": from_ms(placed.row.at),
                "proof": proof,
                "checked": None if proof is None else from_ms(proof.inclusion.checkpoint.at_ms),
                "path": [] if proof is None else [one.hex() for one in proof.inclusion.path],
                "key": await self._log.key(),
            },
        )

    async def _row(self, request: PageRequest) -> PlacedRow:
        wanted = number(request.params["row"], 0, _NEWEST - 1, "row")
        found = await self._log.tail(request.caller, AuditFilter(), before=wanted + 1, limit=1)
        if not found or found[0].row.id != wanted:
            raise NotFoundError(f"there is no audit row {wanted}")
        return found[0]

    async def _proof(self, caller: Caller, seq: int) -> Proof | None:
        """Return the row's proof, or None while no checkpoint covers it."""
        try:
            found = await self._log.inclusion(caller, seq, None)
        except NotFoundError:
            return None
        row = found.entry.row
        data = b"" if row is None else leaf_data(row)
        return Proof(found, base64.b64encode(data).decode(), await self._problem(found, seq))

    async def _problem(self, found: Inclusion, seq: int) -> str | None:
        row, leaf = found.entry.row, found.entry.leaf
        if row is None:
            return "the row is gone: its place in the log holds a hash, and nothing that has it"
        if leaf_of(row) != leaf:
            return "the row is not what it was when it was sequenced: its hash is another"
        try:
            checkpoint = open_checkpoint(found.checkpoint.note, parse_verifier(await self._log.key()))
        except BadNoteError as error:
            return error.message
        if not is_included(leaf, seq, checkpoint.size, found.path, checkpoint.root):
            return "the path does not lead from this row to the signed root"
        return None

    async def checkpoints(self, request: PageRequest) -> Answer:
        request.caller.require(READ)
        newest = await self._newest()
        after = number(request.query.get("after"), 0, _NEWEST, "after")
        found = await self._log.checkpoints(after, CHECKPOINTS)
        return Shown(
            "audit_checkpoints.html",
            {
                "newest": newest,
                "found": [(one, from_ms(one.at_ms)) for one in found],
                "more": request.here_with(after=str(found[-1].size)) if len(found) == CHECKPOINTS else None,
                "key": await self._log.key(),
            },
        )

    async def _newest(self) -> StoredCheckpoint | None:
        try:
            return await self._log.checkpoint(None)
        except NotFoundError:
            return None

    async def export(self, request: PageRequest) -> Answer:
        """Give all rows that fit, the newest first, a line of JSON each."""
        request.caller.require(READ)
        headers = {"content-disposition": 'attachment; filename="audit.jsonl"'}
        return Raw(self._lines(request.caller, _wanted(request)), "application/x-ndjson", headers=headers)

    async def _lines(self, caller: Caller, wanted: AuditFilter) -> AsyncIterator[bytes]:
        before = _NEWEST
        while found := await self._log.tail(caller, wanted, before=before, limit=PER_READ):
            yield b"".join(encode(row_wire(one)) + b"\n" for one in found)
            before = found[-1].row.id


def _wanted(request: PageRequest) -> AuditFilter:
    given: dict[str, Any] = {name: request.query.get(name) or None for name in FILTERS}
    return AuditFilter(**given)
