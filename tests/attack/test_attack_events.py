"""What is tried by and against those who get events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from access_world import World
from event_world import bindings
from fakes.counted_entropy import CountedEntropy
from hook_builders import GROUP, HOOK, NAME, NOW, hook_body
from hooks_world import HooksWorld
from hostile_server import hostile_server
from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.event_log import SqlEventCursors, SqlEventLog
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.webhook_store import SqlWebhookStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.adapters.webhooks.sender import HttpWebhookSender
from liftlock.domain.events.bindings import Binding, Wanted
from liftlock.domain.events.naming import EXCHANGES, message_of
from liftlock.errors import BusyError, InputInvalidError, RefusedError
from liftlock.ports.webhook_sender import SendingFailedError
from liftlock.services import event_feed
from liftlock.services.create_task import CreateTask
from liftlock.services.event_feed import EventFeed, Listener
from liftlock.services.fire_bindings import FireBindings
from liftlock.services.webhooks import Webhooks
from task_builders import document, task_id


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1", "0.0.0.0"],
)
async def test_a_webhook_to_an_address_inside_is_not_sent(host: str) -> None:
    sender = HttpWebhookSender(Addresses(["127.0.0.1:1"]))
    with pytest.raises(
        SendingFailedError, match="the address is not public, and the operator has not named it"
    ):
        await sender.send(f"http://{host}:80/", {}, b"{}")
    await sender.close()


async def test_a_receiver_that_never_answers_is_left_after_its_time() -> None:
    async with hostile_server() as server:

        async def silent(_: asyncio.StreamWriter) -> None:
            await asyncio.sleep(30)

        server.routes["/"] = silent
        sender = HttpWebhookSender(Addresses([server.place]), answer_s=0.3)
        with pytest.raises(SendingFailedError, match="no answer in time"):
            await sender.send(server.url("/"), {}, b"{}")
        await sender.close()


async def test_a_receivers_endless_answer_is_not_read() -> None:
    async with hostile_server() as server:
        written = 0

        async def endless(writer: asyncio.StreamWriter) -> None:
            nonlocal written
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            while written < 1 << 28:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
                written += 0x10000

        server.routes["/"] = endless
        sender = HttpWebhookSender(Addresses([server.place]))
        await sender.send(server.url("/"), {}, b"{}")
        await sender.close()
    assert written < 1 << 26


@pytest.fixture
async def access(engine: Engine, tmp_path: Path) -> World:
    return World(engine, tmp_path)


def body(*topics: str, url: str = "https://e.example/") -> dict[str, object]:
    return {"url": url, "bindings": bindings(*topics)}


async def test_a_webhook_needs_the_right_to_each_exchange_and_to_itself(access: World) -> None:
    sealer = KeyFileSealer.open(access.directory / "keys.json", CountedEntropy())
    webhooks = Webhooks(SqlWebhookStore(access.engine), sealer, CountedEntropy())
    own = ("events:manage-webhook:team/*", "events:listen:task-completed")
    who = await access.make_client("people/alice", *own)
    caller = await access.caller(who)
    with pytest.raises(RefusedError) as refused:
        await webhooks.create(caller, "team/x", body("task-completed", "task-defined"), NOW)
    assert refused.value.details["unsatisfied"] == "events:listen:task-defined"
    with pytest.raises(RefusedError) as refused:
        await webhooks.create(caller, "other/x", body("task-completed"), NOW)
    assert refused.value.details["unsatisfied"] == "events:manage-webhook:other/x"
    made, secret = await webhooks.create(caller, "team/x", body("task-completed"), NOW)
    assert secret.startswith("whsec_")
    assert secret.removeprefix("whsec_") not in made.sealed_secret


async def test_a_webhook_can_not_hold_another_services_credentials(access: World) -> None:
    sealer = KeyFileSealer.open(access.directory / "keys.json", CountedEntropy())
    webhooks = Webhooks(SqlWebhookStore(access.engine), sealer, CountedEntropy())
    with pytest.raises(InputInvalidError, match="without user, password and fragment"):
        await webhooks.create(
            await access.caller(), "x", body("task-defined", url="https://u:p@e.example/"), NOW
        )


def message(number: int) -> object:
    found = message_of(number, "task-group-sealed", "g", {"taskGroupId": "g", "schedulerId": "s"})
    assert found is not None
    return found


async def test_a_listener_that_takes_nothing_is_dropped_and_keeps_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_feed, "MAX_QUEUED", 3)
    listener = Listener(Wanted([Binding(f"{EXCHANGES}task-group-sealed", "#")]), 0)
    for number in (1, 2, 3):
        listener.offer(message(number))  # type: ignore[arg-type]
    assert not listener.too_slow
    listener.offer(message(4))  # type: ignore[arg-type]
    assert listener.too_slow
    assert await listener.take(0.1) == []


async def test_more_listeners_than_can_be_served_are_told_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_feed, "MAX_LISTENERS", 1)
    feed = EventFeed(SqlEventLog(engine), InProcessWakeups())
    wanted = Wanted([])
    with (
        feed.listen(wanted, 0),
        pytest.raises(BusyError, match="1 listen to events already"),
        feed.listen(wanted, 0),
    ):
        pass
    with feed.listen(wanted, 0):
        pass


class Present:
    """A clock that stands."""

    def now(self) -> datetime:
        return NOW.astimezone(UTC)


def firing(world: HooksWorld) -> FireBindings:
    return FireBindings(
        SqlEventLog(world.engine),
        SqlEventCursors(world.engine),
        world.store,
        world.fire,
        world.access.authorizer,
        SqlLeases(world.engine),
        InProcessWakeups(),
        Present(),
        "one",
    )


async def create_task(world: HooksWorld, number: int) -> None:
    await CreateTask(world.tasks)(await world.access.caller(), task_id(number), document(NOW), NOW)


async def drain(fire: FireBindings, world: HooksWorld) -> None:
    for _ in range(4):
        await fire.fire_new(await world.store.bound())
        await asyncio.sleep(0.01)  # a gap in PostgreSQL's ids is looked at again
    await fire.fire_new(await world.store.bound())


async def test_hooks_that_events_fire_do_not_fire_each_other_for_ever(engine: Engine, tmp_path: Path) -> None:
    """Two hooks, each fired by every new task, one of whose fires brings the other's."""
    world = await HooksWorld.make(engine, tmp_path)
    await world.access.make_role(f"hook-id:{GROUP}/other", "*")
    await create_task(world, 1)
    fire = firing(world)
    root = await world.access.caller()
    every = {"bindings": bindings("task-defined"), "triggerSchema": {}}
    await world.create(**every)
    await world.hooks.create(root, GROUP, "other", hook_body(**every), NOW)
    await SqlEventCursors(engine).move("hook bindings", await SqlEventLog(engine).newest())
    await create_task(world, 2)
    for _ in range(4):
        await drain(fire, world)
    # The task fires both; each one's task fires the other one; what those make fires nothing.
    assert await world.count("task") == 2 + 2 + 2


