"""Callers, the snapshot behind them, and streamed bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from access_world import NOW, ROOT, World
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.hawk import payload_hash
from liftlock.domain.scopes.satisfaction import AnyOf, ScopeSet
from liftlock.errors import AuthenticationFailedError, RefusedError
from liftlock.ports.access_store import AccessChanges
from liftlock.ports.envelope import Nonce
from liftlock.services.access_snapshot import POLL, USE_RECORDED_EVERY, AccessCache, StaticClient
from liftlock.services.authorize import Caller, checked


@pytest.fixture
async def world(engine: Engine, tmp_path: Path) -> World:
    return World(engine, tmp_path)


def caller(*scopes: str, client_id: str = "people/alice", **changes: object) -> Caller:
    options = {"access_version": 3, "expires": NOW, "own": scopes, **changes}
    return Caller(client_id=client_id, scopes=ScopeSet(scopes), **options)  # type: ignore[arg-type]


def test_a_refusal_carries_what_is_missing_as_data_and_as_text() -> None:
    with pytest.raises(RefusedError) as caught:
        caller("a").require(["a", "b"])
    assert caught.value.details == {"required": {"AllOf": ["a", "b"]}, "unsatisfied": "b"}
    assert caught.value.message.startswith(
        "Client people/alice does not have the scopes this needs. Missing:\n\nb\n"
    )
    with pytest.raises(RefusedError, match=r"^A caller without credentials does not have"):
        caller(client_id="anonymous").require("x")


def test_a_caller_that_has_what_is_needed_is_let_through() -> None:
    caller("a*").require(["ab", "ac"])
    caller("a*").require(AnyOf("x", "ab"))
    caller().require([])
    assert caller("a").satisfies("a")
    assert not caller("a").satisfies(["a", "b"])


def test_an_envelope_carries_the_nonce_and_the_version_the_decision_was_made_on() -> None:
    nonce = Nonce("people/alice", 1, "n")
    made = caller(nonce=nonce)
    envelope = made.envelope(NOW, made.record("auth.createRole", "role/x", added=["y"]))
    assert (envelope.nonce, envelope.access_version, envelope.now) == (nonce, 3, NOW)
    assert envelope.audit[0].details == {"added": ["y"]}
    assert (envelope.audit[0].actor, envelope.audit[0].verdict) == ("people/alice", "changed")
    assert made.follow_up().envelope(NOW).nonce is None
    assert made.follow_up().envelope(NOW).access_version == 3


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_a_streamed_body_is_passed_on_and_checked_at_its_end() -> None:
    signed = caller(payload_hash=payload_hash("text/plain", b"abc"))
    assert [chunk async for chunk in checked(stream(b"a", b"bc"), signed, "text/plain")] == [b"a", b"bc"]
    changed = checked(stream(b"a", b"bd"), signed, "text/plain")
    assert [await anext(changed), await anext(changed)] == [b"a", b"bd"]
    with pytest.raises(AuthenticationFailedError, match="payload hash"):
        await anext(changed)
    assert [chunk async for chunk in checked(stream(b"x"), caller(), "")] == [b"x"]


async def test_liftlocks_own_acts_have_their_scopes_expanded_and_no_nonce(world: World) -> None:
    await world.make_role("hook-id:g/h", "x")
    await world.make_role("anonymous", "public")
    made = await world.authorizer.internal("hook/g/h", ["assume:hook-id:g/h"], world.now)
    assert list(made.scopes) == ["assume:anonymous", "assume:hook-id:g/h", "public", "x"]
    assert (made.client_id, made.nonce) == ("hook/g/h", None)
    nobody = await world.authorizer.anonymous(world.now)
    assert (nobody.anonymous, list(nobody.scopes)) == (True, ["assume:anonymous", "public"])


async def test_only_requests_that_write_carry_their_nonce(world: World) -> None:
    write = await world.authorizer.authenticate(world.facts(), world.now)
    assert write.nonce == Nonce(ROOT.client_id, int(NOW.timestamp()), "n1")
    read = await world.authorizer.authenticate(world.facts(method="GET"), world.now)
    assert read.nonce is None


async def test_behind_a_proxy_the_forwarded_port_is_the_signed_one(world: World) -> None:
    facts = world.facts(host="lift.example", forwarded_port="8080")
    assert (await world.authorizer.authenticate(facts, world.now)).client_id == ROOT.client_id
    with pytest.raises(AuthenticationFailedError, match="signature does not match"):
        await world.authorizer.authenticate(world.facts(host="lift.example"), world.now)
    with pytest.raises(AuthenticationFailedError, match="Host header"):
        await world.authorizer.authenticate(world.facts(host="lift example"), world.now)


class CountingStore:
    """A store without clients that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def since(self, version: int) -> AccessChanges | None:
        self.asked += 1
        return AccessChanges(1, (), (), ()) if version == 0 else None

    async def touch_clients(self, client_ids: Iterable[str], at: object) -> None:
        raise AssertionError("nothing was used")


