"""Signing in and out. A link that is opened signs nobody in by itself: a button of this page does.

So neither a mail scanner that follows the link uses it up, nor does a link that somebody else made sign one in unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from liftlock.domain.credentials.page_requests import local_path
from liftlock.services.page_sessions import PageSessions
from liftlock.services.sign_in_links import SignInLinks
from liftlock.values.instants import from_ms
from liftlock.web.pages.page import Answer, Begun, Go, Page, PageRequest, Shown, SignedOut


@dataclass(frozen=True, slots=True)
class SignInMethod:
    """One more way to sign in that the page offers: a link with `label` to `path` (a GET)."""

    label: str
    path: str


def routes(sessions: PageSessions, links: SignInLinks, methods: Sequence[SignInMethod] = ()) -> list[Page]:
    """Return the pages for signing in and out."""
    handle = _Handlers(sessions, links, tuple(methods))
    return [
        Page("GET", "/sign-in", handle.choose),
        Page("GET", "/sign-in/link/{secret}", handle.ask),
        Page("POST", "/sign-in/link/{secret}", handle.begin, before_sign_in=True),
        Page("GET", "/account", handle.account),
        Page("POST", "/sign-out", handle.end),
        Page("POST", "/sign-out-everywhere", handle.end_all),
    ]


class _Handlers:
    def __init__(self, sessions: PageSessions, links: SignInLinks, methods: tuple[SignInMethod, ...]) -> None:
        self._sessions = sessions
        self._links = links
        self._methods = methods

    async def choose(self, request: PageRequest) -> Answer:
        wanted = local_path(request.query.get("next"))
        return Shown("sign_in.html", {"methods": self._methods, "next": wanted})

    async def ask(self, request: PageRequest) -> Answer:
        link = await self._links.look(request.params["secret"], request.now)
        secret = request.secret or self._sessions.new_secret()
        return Shown(
            "sign_in_link.html",
            {"client_id": link.client_id, "made_by": link.made_by, "expires": from_ms(link.expires_ms)},
            form_secret=None if request.secret else secret,
        )

    async def begin(self, request: PageRequest) -> Answer:
        old = request.signed_in.secret if request.signed_in else None
        started = await self._links.use(request.params["secret"], old, request.now)
        return Begun(started, local_path(request.field("next") or None))

    async def account(self, request: PageRequest) -> Answer:
        if request.signed_in is None:
            return Go("/sign-in?next=/account")
        session = request.signed_in.session
        return Shown(
            "account.html",
            {
                "method": session.method,
                "since": from_ms(session.created_ms),
                "until": request.caller.expires,
                "own": request.caller.own,
                "scopes": list(request.caller.scopes),
            },
        )

    async def end(self, request: PageRequest) -> Answer:
        if request.signed_in is not None:
            await self._sessions.end(request.signed_in, request.now)
        return SignedOut("/sign-in")

    async def end_all(self, request: PageRequest) -> Answer:
        if request.signed_in is not None:
            await self._sessions.end_all(request.signed_in, request.now)
        return SignedOut("/sign-in")
