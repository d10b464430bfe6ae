"""The push gate: how old its lists are, what it decided lately, what lets bugs pass, and what it makes of a message."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from liftlock.errors import InputInvalidError, ReceiverUnavailableError, RequestArgumentsError
from liftlock.services.gate_seen import GateSeen
from liftlock.values.instants import from_ms
from liftlock.web.pages.page import Answer, Page, PageRequest, Shown, number

KINDS: Final = ("push", "override", "slipped", "quota", "hook", "feed", "operator")
MAX_MESSAGE: Final = 20_000
MAX_BUG: Final = 99_999_999
OUTCOMES: Final = {"accept": "completed", "warn": "exception", "reject": "failed"}


class GatePages:
    """Answers for the gate."""

    def __init__(self, gate: GateSeen) -> None:
        self._gate = gate

    def routes(self) -> list[Page]:
        """Return the pages."""
        return [Page("GET", "/gate", self.show), Page("POST", "/gate/explain", self.explain)]

    async def show(self, request: PageRequest) -> Answer:
        return await self._shown(request, {}, None)

    async def _shown(
        self,
        request: PageRequest,
        asked: dict[str, str],
        answer: dict[str, Any] | None,
        error: str | None = None,
    ) -> Answer:
        kind = request.query.get("kind") or None
        if kind is not None and kind not in KINDS:
            raise RequestArgumentsError(f"kind: expected one of {', '.join(KINDS)}")
        away: str | None = None
        status: dict[str, Any] | None = None
        entries: list[dict[str, Any]] = []
        try:
            status = await self._gate.status(request.caller)
            entries = await self._gate.entries(request.caller, kind)
        except ReceiverUnavailableError as problem:
            away = problem.message
        return Shown(
            "gate.html",
            {
                "away": away,
                "connected": bool(status and status.get("feedConnected")),
                "sources": _sources(status),
                "firings": _firings(status),
                "overrides": _overrides(status),
                "entries": [_entry(one) for one in entries],
                "kinds": KINDS,
                "kind": kind or "",
                "repositories": sorted({one["repository"] for one in (status or {}).get("firings", ())}),
                "asked": {"repository": "", "bug": "", "message": "", "ref": "refs/heads/main"} | asked,
                "answer": answer,
                "error": error,
                "looks": OUTCOMES,
            },
            status=400 if error else 200,
        )

    async def explain(self, request: PageRequest) -> Answer:
        """Explain a bug or a message. A POST: a bug's number has no business in logs of addresses."""
        asked = {name: request.field(name).strip() for name in ("repository", "bug", "message", "ref")}
        try:
            bug, message = _asked(asked)
            answer = await self._gate.explain(
                request.caller,
                asked["repository"],
                bug=bug,
                message=message,
                ref=asked["ref"] or "refs/heads/main",
            )
        except (InputInvalidError, RequestArgumentsError, ReceiverUnavailableError) as problem:
            return await self._shown(request, asked, None, problem.message)
        return await self._shown(request, asked, answer)


def _asked(said: dict[str, str]) -> tuple[int | None, str | None]:
    """Return the bug or the message that is asked about; InputInvalidError, RequestArgumentsError."""
    bug = number(said["bug"], 0, MAX_BUG, "bug") or None
    message = said["message"] or None
    if (bug is None) == (message is None):
        raise InputInvalidError("expected a bug's number, or a message, and not both")
    if message is not None and len(message) > MAX_MESSAGE:
        raise InputInvalidError(f"message: expected at most {MAX_MESSAGE} characters")
    return bug, message


def _sources(status: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the feeds, each with its age as a duration and what is wrong with it, None if nothing is."""
    return [
        {
            "name": name,
            "age": None if one["ageS"] is None else timedelta(seconds=one["ageS"]),
            "seq": one["seq"],
            "bugs": one["bugs"],
            "sensitive": one["sensitive"],
            "blocked": one["blocked"],
            "trouble": _trouble(one),
        }
        for name, one in sorted((status or {}).get("sources", {}).items())
    ]


def _trouble(source: dict[str, Any]) -> str | None:
    if not source["known"]:
        return "no list yet: pushes are let in by what the policy says of that"
    if source["frozen"]:
        return f"frozen: {source['frozen']}"
    if source["snapshotRefused"]:
        return f"a list was refused: {source['snapshotRefused']}"
    return "the whole list was asked for again" if source["resyncAsked"] else None


def _firings(status: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [{**one, "at": from_ms(one["at_ms"])} for one in (status or {}).get("firings", ())]


def _overrides(status: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [
        {**one, "until": from_ms(one["until_ms"]), "at": from_ms(one["at_ms"])}
        for one in (status or {}).get("overrides", ())
    ]


def _entry(one: dict[str, Any]) -> dict[str, Any]:
    details = one.get("details") or {}
    findings = details.get("findings") or ()
    return {
        "at": from_ms(one["at_ms"]),
        "kind": one["kind"],
        "repository": one["repository"],
        "actor": one["actor"],
        "outcome": one["outcome"],
        "rules": list(dict.fromkeys(str(each[0]) for each in findings if isinstance(each, list) and each)),
        "why": str(details.get("why") or details.get("reason") or ""),
    }
