"""A nonce is kept for as long as what it came with could be sent again, and no longer, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.envelope_script import NONCE_BUCKET_S
from liftlock.adapters.sql.housekeeping import SqlHousekeeping
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.credentials.hawk import MAX_SKEW_S
from liftlock.domain.credentials.page_sessions import FORM_AHEAD_S, FORM_LASTS
from liftlock.errors import ReplayedRequestError
from liftlock.ports.envelope import Envelope, Nonce
from liftlock.processes.wiring import NONCES_KEPT

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def nothing() -> Script[None]:
    yield Sql("SELECT 1")


def signed(at: datetime) -> Envelope:
    return Envelope(NOW, Nonce("client", int(at.timestamp()), "n"))


def test_nonces_are_kept_longer_than_signatures_and_forms_hold() -> None:
    assert timedelta(seconds=2 * MAX_SKEW_S) < NONCES_KEPT
    assert FORM_LASTS + timedelta(seconds=FORM_AHEAD_S) < NONCES_KEPT


async def test_old_buckets_are_dropped_and_what_could_be_sent_again_is_kept(engine: Engine) -> None:
    kept = NOW - NONCES_KEPT
    oldest = kept - timedelta(seconds=NONCE_BUCKET_S)
    for at in (oldest, kept, NOW):
        await engine.write(nothing, signed(at))
    await SqlHousekeeping(engine).drop_nonces(before=kept)
    for at in (kept, NOW):
        with pytest.raises(ReplayedRequestError):
            await engine.write(nothing, signed(at))
    await engine.write(nothing, signed(oldest))  # its bucket is gone; its signature is refused for its age
