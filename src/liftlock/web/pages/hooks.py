"""Hooks, what they are, and every fire of them: who, when, with which payload and version, and what came of it."""

from __future__ import annotations

from typing import Any

from liftlock.domain.scopes.satisfaction import AnyOf
from liftlock.errors import NotFoundError
from liftlock.ports.hook_store import FireRecord
from liftlock.services.hooks import NEWEST, Hooks
from liftlock.web.pages.page import Answer, Page, PageRequest, Shown, number

PER_PAGE = 50
MOST_HOOKS = 500


class HookPages:
    """Answers for hooks."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [
            Page("GET", "/hooks", self.groups),
            Page("GET", "/hooks/{group}", self.group),
            Page("GET", "/hooks/{group}/{hook:path}", self.hook),
        ]

    async def groups(self, request: PageRequest) -> Answer:
        return Shown("hooks.html", {"groups": await self._hooks.groups(request.caller), "group": None})

    async def group(self, request: PageRequest) -> Answer:
        group = request.params["group"]
        found = await self._hooks.of_group(request.caller, group)
        return Shown(
            "hooks.html",
            {"groups": [], "group": group, "hooks": found[:MOST_HOOKS], "more": len(found) > MOST_HOOKS},
        )

    async def hook(self, request: PageRequest) -> Answer:
        group, hook_id = request.params["group"], request.params["hook"]
        see, list_fires = f"hooks:get:{group}:{hook_id}", f"hooks:list-last-fires:{group}/{hook_id}"
        request.caller.require(AnyOf(see, list_fires))
        record = (
            await self._hooks.get(request.caller, group, hook_id) if request.caller.satisfies(see) else None
        )
        fires: list[FireRecord] | None = None
        if request.caller.satisfies(list_fires):
            before = number(request.query.get("before"), NEWEST, NEWEST, "before")
            fires = await self._hooks.fires(request.caller, group, hook_id, before=before, limit=PER_PAGE)
        if record is None and not fires:
            raise NotFoundError(f"there is no hook {group}/{hook_id}")
        older: Any = None
        if fires and len(fires) == PER_PAGE:
            older = request.here_with(before=str(fires[-1].id))
        return Shown(
            "hook.html",
            {
                "group": group,
                "hook_id": hook_id,
                "record": record,
                "fires": fires,
                "older": older,
                "trigger": f"hooks:trigger-hook:{group}/{hook_id}",
                "may": request.caller.satisfies(f"hooks:trigger-hook:{group}/{hook_id}"),
            },
        )
