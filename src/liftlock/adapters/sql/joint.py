"""Operations done for several callers in one go: one statement for all of them in place of one for each.

A joint script handles the plain case only. A caller whose case is not plain is answered `ALONE`, and nothing was
written for it; if the script raises `UnjoinedError` or breaks a key, that holds for all of them. Whoever is alone then runs its own
script, which has the full text of every refusal. So a joint script never refuses anybody, and needs no message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from liftlock.adapters.sql.envelope_script import NONCE_BUCKET_S, after_audit, audit_of, audit_values, trail
from liftlock.adapters.sql.script import Dialect, Each, Script, Sql
from liftlock.errors import StorageError
from liftlock.ports.envelope import Envelope

MAX_TOGETHER = 64
"""Callers that share one transaction at the most."""


class Alone(Enum):
    """The answer to a caller that must run its own script."""

    ALONE = "alone"


ALONE: Final = Alone.ALONE


class UnjoinedError(StorageError):
    """Undoes what was done for all: each runs its own script. Never leaves the store."""


class Party(NamedTuple):
    """One of the callers: what it asks for, and the envelope that commits with it."""

    item: Any
    envelope: Envelope


Joint = Callable[[Dialect, Sequence[Party]], Script[list[Any]]]
"""Gives one answer for each party, in their order: what the party's own script would, or ALONE."""


class Join(NamedTuple):
    """Says of a write that it may be done by `joint`, together with others that name the same one."""

    joint: Joint
    item: Any


def together(joint: Joint, dialect: Dialect, parties: Sequence[Party]) -> Script[list[Any]]:
    """Return the answers of `joint`; the envelopes of those that it did not leave alone commit with them."""
    answers = yield from joint(dialect, parties)
    envelopes = [
        party.envelope for party, answer in zip(parties, answers, strict=True) if answer is not ALONE
    ]
    if envelopes:
        if dialect == "sqlite":
            yield from _guarded(envelopes)
            yield from trail(envelopes)
        else:
            yield from _guarded_at_once(envelopes)
            yield from after_audit(envelopes)
    return answers


def _guarded(envelopes: Sequence[Envelope]) -> Script[None]:
    """Insert every nonce and compare every access version; raises UnjoinedError unless all are as they should be.

    A nonce that is there breaks the key, which undoes all of it too.
    """
    yield Each(
        "INSERT INTO request_nonce(bucket, client_id, ts, nonce) VALUES ($1, $2, $3, $4)",
        _nonces(envelopes),
    )
    rows = yield Sql("SELECT version FROM access_version")
    _expect_version(envelopes, rows[0][0])


def _guarded_at_once(envelopes: Sequence[Envelope]) -> Script[None]:
    """Do as `_guarded`, and insert the audit records, in one round trip: for PostgreSQL."""
    nonces = _nonces(envelopes)
    audit = audit_values(audit_of(envelopes))
    rows = yield Sql(
        "WITH fresh AS (INSERT INTO request_nonce(bucket, client_id, ts, nonce)"
        " SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[])"
        " ON CONFLICT DO NOTHING RETURNING 1),"
        " written AS (INSERT INTO audit(at, actor, action, subject, verdict, details, authority)"
        " SELECT * FROM unnest($5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[]))"
        " SELECT (SELECT count(*) FROM fresh), version FROM access_version",
        (*_columns(nonces, 4), *_columns(audit, 7)),
    )
    [(fresh, version)] = rows
    if fresh != len(nonces):
        raise UnjoinedError("a request was received before")
    _expect_version(envelopes, version)


def _nonces(envelopes: Sequence[Envelope]) -> list[tuple[Any, ...]]:
    return [
        (nonce.ts // NONCE_BUCKET_S, nonce.client_id, nonce.ts, nonce.nonce)
        for envelope in envelopes
        if (nonce := envelope.nonce) is not None
    ]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[at] for row in rows] for at in range(width)]


def _expect_version(envelopes: Sequence[Envelope], version: int) -> None:
    if not {envelope.access_version for envelope in envelopes} <= {None, version}:
        raise UnjoinedError("roles or clients changed while a request was decided")
