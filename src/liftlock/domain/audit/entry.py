"""A row of the audit log, and the bytes that its leaf is the hash of."""

from __future__ import annotations

from typing import Final

import msgspec

from liftlock.domain.audit.tree import leaf_hash
from liftlock.values.json import encode

LEAF_VERSION: Final = 1


class Row(msgspec.Struct, frozen=True):
    """One row as it is stored: `at` in milliseconds since 1970; `details` and `authority` are JSON text, byte for byte.

    `authority` says by what the actor was allowed to: the scopes needed, its own scopes that gave them, and the
    version of roles and clients; `{}` in rows from before that was recorded.
    """

    id: int
    at: int
    actor: str
    action: str
    subject: str
    verdict: str
    details: str
    authority: str


def leaf_data(row: Row) -> bytes:
    """Return what is hashed: a JSON array of the version and every column, so that no edit leaves the hash as it was."""
    return encode(
        (
            LEAF_VERSION,
            row.id,
            row.at,
            row.actor,
            row.action,
            row.subject,
            row.verdict,
            row.details,
            row.authority,
        )
    )


def leaf_of(row: Row) -> bytes:
    """Return the hash of the row's leaf."""
    return leaf_hash(leaf_data(row))
