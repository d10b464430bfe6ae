"""How a reader of a numbered feed goes on after each page that the tracker gave it. Pure.

Source: docs/reference/gate-feed.md#following
"""

from __future__ import annotations

from typing import Literal

import msgspec

from liftlock.domain.pushes.tracker_event import ALL_BUGS, TrackerEvent


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a feed was read durably: all of `epoch` up to and with `head`.

    `generation`: another number after each new beginning, so that the gate sees that it needs a snapshot.
    `floor`: the oldest event that is still kept for the gate, `head + 1` if none is. `last`: bug and reason of the event
    at `head`, empty if the feed was not read there. `watermark`: newest change that polling has seen, as the tracker
    wrote it.
    """

    epoch: str
    generation: int
    head: int
    floor: int
    last: str = ""
    watermark: str = ""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What the tracker answered. `head`: its newest number; `floor`: the oldest event that it has, 0 if none was."""

    epoch: str
    head: int
    floor: int
    events: tuple[TrackerEvent, ...]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: append `events`, or begin anew at (epoch, head) because of `why`, or ask again because of a gap."""

    do: Literal["append", "rebase", "ask-again"]
    events: tuple[TrackerEvent, ...] = ()
    epoch: str = ""
    head: int = 0
    why: str = ""


def identity(event: TrackerEvent) -> str:
    """Return by what an event is known again. Its time counts: another history may have the same bug at the same number."""
    return f"{event.bug} {event.why} {event.at}"


def asked_from(place: Place | None) -> int:
    """Return the number after which to ask: the last event comes once more, to see that it is the same one."""
    return 0 if place is None else max(0, place.head - 1)


def progress(place: Place | None, page: Page) -> Progress:
    """Return what a page means to a reader at `place`."""
    if place is None:
        return _rebase(page, "nothing was read yet")
    lost = _lost(place, page)
    return _rebase(page, lost) if lost else _follow(place, page)


def _lost(place: Place, page: Page) -> str | None:
    """Return why reading can't go on from `place`, or None."""
    if page.epoch != place.epoch:
        return "the tracker counts from a new beginning"
    if page.head < place.head:
        return "the tracker's counter went back: it was restored from a backup"
    if page.floor > place.head + 1:
        return "the tracker has purged events that were not read"
    for event in page.events:
        if event.seq == place.head and place.last and identity(event) != place.last:
            return "the tracker tells another history: it was restored from a backup"
        if event.seq > place.head and event.bug == ALL_BUGS:
            return f"it concerns every bug: {event.why}"
    return None


def _follow(place: Place, page: Page) -> Progress:
    """Return the events that follow on without a gap; what comes after one is asked for again."""
    taken: list[TrackerEvent] = []
    for event in sorted(page.events, key=lambda each: each.seq):
        if event.seq == place.head + len(taken) + 1:
            taken.append(event)
    missing = place.head + len(taken) + 1
    if not taken and page.head >= missing:
        return Progress(do="ask-again", why=f"event {missing} is announced and was not given")
    return Progress(do="append", events=tuple(taken))


def _rebase(page: Page, why: str) -> Progress:
    return Progress(do="rebase", epoch=page.epoch, head=page.head, why=why)
