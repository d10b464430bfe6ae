"""Operations done for several callers in one go: one statement for all of them in place of one for each.

A joint script handles the plain case only. A caller whose case is not plain is answered `ALONE`, and nothing was
written for it; if the script raises `UnjoinedError` or breaks a key, that holds for all of them. Whoever is alone then runs its own
script, which has the full text of every refusal. So a joint script never refuses anybody, and needs no message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from liftlock.adapters.sql.envelope_script import NONCE_BUCKET_S, trail
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


_INSERT_NONCE: Final = "INSERT INTO request_nonce(bucket, client_id, ts, nonce) VALUES ($1, $2, $3, $4)"

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
        yield from _guards(dialect, envelopes)
        yield from trail(envelopes)
    return answers


def _guards(dialect: Dialect, envelopes: Sequence[Envelope]) -> Script[None]:
    """Insert every nonce and compare every access version; raises UnjoinedError unless all are as they should be."""
    nonces = [
        (nonce.ts // NONCE_BUCKET_S, nonce.client_id, nonce.ts, nonce.nonce)
        for envelope in envelopes
        if (nonce := envelope.nonce) is not None
    ]
    if dialect == "sqlite":
        yield Each(_INSERT_NONCE, nonces)  # one that is there breaks the key, which undoes all of it too
    elif len((yield Each(f"{_INSERT_NONCE} ON CONFLICT DO NOTHING RETURNING 1", nonces))) != len(nonces):
        raise UnjoinedError("a request was received before")
    expected = {envelope.access_version for envelope in envelopes} - {None}
    if expected:
        rows = yield Sql("SELECT version FROM access_version")
        if expected != {rows[0][0]}:
            raise UnjoinedError("roles or clients changed while a request was decided")