async def test_the_store_is_asked_once_in_a_second_and_when_something_changed(world: World) -> None:
    store = CountingStore()
    cache = AccessCache(store, world.clients._sealer)  # type: ignore[arg-type] # all that the cache reads
    for offset, asked in ((0, 1), (0, 1), (999, 1), (1000, 2), (1001, 2), (500, 3)):
        await cache.current(NOW + timedelta(milliseconds=offset))
        assert store.asked == asked, offset
    cache.expire()
    await cache.current(NOW + timedelta(milliseconds=500))
    assert store.asked == 4
    await cache.record_use(NOW)
    assert timedelta(seconds=1) == POLL


async def test_a_configured_clients_id_starts_with_static(world: World) -> None:
    with pytest.raises(AssertionError, match="starts with static/"):
        AccessCache(
            world.store,
            world.clients._sealer,
            [StaticClient(client_id="people/root", access_token="t", scopes=("*",))],
        )


async def test_use_is_recorded_once_in_six_hours(world: World) -> None:
    alice = await world.make_client("people/alice")
    await world.caller(alice)
    await world.access.record_use(world.now)
    assert await last_used(world) == NOW
    for hours in (6, 7):
        world.now = NOW + timedelta(hours=hours)
        await world.caller(alice)
        await world.access.record_use(world.now)
    assert await last_used(world) == NOW + timedelta(hours=6)
    assert timedelta(hours=6) == USE_RECORDED_EVERY


async def last_used(world: World) -> object:
    record = await world.store.client("people/alice")
    assert record is not None
    return record.last_used


async def test_no_secret_is_in_what_prints(world: World) -> None:
    alice = await world.make_client("people/alice")
    snapshot = await world.access.current(world.now)
    for value in (
        snapshot.client("people/alice"),
        world.access.static[ROOT.client_id],
        Credentials("a", "token"),
    ):
        assert alice.access_token not in repr(value)
        assert ROOT.access_token not in repr(value)
        assert "token" not in repr(value)


async def test_a_client_deleted_by_another_control_plane_is_gone_within_a_second(
    engine: Engine, tmp_path: Path
) -> None:
    first, second = World(engine, tmp_path), World(engine, tmp_path)
    alice = await first.make_client("people/alice")
    await second.caller(alice)
    await first.clients.delete(await first.caller(), "people/alice", first.now)
    second.now += POLL
    with pytest.raises(AuthenticationFailedError):
        await second.caller(alice)


async def test_the_replaced_rows_are_read_back_from_the_change_log_alone(
    engine: Engine, tmp_path: Path
) -> None:
    world = World(engine, tmp_path)
    await world.make_client("people/alice", "x")
    await world.make_role("dev", "y")

    def count() -> Script[int]:
        rows = yield Sql("SELECT count(*) FROM access_change")
        return int(rows[0][0])

    assert await engine.read(count) == 2
    snapshot = await world.access.current(world.now)
    assert snapshot.version == 3
    assert "dev" in snapshot.book
