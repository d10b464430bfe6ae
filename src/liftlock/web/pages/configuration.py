"""Configuration: a plan as `liftlock config plan --json` writes it, widening first; and what was applied last.

A plan is only looked at here. It is made and applied by the command line, with one's own credentials.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from liftlock.errors import InputInvalidError, LiftlockError, MalformedPayloadError, NotFoundError
from liftlock.ports.configuration_store import AppliedRecord
from liftlock.services.applied_configuration import AppliedConfiguration
from liftlock.values.json import decode_as, digest
from liftlock.web.pages.page import Answer, Page, PageRequest, Shown
from liftlock.web.pages.rendering import pretty

MAX_PLAN_BYTES: Final = 16 << 20
MOST_SHOWN: Final = 500
"""Changes of each part that are shown whole; of the others only the number is told."""
MAX_CONTENT: Final = 20_000


class ShownChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One change of a plan, as its JSON says."""

    change: str
    resource: str
    place: str | None
    widens: tuple[str, ...]
    narrows: tuple[str, ...]
    fields: tuple[str, ...]
    drift: bool
    before: Any
    after: Any

    @property
    def was(self) -> str:
        """The content before, as text."""
        return pretty(self.before)[:MAX_CONTENT]

    @property
    def becomes(self) -> str:
        """The content after, as text."""
        return pretty(self.after)[:MAX_CONTENT]


class ShownPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan, as its JSON says. Nothing of it is believed but what can be counted again."""

    digest: str
    changes: tuple[ShownChange, ...]
    widening: int
    drifted: int
    unchanged: int


class ConfigurationPages:
    """Answers for configuration."""

    def __init__(self, applied: AppliedConfiguration) -> None:
        self._applied = applied

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/configuration", self.show),
            Page("POST", "/configuration/plan", self.plan, max_form_bytes=MAX_PLAN_BYTES),
        ]

    async def show(self, request: PageRequest) -> Answer:
        name = request.query.get("name") or ""
        record: AppliedRecord | None = None
        nothing: str | None = None
        if name:
            try:
                record = await self._applied.get(request.caller, name)
            except NotFoundError as error:
                nothing = error.message
        return _shown(name=name, record=record, nothing=nothing)

    async def plan(self, request: PageRequest) -> Answer:
        text = request.field("plan").strip()
        try:
            plan, is_whole = read_plan(text)
        except LiftlockError as error:
            return _shown(error=error.message, text=text[:MAX_CONTENT], status=400)
        widening = [one for one in plan.changes if one.widens]
        others = [one for one in plan.changes if not one.widens]
        return _shown(
            plan=plan,
            is_whole=is_whole,
            parts=[
                ("Lets somebody do more than before", widening[:MOST_SHOWN], len(widening), True),
                ("Other changes", others[:MOST_SHOWN], len(others), False),
            ],
            drifted=[one for one in plan.changes if one.drift],
        )


def _shown(status: int = 200, **given: Any) -> Shown:
    empty: dict[str, Any] = {
        "name": "",
        "record": None,
        "nothing": None,
        "plan": None,
        "is_whole": False,
        "parts": [],
        "drifted": [],
        "error": None,
        "text": "",
    }
    return Shown("configuration.html", empty | given, status)


def read_plan(text: str) -> tuple[ShownPlan, bool]:
    """Return the plan, and whether its digest is that of exactly these changes.

    Raises:
        InputInvalidError: it is no plan; the message says where.
    """
    if not text:
        raise InputInvalidError("plan: expected what `liftlock config plan FOLDER --json` writes")
    try:
        plan = decode_as(text, ShownPlan, what="plan")
        raw = decode_as(text, dict[str, Any], what="plan")
    except MalformedPayloadError as error:
        raise InputInvalidError(
            f"{error.message}; expected what `liftlock config plan FOLDER --json` writes"
        ) from error
    return plan, digest(raw["changes"]) == plan.digest
