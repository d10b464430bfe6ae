"""What trackers send, over a real control plane, to feedd, which connected out: rings, and signed events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from control_plane_server import ROOT, Served, serve
from feed_world import FeedWorld, feed_world
from liftlock.adapters.event_feed.sender import EventSender
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.pushes.tracker_event import TrackerEvent, sign_push
from liftlock.errors import AuthenticationFailedError, ReceiverUnavailableError
from liftlock.ports.feed_inbox import EventCursor
from neutral_tracker import KEY, event, serving_neutral

pytestmark = pytest.mark.process
SECRET: dict[str, Any] = {"keywords": ("sec-high",), "groups": ("core-security",)}
SHARED = b"shared-secret-of-the-sender"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path) as found:
        yield found


@pytest.fixture
def world(served: Served) -> Iterator[FeedWorld]:
    with feed_world() as made:
        made.keep_secret("relay.key", f"{ROOT.client_id}|{ROOT.access_token}")
        made.keep_secret("push.key", SHARED.decode())
        yield made


def relayed(world: FeedWorld, served: Served, more: str = "") -> str:
    return f'relays = ["{served.root_url}"]\nrelay-key-file = "{world.gate.folder}/relay.key"\n{more}'


def ring(served: Served, payload: object, source: str = "tracker") -> httpx2.Response:
    return httpx2.post(
        f"{served.root_url}/api/gate/v1/tracker/{source}/doorbell", json=payload, trust_env=False
    )


def test_a_webhook_brings_a_change_into_force_long_before_the_next_poll(
    world: FeedWorld, served: Served
) -> None:
    """A private bug's webhook says its number and no more; a review request stands for its patch."""
    bug = world.model.file(**SECRET)
    world.configure("poll", relayed(world, served), interval_ms=3_600_000)
    world.start()
    world.until(lambda: world.knows(bug) and world.caught_up())
    patch = world.model.attach(bug, content_type="text/x-phabricator-request", is_patch=False)
    world.model.flag(patch, "sec-approval", "+")
    time.sleep(0.5)
    assert world.knows(bug), "nobody has told it, and the poll is an hour away"
    asked = len(world.model.asked)
    began = time.monotonic()
    answer = ring(
        served,
        {
            "webhook_id": 1,
            "event": {"action": "modify"},
            "bug": {"id": bug, "is_private": True, "keywords": ["lies"]},
        },
    )
    assert (answer.status_code, answer.json()) == (200, {})
    world.until(lambda: not world.knows(bug))
    took = time.monotonic() - began
    assert set(world.model.asked[asked:]) == {f"/rest/bug/{bug}", f"/rest/bug/{bug}/attachment"}, (
        "it was read, not believed"
    )
    assert took < 20, "and at once, whatever the machine is busy with"
    other = world.model.file(**SECRET)
    assert ring(served, {}).status_code == 200
    world.until(lambda: world.knows(other))


def test_a_ring_says_nothing_of_who_listens_and_nonsense_rings_for_nothing(served: Served) -> None:
    for payload in (
        {},
        {"bug": 7},
        {"bug": {"id": "7"}},
        {"bug": None},
        {"bug": {"id": -1}},
        {"bug": {"id": 10**12}},
    ):
        answer = ring(served, payload, "nobody-follows-this")
        assert (answer.status_code, answer.json()) == (200, {})
    assert ring(served, [1]).json()["code"] == "InputValidationError"
    assert ring(served, {}, "No%20Name").json()["code"] == "InvalidRequestArguments"


class Sender:
    """Sends what a tracker of the neutral protocol would send."""

    def __init__(self, served: Served, key_id: str = "k1", secret: bytes = SHARED) -> None:
        self.served = served
        self.key_id = key_id
        self.secret = secret

    def send(self, *events: TrackerEvent) -> EventCursor:
        async def send() -> EventCursor:
            sender = EventSender(
                self.served.root_url, "tracker", self.key_id, self.secret, SystemClock(), SystemEntropy()
            )
            try:
                return await sender.send(events)
            finally:
                await sender.close()

        return asyncio.run(send())

    def raw(self, body: bytes, *, ts: int, nonce: str, signature: str | None = None) -> httpx2.Response:
        signed = signature or sign_push(self.secret, key_id=self.key_id, ts=ts, nonce=nonce, body=body)
        headers = {
            "x-liftlock-key-id": self.key_id,
            "x-liftlock-timestamp": str(ts),
            "x-liftlock-nonce": nonce,
            "x-liftlock-signature": signed,
        }
        url = f"{self.served.root_url}/api/gate/v1/tracker/tracker/events"
        return httpx2.post(url, content=body, headers=headers, timeout=30, trust_env=False)


