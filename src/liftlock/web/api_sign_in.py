"""Sign-in links over HTTP: made by whoever may do all that the person may."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from liftlock.domain.credentials.page_sessions import LINK_LASTS
from liftlock.services.sign_in_links import SignInLinks
from liftlock.values.instants import format_instant
from liftlock.web.routing import ApiRequest, Route

SIGN_IN_PATH: Final = "/sign-in/link/"


def routes(links: SignInLinks) -> list[Route]:
    """Return the route that makes a link."""

    async def make(request: ApiRequest) -> object:
        seconds = request.payload.get("validForSeconds", LINK_LASTS // timedelta(seconds=1))
        client_id = request.params["clientId"]
        made = await links.make(request.caller, client_id, timedelta(seconds=seconds), request.now)
        return {
            "clientId": made.client_id,
            "url": f"{request.root_url}{SIGN_IN_PATH}{made.secret}",
            "expires": format_instant(made.expires),
        }

    return [
        Route(
            service="auth",
            method="POST",
            path="/clients/<clientId>/sign-in-link",
            name="makeSignInLink",
            handler=make,
            title="Make a link that signs a client in to the pages once",
            description="Whoever opens it is signed in as the client, so the caller needs every scope that the client has.",
            input="auth/sign-in-link-request",
            output="auth/sign-in-link-response",
            scopes={
                "AllOf": ["auth:sign-in-link:<clientId>", {"for": "scope", "in": "scopes", "each": "<scope>"}]
            },
            stability="experimental",
        )
    ]
