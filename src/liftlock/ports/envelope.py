"""What commits together with every change: who asked, what was decided, what others must hear of.

A change, its audit records, its outbox rows and the nonce of the request that asked for it stand or fall together.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

Verdict = Literal["allowed", "refused", "changed"]


class Nonce(msgspec.Struct, frozen=True):
    """A Hawk request's own mark; `ts` is in seconds since 1970. Unique per client and time bucket."""

    client_id: str
    ts: int
    nonce: str


class AuditRecord(msgspec.Struct, frozen=True):
    """One use of privilege: `actor` did `action` to `subject`. `details` is JSON and never holds secrets.

    `authority` says by what the actor might: `needed` scopes, the actor's own scopes `through` which it had them (a role
    is `assume:…`), and `accessVersion`, the version of roles and clients that was decided on. Empty for liftlock's own acts.
    """

    actor: str
    action: str
    subject: str
    verdict: Verdict
    details: dict[str, Any] = {}
    authority: dict[str, Any] = {}


class Event(msgspec.Struct, frozen=True):
    """One row of the outbox: leaves after commit, at least once; `key` is the id of what it is about."""

    topic: str
    key: str
    body: dict[str, Any]


class Envelope(msgspec.Struct, frozen=True):
    """All that commits with a change, beside the change itself.

    `access_version` guards the decision: if roles or clients changed since the caller's scopes were expanded, the
    transaction fails with StaleSnapshotError. `records` are further rows by type, such as a hook's fire.
    """

    now: datetime
    nonce: Nonce | None = None
    access_version: int | None = None
    audit: tuple[AuditRecord, ...] = ()
    events: tuple[Event, ...] = ()
    records: tuple[Any, ...] = ()