@pytest.fixture
def neutral(world: FeedWorld, served: Served) -> Iterator[FeedWorld]:
    """A tracker of the neutral protocol that feedd asks once an hour, and otherwise hears of."""
    with serving_neutral(world.model) as address:
        world.address = address
        world.keep_secret("tracker.key", KEY)
        keys = (
            f'kind = "events"\n{relayed(world, served)}push-keys = {{ k1 = "{world.gate.folder}/push.key" }}'
        )
        world.configure("extension", keys, interval_ms=3_600_000)
        world.model.file(**SECRET)
        world.start()
        world.until(lambda: world.knows(1) and world.caught_up())
        yield world


def test_signed_events_are_kept_verified_and_in_force_and_each_message_counts_once(
    neutral: FeedWorld, served: Served
) -> None:
    model, sender = neutral.model, Sender(served)
    new = model.file(**SECRET)
    model.file()
    asked = len(model.asked)
    assert sender.send(*(event(model, row) for row in model.rows[-2:])) == EventCursor(
        model.epoch, model.head
    )
    neutral.until(lambda: neutral.knows(new))
    assert model.asked[asked:] == [], "a state that came along is not asked for"
    assert sender.send(event(model, model.rows[-1])) == EventCursor(model.epoch, model.head), (
        "a duplicate is in order"
    )
    late = model.file(**SECRET)
    model.ring(late, "another")
    assert sender.send(event(model, model.rows[-1])) == EventCursor(model.epoch, model.head - 2), (
        "one is missing before it"
    )
    assert not neutral.knows(late)
    sender.send(*(event(model, row) for row in model.rows[-2:]))
    neutral.until(lambda: neutral.knows(late))
    cleared = msgspec.structs.replace(event(model, model.rows[-1]), seq=model.head + 1, state=None)
    model.change(late, keywords=[])
    sender.send(cleared)
    neutral.until(lambda: not neutral.knows(late))
    assert model.asked[asked:] == [f"/bugs/{late}"], "an event without a state leads to reading"
    model.epoch = "restored"
    sender.send(event(model, model.rows[-1]))
    neutral.until(lambda: "/bugs" in model.asked[asked:])
    assert neutral.knows(new)

    body = msgspec.json.encode({"v": 1, "events": [event(model, model.rows[-1])]})
    now = int(time.time())
    assert sender.raw(body, ts=now, nonce="n1").status_code == 200
    again = sender.raw(body, ts=now, nonce="n1")
    assert (again.status_code, again.json()["code"]) == (401, "AuthenticationFailed")
    assert "this message was received before" in again.json()["message"]
    neutral.stop()
    with pytest.raises(ReceiverUnavailableError, match=r"nobody receives them at the moment|went away"):
        sender.send(event(model, model.rows[-1]))
    neutral.start()
    neutral.until(lambda: neutral.caught_up(times=2))
    assert sender.raw(body, ts=now, nonce="n1").status_code == 401, "also after a restart"


def test_what_is_not_signed_by_a_known_key_just_now_is_refused(neutral: FeedWorld, served: Served) -> None:
    model, sender = neutral.model, Sender(served)
    rows = [event(model, model.rows[-1])]
    body = msgspec.json.encode({"v": 1, "events": rows})
    now = int(time.time())
    for said, answer in (
        ("the signature is not valid", sender.raw(body, ts=now, nonce="a", signature="0" * 64)),
        (
            "the signature is not valid",
            sender.raw(
                body + b" ",
                ts=now,
                nonce="b",
                signature=sign_push(SHARED, key_id="k1", ts=now, nonce="b", body=body),
            ),
        ),
        ("expected at most 300", sender.raw(body, ts=now - 400, nonce="c")),
        ("expected at most 300", sender.raw(body, ts=now + 400, nonce="d")),
        ("the signature is not valid", Sender(served, "k2").raw(body, ts=now, nonce="e")),
        ("the signature is not valid", Sender(served, secret=b"another").raw(body, ts=now, nonce="f")),
        (
            "expected all of source tracker",
            sender.raw(
                msgspec.json.encode({"v": 1, "events": [msgspec.structs.replace(rows[0], source="other")]}),
                ts=now,
                nonce="g",
            ),
        ),
        ("expected", sender.raw(b"{}", ts=now, nonce="h")),
    ):
        assert answer.status_code == 401, answer.text
        assert said in answer.json()["message"]
    with pytest.raises(AuthenticationFailedError, match="the signature is not valid"):
        Sender(served, secret=b"another").send(*rows)
    headers = {"x-liftlock-key-id": "k1"}
    url = f"{served.root_url}/api/gate/v1/tracker/tracker/events"
    missing = httpx2.post(url, content=body, headers=headers, trust_env=False)
    assert (missing.status_code, missing.json()["code"]) == (400, "InputError")
    assert "x-liftlock-timestamp: expected 1 to 256 characters" in missing.json()["message"]
