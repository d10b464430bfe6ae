"""Signing in by an identity provider: away to it, and back.

What comes back counts only in the browser that was sent away: a cookie of this attempt says so. It is `Lax`, because the
way back begins at another site, and the session's own cookie is not touched before the answer was verified.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from liftlock.domain.credentials.page_requests import local_path
from liftlock.services.provider_login import ATTEMPT_LASTS, ProviderLogin
from liftlock.web.pages.page import Answer, Begun, Page, PageRequest, Raw
from liftlock.web.pages.sign_in import SignInMethod

_COOKIE: Final = "liftlock-away"


def routes(login: ProviderLogin, root_url: str) -> list[Page]:
    """Return the pages of the way to the providers and back; `root_url` is what they have been told of this liftlock."""
    handle = _Handlers(login, root_url)
    return [
        Page("GET", "/sign-in/with/{provider}", handle.begin),
        Page("GET", "/sign-in/from/{provider}", handle.finish),
    ]


def methods(login: ProviderLogin) -> list[SignInMethod]:
    """Return what the sign-in page offers."""
    return [SignInMethod(one.label, f"/sign-in/with/{one.name}") for one in login.providers]


class _Handlers:
    def __init__(self, login: ProviderLogin, root_url: str) -> None:
        self._login = login
        self._root_url = root_url.rstrip("/")

    def _back(self, name: str) -> str:
        """Return the provider's own address to come back to: one for each, so that answers are not mixed up."""
        return f"{self._root_url}/sign-in/from/{name}"

    async def begin(self, request: PageRequest) -> Answer:
        name = request.params["provider"]
        wanted = local_path(request.query.get("next"))
        sent = await self._login.begin(name, self._back(name), wanted, request.now)
        kept = int(ATTEMPT_LASTS.total_seconds())
        cookie = f"{_name(request)}={sent.browser_secret}; Path=/; Max-Age={kept}; HttpOnly; SameSite=Lax"
        secure = "; Secure" if request.root_url.startswith("https:") else ""
        return Raw(b"", "text/plain", 303, {"location": sent.url, "set-cookie": cookie + secure})

    async def finish(self, request: PageRequest) -> Answer:
        name = request.params["provider"]
        started, wanted = await self._login.finish(
            name,
            self._back(name),
            request.query,
            _held(request),
            request.signed_in.secret if request.signed_in else None,
            request.now,
        )
        return Begun(started, wanted)


def _name(request: PageRequest) -> str:
    """Return the cookie's name, as `cookies.Place` makes those of the session."""
    if request.root_url.startswith("https:"):
        return f"__Host-{_COOKIE}"
    return f"{_COOKIE}-{urlsplit(request.root_url).port or 80}"


def _held(request: PageRequest) -> str | None:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(request.headers.get("cookie", ""))
    except CookieError:
        return None
    found = jar.get(_name(request))
    return None if found is None else found.value
