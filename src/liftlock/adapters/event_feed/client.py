"""Tracker over the neutral protocol: `GET /events`, `GET /bugs`, `GET /bugs/N`, with a bearer's key.

Source: docs/reference/gate-feed.md#the-neutral-protocol
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx2
import msgspec

from liftlock.adapters.bugzilla.key_file import TrackerKey
from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.tracker_event import parse_event
from liftlock.domain.pushes.tracker_page import Page
from liftlock.errors import MalformedPayloadError
from liftlock.ports.tracker import Changed, TrackerAccessError, TrackerUnavailableError
from liftlock.values import json

TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 32_000_000
MAX_EVENTS: Final = 1_000
MAX_PAGES: Final = 10_000


class EventFeedTracker:
    """Implements `ports.tracker.Tracker`, but for searches, of which this protocol has none."""

    def __init__(
        self,
        source: str,
        address: str,
        key: TrackerKey,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._source = source
        self._address = address.rstrip("/")
        self._http = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key.reveal()}", "Accept": "application/json"},
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    async def page(self, since: int) -> Page:
        answer = _found(await self._get("/events", {"since": str(since)}), "its events")
        try:
            rows = answer["events"]
            if len(rows) > MAX_EVENTS:
                raise TrackerUnavailableError(
                    f"the tracker sent {len(rows)} events, expected at most {MAX_EVENTS}"
                )
            epoch = str(answer["epoch"])
            events = tuple(parse_event({"epoch": epoch, **row, "source": self._source}) for row in rows)
            return Page(epoch=epoch, head=int(answer["head"]), floor=int(answer["floor"]), events=events)
        except (KeyError, TypeError, ValueError, MalformedPayloadError) as error:
            raise TrackerUnavailableError(
                f"the tracker's page of events is not understood: {error!r}"
            ) from error

    async def changed(self, since: str) -> tuple[Changed, ...]:
        raise TrackerUnavailableError("a tracker of events is not polled for changes")

    async def search(self, query: Mapping[str, str]) -> tuple[Changed, ...]:
        raise TrackerUnavailableError("a tracker of events has no searches")

    async def whole(self, query: Mapping[str, str]) -> dict[int, BugState] | None:
        """Return every bug that may matter, as the tracker lists them."""
        found: dict[int, BugState] = {}
        after = 0
        for _ in range(MAX_PAGES):
            answer = _found(await self._get("/bugs", {"after": str(after)}), "its list of bugs")
            try:
                found |= {int(bug): _state(state) for bug, state in answer["bugs"].items()}
                following = int(answer["next"])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise TrackerUnavailableError(f"the tracker's list is not understood: {error!r}") from error
            if following <= after:
                return found
            after = following
        raise TrackerUnavailableError(f"the tracker's list has more than {MAX_PAGES} pages")

    async def highest(self) -> int | None:
        return None

    async def read(self, bug: int) -> BugState | None:
        answer = await self._get(f"/bugs/{bug}", {})
        if answer is None:
            return None
        if answer.get("bug") != bug:
            raise TrackerUnavailableError(f"the tracker's answer about bug {bug} is about another")
        return _state(answer.get("state"))

    async def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the answer, or None if there is no such thing."""
        try:
            async with self._http.stream("GET", self._address + path, params=dict(query)) as answer:
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise TrackerUnavailableError(f"the tracker sent more than {MAX_BYTES} bytes")
            if answer.status_code in {401, 403}:
                raise TrackerAccessError(f"the tracker answered {answer.status_code}: the key has no access")
            if answer.status_code == 404:
                return None
            if answer.status_code != 200:
                raise TrackerUnavailableError(f"the tracker answered {answer.status_code}")
            decoded = json.decode(bytes(body), what="the tracker's answer")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise TrackerUnavailableError(f"the tracker does not answer: {type(error).__name__}") from error
        except MalformedPayloadError as error:
            raise TrackerUnavailableError(error.message) from error
        if not isinstance(decoded, dict) or decoded.get("v") != 1:
            raise TrackerUnavailableError("the tracker's answer is no object of version 1")
        return decoded

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()


def _found(answer: dict[str, Any] | None, what: str) -> dict[str, Any]:
    if answer is None:
        raise TrackerUnavailableError(f"the tracker does not have {what}")
    return answer


def _state(value: Any) -> BugState:
    try:
        return msgspec.convert(value, BugState)
    except msgspec.ValidationError as error:
        raise TrackerUnavailableError(f"the tracker's state of a bug is not understood: {error}") from error
