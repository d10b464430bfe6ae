"""What several callers ask for at once is done together, and each gets the answer that it would have got alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.joint import ALONE, Join, Party, UnjoinedError
from liftlock.adapters.sql.script import Dialect, Each, Script, Sql, Wake
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.errors import ConflictError, ReplayedRequestError, StaleSnapshotError
from liftlock.ports.envelope import AuditRecord, Envelope, Event, Nonce

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def envelope(number: int, **changes: Any) -> Envelope:
    given: dict[str, Any] = {
        "nonce": Nonce("client", 1_769_860_800, f"nonce-{number}"),
        "access_version": 1,
        "audit": (AuditRecord("client", "test.change", f"thing/{number}", "changed"),),
        "events": (Event("told", f"{number}", {}),),
    }
    return Envelope(now=NOW, **(given | changes))


@dataclass
class Recorder:
    """A joint operation that inserts keys, leaves some callers alone, and remembers how many it served at a time."""

    left: frozenset[str] = frozenset()
    served: list[int] = field(default_factory=list)
    fails: bool = False
    __name__ = "recorder"
    __hash__ = object.__hash__

    def __call__(self, _dialect: Dialect, parties: Sequence[Party]) -> Script[list[Any]]:
        present = [party.item for party in parties if party.item not in self.left]
        self.served.append(len(present))
        yield Each("INSERT INTO outbox(topic, key, body) VALUES ('t', $1, '{}')", [(key,) for key in present])
        if self.fails:
            raise UnjoinedError("not this time")
        for key in present:
            yield Wake(f"queue:{key}")
        return [ALONE if party.item in self.left else f"{party.item} together" for party in parties]


async def write(engine: Engine, joint: Recorder, key: str, given: Envelope) -> Any:
    def alone() -> Script[str]:
        yield Sql("INSERT INTO outbox(topic, key, body) VALUES ('t', $1, '{}')", (key,))
        if key.startswith("bad"):
            raise ConflictError(f"{key} is refused")
        return f"{key} alone"

    return await engine.write(alone, given, Join(joint, key))


async def rows(engine: Engine, statement: str) -> list[Any]:
    def script() -> Script[list[Any]]:
        return [row[0] for row in (yield Sql(statement))]

    return await engine.read(script)


KEYS = "SELECT key FROM outbox WHERE topic = 't' ORDER BY key"
AUDITED = "SELECT subject FROM audit ORDER BY subject"
NONCES = "SELECT nonce FROM request_nonce ORDER BY nonce"


async def test_callers_at_once_share_a_transaction_and_each_commits_its_own_envelope(engine: Engine) -> None:
    joint = Recorder()
    answers = await asyncio.gather(*(write(engine, joint, f"k{n}", envelope(n)) for n in range(5)))
    assert answers == [f"k{n} together" for n in range(5)]
    assert joint.served == [5]
    assert await rows(engine, KEYS) == [f"k{n}" for n in range(5)]
    assert await rows(engine, AUDITED) == [f"thing/{n}" for n in range(5)]
    assert await rows(engine, NONCES) == [f"nonce-{n}" for n in range(5)]
    assert await rows(engine, "SELECT key FROM outbox WHERE topic = 'told' ORDER BY key") == list("01234")


async def test_a_single_caller_is_served_by_the_same_operation(engine: Engine) -> None:
    joint = Recorder()
    assert await write(engine, joint, "k", envelope(1)) == "k together"
    assert joint.served == [1]


async def test_whoever_is_left_alone_gets_its_own_refusal_and_spares_the_others(engine: Engine) -> None:
    joint = Recorder(left=frozenset({"bad", "odd"}))
    answers = await asyncio.gather(
        *(write(engine, joint, key, envelope(n)) for n, key in enumerate(["a", "bad", "odd", "b"])),
        return_exceptions=True,
    )
    assert answers[0] == "a together"
    assert isinstance(answers[1], ConflictError)
    assert answers[1].message == "bad is refused"
    assert answers[2:] == ["odd alone", "b together"]
    assert await rows(engine, KEYS) == ["a", "b", "odd"]
    assert await rows(engine, AUDITED) == ["thing/0", "thing/2", "thing/3"]
    assert await rows(engine, NONCES) == ["nonce-0", "nonce-2", "nonce-3"]


async def test_an_operation_that_gives_up_leaves_nothing_and_everybody_runs_alone(engine: Engine) -> None:
    joint = Recorder(fails=True)
    answers = await asyncio.gather(*(write(engine, joint, f"k{n}", envelope(n)) for n in range(3)))
    assert answers == [f"k{n} alone" for n in range(3)]
    assert await rows(engine, KEYS) == ["k0", "k1", "k2"]
    assert await rows(engine, AUDITED) == ["thing/0", "thing/1", "thing/2"]


async def test_a_replay_among_others_is_refused_and_the_others_are_not(engine: Engine) -> None:
    joint = Recorder()
    await write(engine, joint, "first", envelope(7))
    answers = await asyncio.gather(
        write(engine, joint, "k1", envelope(1)),
        write(engine, joint, "again", envelope(7)),
        write(engine, joint, "k2", envelope(2)),
        return_exceptions=True,
    )
    assert answers[0] == "k1 alone"
    assert isinstance(answers[1], ReplayedRequestError)
    assert answers[2] == "k2 alone"
    assert await rows(engine, KEYS) == ["first", "k1", "k2"]
    assert await rows(engine, AUDITED) == ["thing/1", "thing/2", "thing/7"]


async def test_the_same_request_twice_at_one_moment_takes_effect_once(engine: Engine) -> None:
    joint = Recorder()
    answers = await asyncio.gather(
        *(write(engine, joint, "k", envelope(1)) for _ in range(6)), return_exceptions=True
    )
    assert sum(answer == "k alone" for answer in answers) == 1
    assert sum(isinstance(answer, ReplayedRequestError) for answer in answers) == 5
    assert await rows(engine, KEYS) == ["k"]


async def test_a_stale_decision_among_others_is_refused_and_the_others_are_not(engine: Engine) -> None:
    joint = Recorder()
    answers = await asyncio.gather(
        write(engine, joint, "k1", envelope(1)),
        write(engine, joint, "stale", envelope(2, access_version=0)),
        return_exceptions=True,
    )
    assert answers[0] == "k1 alone"
    assert isinstance(answers[1], StaleSnapshotError)
    assert await rows(engine, KEYS) == ["k1"]
    assert await rows(engine, NONCES) == ["nonce-1"]


async def test_a_stale_decision_without_a_nonce_is_refused_too(engine: Engine) -> None:
    with pytest.raises(StaleSnapshotError):
        await write(engine, Recorder(), "stale", envelope(2, access_version=0, nonce=None))
    assert await rows(engine, KEYS) == []


async def test_what_was_done_together_wakes_those_who_wait_for_it(
    engine: Engine, wakeups: InProcessWakeups
) -> None:
    with wakeups.listen("queue:k0") as first, wakeups.listen("queue:k1") as second:
        await asyncio.gather(*(write(engine, Recorder(), f"k{n}", envelope(n)) for n in range(2)))
        assert await first.wait(5)
        assert await second.wait(5)


async def test_more_callers_than_one_transaction_takes_are_all_served(engine: Engine) -> None:
    joint = Recorder()
    answers = await asyncio.gather(*(write(engine, joint, f"k{n}", envelope(n)) for n in range(150)))
    assert answers == [f"k{n} together" for n in range(150)]
    assert max(joint.served) <= 64
    assert sum(joint.served) == 150
