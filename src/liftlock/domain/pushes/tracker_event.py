"""What a tracker tells of its bugs, whatever tracker it is, and what of it crosses to the gate.

Source: docs/reference/gate-feed.md#events
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.feed import MAX_BUG, MAX_SEQ, Record
from liftlock.domain.pushes.selectors import Selectors, assess
from liftlock.errors import AuthenticationFailedError, MalformedPayloadError

ALL_BUGS: Final = 0
"""The number in an event that concerns every bug: a keyword, a flag type or a group was renamed or removed."""
MAX_SKEW_S: Final = 300
MAX_WHY: Final = 255
MAX_EPOCH: Final = 64
MAX_NONCE: Final = 128


class TrackerEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something happened to `bug`, as number `seq` of `epoch`.

    `state`: the whole bug, at the event or later, never a difference; None: it must be read. A bug that is deleted has
    an empty state. `at`: the tracker's own time, as it writes it; empty if it gives none.
    """

    v: Literal[1] = 1
    source: str
    epoch: str
    seq: int
    bug: int
    why: str
    state: BugState | None = None
    at: str = ""


def parse_event(value: Any) -> TrackerEvent:
    """Return the event that a decoded JSON value holds.

    Raises:
        MalformedPayloadError: another version, a missing or unknown field, or a number out of its bounds.
    """
    try:
        event = msgspec.convert(value, TrackerEvent)
    except msgspec.ValidationError as error:
        raise MalformedPayloadError(f"event: {error}") from error
    if not 0 <= event.bug <= MAX_BUG:
        raise MalformedPayloadError(f"event: bug {event.bug}: expected 0 to {MAX_BUG}")
    if not 1 <= event.seq <= MAX_SEQ:
        raise MalformedPayloadError(f"event: seq {event.seq}: expected 1 to {MAX_SEQ}")
    if not 0 < len(event.epoch) <= MAX_EPOCH or len(event.why) > MAX_WHY:
        raise MalformedPayloadError(
            f"event: expected an epoch of 1 to {MAX_EPOCH} characters and at most {MAX_WHY} of why"
        )
    return event


def gate_epoch(epoch: str, generation: int, selectors: Selectors) -> str:
    """Return the epoch under which records go to the gate.

    A new beginning of the reader's and other selectors make another one: the gate then wants a snapshot.
    """
    settings = msgspec.json.encode(selectors.digest_of)
    return f"{epoch}.{generation:x}.{hashlib.sha256(settings).hexdigest()[:12]}"


def crossing(selectors: Selectors, events: Iterable[TrackerEvent]) -> tuple[Record, ...]:
    """Return what the gate learns of these events, in their order: nothing but verdicts.

    An event without a state says what is known then: that the bug can't be read.
    """
    unreadable = BugState(readable=False)
    return tuple(
        assess(selectors, event.bug, event.seq, unreadable if event.state is None else event.state)
        for event in events
    )


def sign_push(secret: bytes, *, key_id: str, ts: int, nonce: str, body: bytes) -> str:
    """Return the lower-case hexadecimal HMAC-SHA256 of `key_id|ts|nonce|body`. `ts`: seconds since 1970."""
    return hmac.new(secret, f"{key_id}|{ts}|{nonce}|".encode() + body, hashlib.sha256).hexdigest()


def verify_push(
    secret: bytes, *, key_id: str, ts: int, nonce: str, body: bytes, signature: str, now_s: int
) -> None:
    """Return if a sender of events that holds `secret` signed this, within `MAX_SKEW_S` of `now_s`.

    The caller refuses a nonce that it has seen within that time; an event twice is harmless anyhow.

    Raises:
        AuthenticationFailedError: it did not; the text does not say which part is wrong but for the clock.
    """
    if abs(now_s - ts) > MAX_SKEW_S:
        raise AuthenticationFailedError(
            f"event: signed {ts - now_s:+d} s from now, expected at most {MAX_SKEW_S}"
        )
    if not 0 < len(nonce) <= MAX_NONCE or "|" in key_id + nonce:
        raise AuthenticationFailedError("event: the signature is not valid")
    wanted = sign_push(secret, key_id=key_id, ts=ts, nonce=nonce, body=body)
    if not hmac.compare_digest(wanted.encode(), signature.encode()):
        raise AuthenticationFailedError("event: the signature is not valid")
