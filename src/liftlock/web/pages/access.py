"""Why can or can't I: a need as a tree, with the chain of roles, who could grant what is missing, and what one reaches."""

from __future__ import annotations

from typing import Any

from liftlock.domain.scopes.satisfaction import AllOf, Expression, parse_expression
from liftlock.errors import RequestArgumentsError
from liftlock.services.escalation_paths import EscalationPaths, Start
from liftlock.services.explain_access import ExplainAccess
from liftlock.values.ids import client_id as parse_client_id
from liftlock.values.json import decode
from liftlock.web.api_access_paths import path_wire, steps_wire
from liftlock.web.auth_wire import explanation_wire
from liftlock.web.pages.page import Answer, Page, PageRequest, Shown

MAX_NEED = 20_000
MOST_PLACES = 100


def routes(explain: ExplainAccess, paths: EscalationPaths) -> list[Page]:
    """Return the page."""

    async def show(request: PageRequest) -> Answer:
        said = request.query.get("need", "").strip()
        who = request.query.get("client", "").strip() or None
        if who is not None:
            parse_client_id(who)
        if len(said) > MAX_NEED:
            raise RequestArgumentsError(f"need: expected at most {MAX_NEED} characters")
        answer: dict[str, Any] | None = None
        path: Any = None
        if said:
            found = await explain(request.caller, _need(said), request.now, client_id=who)
            answer = explanation_wire(found)
            if not said.startswith("{") and not answer["satisfied"]:
                hunted = await paths.path(request.caller, Start(client_id=who), said, (), request.now)
                path = None if hunted.path is None else path_wire(hunted.path, hunted.sight)
        reached = None
        if request.query.get("reach"):
            reach = await paths.reach(request.caller, Start(client_id=who), (), request.now)
            places = [steps_wire(one, reach.sight) for one in reach.places if one.steps]
            reached = {
                "places": places[:MOST_PLACES],
                "more": len(places) > MOST_PLACES or reach.truncated,
                "scopes": reach.scopes,
                "hidden": reach.hidden,
            }
        return Shown(
            "access.html",
            {"need": said, "client": who or "", "answer": answer, "path": path, "reached": reached},
        )

    return [Page("GET", "/access", show)]


def _need(said: str) -> Expression:
    if said.startswith("{"):
        return parse_expression(decode(said, what="need"))
    scopes = said.split()
    return parse_expression(scopes[0]) if len(scopes) == 1 else AllOf(*map(parse_expression, scopes))
