"""The outbox as a log, webhooks and their deliveries, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.event_log import SqlEventCursors, SqlEventLog
from liftlock.adapters.sql.postgres_engine import PostgresEngine
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.webhook_store import SqlWebhookStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.events.bindings import Binding
from liftlock.errors import ConflictError, StaleSnapshotError
from liftlock.ports.envelope import Envelope, Event
from liftlock.ports.event_log import CHANNEL, EventFire
from liftlock.ports.webhook_store import Delivery, NewDelivery, Webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def publish(engine: Engine, *keys: str, topic: str = "task-group-sealed") -> None:
    events = tuple(Event(topic, key, {"taskGroupId": key, "schedulerId": "s"}) for key in keys)

    def nothing() -> Script[None]:
        yield from ()

    await engine.write(nothing, Envelope(NOW, events=events))


async def test_the_log_is_read_in_order_page_by_page(engine: Engine) -> None:
    log = SqlEventLog(engine)
    assert (await log.newest(), await log.oldest()) == (0, 0)
    await publish(engine, "a", "b")
    await publish(engine, "c")
    page = await log.after(0, 2)
    assert ([one.key for one in page.messages], page.more) == (["a", "b"], True)
    page = await log.after(page.upto, 2)
    assert ([one.key for one in page.messages], page.more) == (["c"], False)
    assert page.upto == await log.newest()
    assert (await log.after(page.upto, 2)).messages == []


async def test_rows_for_nobody_are_passed_over(engine: Engine) -> None:
    log = SqlEventLog(engine)
    await publish(engine, "a", topic="role-updated")
    page = await log.after(0, 10)
    assert (page.messages, page.upto) == ([], await log.newest())


async def test_a_commit_with_events_wakes_who_follows_them(engine: Engine, wakeups: InProcessWakeups) -> None:
    with wakeups.listen(CHANNEL) as ticket:
        await publish(engine, "a")
        assert await ticket.wait(5)


async def test_an_event_that_commits_late_is_read_before_those_behind_it(engine: Engine) -> None:
    """A transaction takes an id, another one commits behind it, and only then the first one commits."""
    if not isinstance(engine, PostgresEngine):
        pytest.skip("SQLite has one writer: ids are in the order of commits")
    log = SqlEventLog(engine)
    await publish(engine, "first")
    taken, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with engine._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO outbox(topic, key, body)"
                """ VALUES ('task-group-sealed', 'slow', '{"taskGroupId": "slow", "schedulerId": "s"}')"""
            )
            taken.set()
            await go_on.wait()

    writing = asyncio.create_task(slow())
    await taken.wait()
    await publish(engine, "late")
    page = await log.after(0, 10)
    assert ([one.key for one in page.messages], page.waits) == (["first"], True)
    again = await log.after(page.upto, 10)
    assert (again.messages, again.waits) == ([], True)
    go_on.set()
    await writing
    page = await log.after(page.upto, 10)
    assert ([one.key for one in page.messages], page.waits) == (["slow", "late"], False)


async def test_a_gap_that_stays_is_passed_over(engine: Engine) -> None:
    if not isinstance(engine, PostgresEngine):
        pytest.skip("SQLite gives the id of a transaction that was undone to the next one")
    log = SqlEventLog(engine)
    async with engine._pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await connection.execute("INSERT INTO outbox(topic, key, body) VALUES ('t', 'k', '{}')")
        await undone.rollback()
    await publish(engine, "a")
    assert (await log.after(0, 10)).waits
    for _ in range(50):
        page = await log.after(0, 10)
        if not page.waits:
            break
        await asyncio.sleep(0.02)
    assert [one.key for one in page.messages] == ["a"]


def webhook(name: str = "team/hook", **changes: object) -> Webhook:
    made = Webhook(name, "https://e.example/", "", (Binding("x", "#"),), "1.k.sealed", "alice", NOW)
    return msgspec.structs.replace(made, **changes)


async def test_a_webhook_is_read_back_with_its_place_in_the_log(engine: Engine) -> None:
    store = SqlWebhookStore(engine)
    await publish(engine, "before")
    await store.create(webhook(), Envelope(NOW))
    found = await store.webhook("team/hook")
    assert found == webhook(since=await SqlEventLog(engine).newest())
    with pytest.raises(ConflictError, match="webhook team/hook exists already; remove it first"):
        await store.create(webhook(), Envelope(NOW))
    await store.create(webhook("a"), Envelope(NOW))
    assert [one.webhook_id for one in await store.listed("", 10)] == ["a", "team/hook"]
    assert [one.webhook_id for one in await store.listed("a", 10)] == ["team/hook"]


async def queue(engine: Engine, *keys: str, first: int = 1) -> SqlWebhookStore:
    store = SqlWebhookStore(engine)
    new = [NewDelivery("team/hook", first + n, key, b"{}") for n, key in enumerate(keys)]
    await store.queue(new, "webhooks", first + len(keys) - 1, NOW)
    return store


async def test_of_each_key_the_first_event_is_ready_and_the_next_once_it_was_taken(engine: Engine) -> None:
    await SqlWebhookStore(engine).create(webhook(), Envelope(NOW))
    store = await queue(engine, "a", "b", "a")
    ready = await store.ready("team/hook", NOW, 10)
    assert [(one.key, one.event_id) for one in ready] == [("a", 1), ("b", 2)]
    await store.delivered("team/hook", ready[0].id)
    assert [(one.key, one.event_id) for one in await store.ready("team/hook", NOW, 10)] == [
        ("b", 2),
        ("a", 3),
    ]
    assert (await store.state("team/hook")).waiting == 2
    assert await SqlEventCursors(engine).place("webhooks") == 3


async def test_a_failed_event_waits_and_holds_back_only_its_own_key(engine: Engine) -> None:
    await SqlWebhookStore(engine).create(webhook(), Envelope(NOW))
    store = await queue(engine, "a", "b", "a")
    [first, _] = await store.ready("team/hook", NOW, 10)
    later = NOW + timedelta(seconds=2)
    await store.failed("team/hook", first, later, None, "HTTP 500")
    assert [one.key for one in await store.ready("team/hook", NOW, 10)] == ["b"]
    ready = await store.ready("team/hook", later, 10)
    assert [(one.key, one.failures) for one in ready] == [("b", 0), ("a", 1)]
    state = await store.state("team/hook")
    assert (state.failures, state.given_up, state.last_error) == (1, 0, "HTTP 500")


async def test_a_paused_webhook_gets_nothing_until_its_pause_ends(engine: Engine) -> None:
    await SqlWebhookStore(engine).create(webhook(), Envelope(NOW))
    store = await queue(engine, "a", "b")
    [first, _] = await store.ready("team/hook", NOW, 10)
    end = NOW + timedelta(seconds=8)
    await store.failed("team/hook", first, NOW, end, "no answer in time")
    assert await store.ready("team/hook", end - timedelta(milliseconds=1), 10) == []
    assert await store.next_time("team/hook") == end
    assert len(await store.ready("team/hook", end, 10)) == 2


async def test_an_event_that_is_given_up_lets_the_next_one_go(engine: Engine) -> None:
    await SqlWebhookStore(engine).create(webhook(), Envelope(NOW))
    store = await queue(engine, "a", "a")
    [first] = await store.ready("team/hook", NOW, 10)
    await store.failed("team/hook", first, None, None, "HTTP 500")
    [second] = await store.ready("team/hook", NOW, 10)
    assert second.event_id == 2
    state = await store.state("team/hook")
    assert (state.waiting, state.given_up) == (1, 1)


async def test_a_webhook_for_which_too_much_waits_gets_no_more(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftlock.adapters.sql.webhook_store.MAX_WAITING", 2)
    await SqlWebhookStore(engine).create(webhook(), Envelope(NOW))
    store = await queue(engine, "a", "b", "c")
    assert len(await store.ready("team/hook", NOW, 10)) == 2
    state = await store.state("team/hook")
    assert (state.waiting, state.given_up) == (2, 1)


async def test_a_removed_webhook_leaves_nothing_behind(engine: Engine) -> None:
    await SqlWebhookStore(engine).create(webhook(), Envelope(NOW))
    store = await queue(engine, "a")
    assert await store.remove("team/hook", Envelope(NOW))
    assert not await store.remove("team/hook", Envelope(NOW))
    assert await store.ready("team/hook", NOW, 10) == []
    assert await store.next_time("team/hook") is None
    await queue(engine, "b", first=9)
    assert await store.ready("team/hook", NOW, 10) == []
    gone = Delivery(1, 1, "a", b"{}", NOW, 0)
    await store.failed("team/hook", gone, NOW, None, "x")


async def test_a_reader_never_goes_back(engine: Engine) -> None:
    cursors = SqlEventCursors(engine)
    assert await cursors.place("r") is None
    await cursors.move("r", 7)
    await cursors.move("r", 5)
    assert await cursors.place("r") == 7


async def test_an_event_fires_a_hook_once(engine: Engine) -> None:
    cursors = SqlEventCursors(engine)

    def nothing() -> Script[None]:
        yield from ()

    fire = EventFire("g/h", 7, "task", ("g/a", "g/h"), 1000)
    await engine.write(nothing, Envelope(NOW, records=(fire,)))
    with pytest.raises(StaleSnapshotError, match="the event has fired this hook already"):
        await engine.write(nothing, Envelope(NOW, records=(msgspec.structs.replace(fire, task_id="b"),)))
    assert await cursors.chain_of(["none", "task"]) == ("g/a", "g/h")
    assert await cursors.chain_of(["b"]) == ()
    assert (await cursors.fires_since("g/h", 999), await cursors.fires_since("g/h", 1000)) == (1, 0)
    await cursors.forget_fires(1001)
    assert await cursors.chain_of(["task"]) == ()


async def test_a_hook_with_bindings_is_found_by_its_index(engine: Engine) -> None:
    document = "json_array_length(document, '$.bindings')"
    if engine.dialect == "postgresql":
        pytest.skip("a table this small is read whole")

    def script() -> Script[str]:
        rows = yield Sql(f"EXPLAIN QUERY PLAN SELECT document FROM hook WHERE {document} > 0")
        return str(rows)

    assert "hook_bound" in await engine.read(script)
