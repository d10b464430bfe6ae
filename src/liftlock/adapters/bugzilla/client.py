"""Tracker over Bugzilla's REST interface.

Source: docs/reference/gate-feed.md#trackers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import httpx2

from liftlock.adapters.bugzilla.answers import bug_state, changes, feed_page, snapshot_page
from liftlock.adapters.bugzilla.key_file import TrackerKey
from liftlock.domain.pushes.bug_state import BugState
from liftlock.domain.pushes.tracker_page import Page
from liftlock.errors import MalformedPayloadError
from liftlock.ports.tracker import Changed, TrackerAccessError, TrackerUnavailableError
from liftlock.values import json

TIMEOUT_S: Final = 10.0
PAGE: Final = 500
MAX_FOUND: Final = 1_000_000
MAX_BYTES: Final = 32_000_000
ATTACHMENT_FIELDS: Final = "id,bug_id,is_obsolete,is_patch,is_private,content_type,flags,last_change_time"
NO_SUCH_BUG: Final = frozenset({100, 101})
HIDDEN_BUG: Final = 102


class BugzillaTracker:
    """Implements `ports.tracker.Tracker`. `source` names the tracker in events."""

    def __init__(
        self,
        source: str,
        address: str,
        key: TrackerKey,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._source = source
        self._http = httpx2.AsyncClient(
            base_url=address,
            headers={"X-BUGZILLA-API-KEY": key.reveal(), "Accept": "application/json"},
            timeout=TIMEOUT_S,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    async def page(self, since: int) -> Page:
        try:
            return feed_page(self._source, await self._get("/rest/gatefeed", {"since": str(since)}))
        except MalformedPayloadError as error:
            raise TrackerUnavailableError(error.message) from error

    async def changed(self, since: str) -> tuple[Changed, ...]:
        return await self.search({"last_change_time": since})

    async def search(self, query: Mapping[str, str]) -> tuple[Changed, ...]:
        """Return all that is found, page by page; a bug that moved between pages is there once."""
        found: dict[int, Changed] = {}
        for offset in range(0, MAX_FOUND, PAGE):
            answer = await self._get(
                "/rest/bug",
                {
                    **query,
                    "include_fields": "id,last_change_time",
                    "order": "bug_id",
                    "limit": str(PAGE),
                    "offset": str(offset),
                },
            )
            page = changes(answer)
            found |= {each.bug: each for each in page}
            if len(page) < PAGE:
                return tuple(found.values())
        raise TrackerUnavailableError(f"a search finds {MAX_FOUND} bugs or more: it can't be a list of these")

    async def whole(self, query: Mapping[str, str]) -> dict[int, BugState] | None:
        """Ask the extension: it knows searches by keywords."""
        if query.get("keywords_type") != "anywords" or set(query) != {"keywords", "keywords_type"}:
            return None
        found: dict[int, BugState] = {}
        after = 0
        for _ in range(0, MAX_FOUND, PAGE):
            asked = {"keywords": query["keywords"], "after": str(after)}
            status, answer = await self._ask("/rest/gatefeed/snapshot", asked)
            if status == 404:
                return None
            states, following = snapshot_page(_accepted(status, answer))
            found |= states
            if following <= after:
                return found
            after = following
        raise TrackerUnavailableError(f"a snapshot has {MAX_FOUND} bugs or more")

    async def highest(self) -> int | None:
        query = {"include_fields": "id,last_change_time", "order": "bug_id DESC", "limit": "1"}
        return max((each.bug for each in changes(await self._get("/rest/bug", query))), default=None)

    async def read(self, bug: int) -> BugState | None:
        status, answer = await self._ask(f"/rest/bug/{bug}", {})
        code = answer.get("code") if answer.get("error") else None
        if status == 404 and code in NO_SUCH_BUG:
            return None
        if code == HIDDEN_BUG:
            return BugState(readable=False)
        bugs = _accepted(status, answer).get("bugs")
        if not isinstance(bugs, list) or len(bugs) != 1 or bugs[0].get("id") != bug:
            raise TrackerUnavailableError(f"the tracker's answer about bug {bug} is about another")
        attached = await self._get(f"/rest/bug/{bug}/attachment", {"include_fields": ATTACHMENT_FIELDS})
        listed = attached.get("bugs")
        if not isinstance(listed, dict) or not isinstance(listed.get(str(bug)), list):
            raise TrackerUnavailableError(f"the tracker's list of attachments of bug {bug} is not there")
        return bug_state(bugs[0], listed[str(bug)])

    async def _get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        return _accepted(*await self._ask(path, query))

    async def _ask(self, path: str, query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        try:
            async with self._http.stream("GET", path, params=dict(query)) as answer:
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise TrackerUnavailableError(f"the tracker sent more than {MAX_BYTES} bytes")
                status = answer.status_code
            decoded = json.decode(bytes(body), what="the tracker's answer")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise TrackerUnavailableError(f"the tracker does not answer: {type(error).__name__}") from error
        except MalformedPayloadError as error:
            raise TrackerUnavailableError(error.message) from error
        if not isinstance(decoded, dict):
            raise TrackerUnavailableError("the tracker's answer is no object")
        return status, decoded

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()


def _accepted(status: int, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer if it is none of an error; the tracker's own text stays in it, for it holds no secret."""
    if status < 300 and not answer.get("error"):
        return answer
    why = f"the tracker answered {status}, code {answer.get('code')}: {str(answer.get('message'))[:200]}"
    # 304, 306, 410: not in the group, an invalid key, login required. Bugzilla::WebService::Constants.
    if status in {401, 403} or answer.get("code") in {304, 306, 410}:
        raise TrackerAccessError(why)
    raise TrackerUnavailableError(why)