async def test_an_event_fires_a_hook_once_whichever_control_plane_sees_it(
    engine: Engine, tmp_path: Path
) -> None:
    world = await HooksWorld.make(engine, tmp_path)
    await world.create(bindings=bindings("task-defined"), triggerSchema={})
    await create_task(world, 1)
    await SqlEventCursors(engine).move("hook bindings", 0)
    planes = [firing(world) for _ in range(4)]
    hooks = await world.store.bound()
    for plane in planes:
        plane._idle_at = 0
    page = await SqlEventLog(engine).after(0, 10)
    first = page.messages[0]
    await asyncio.gather(*(plane._fire_one(hooks[0], first) for plane in planes))
    assert [fire.result for fire in await world.fires()] == ["success"]


async def test_a_loop_that_hides_its_tracks_is_held_to_sixty_fires_a_minute(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liftlock.domain.events.chains.MAX_FIRES_PER_MINUTE", 2)
    world = await HooksWorld.make(engine, tmp_path)
    await world.create(bindings=bindings("task-defined"), triggerSchema={})
    await SqlEventCursors(engine).move("hook bindings", max(1, await SqlEventLog(engine).newest()))
    fire = firing(world)
    for number in range(1, 6):
        await create_task(world, number)
    await drain(fire, world)
    await drain(fire, world)
    results = [one.result for one in await world.fires()]
    assert sorted(results) == ["error", "success", "success"], "the refusal is recorded once a minute"
    assert HOOK in NAME


async def test_an_event_fires_no_hook_that_liftlock_manages(engine: Engine, tmp_path: Path) -> None:
    world = await HooksWorld.make(engine, tmp_path)
    record = await world.create_managed()
    assert record.document["bindings"] == []
    assert await world.store.bound() == []
