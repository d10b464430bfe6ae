"""The two cookies of the pages: the session, and before signing in the secret of the sign-in form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.responses import Response

_SESSION: Final = "liftlock-session"
_ENTRY: Final = "liftlock-sign-in"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the request was sent: `origin` is scheme, host and port."""

    origin: str

    @property
    def secure(self) -> bool:
        """Whether it came by https, directly or to the proxy in front."""
        return self.origin.startswith("https://")

    def _name(self, name: str) -> str:
        """Return the cookie's name: with https nobody but this very host can have set it (`__Host-`).

        Without https, as on a developer's machine, cookies of all ports of a host are one heap: the port is part of
        the name, so that two installations don't sign each other out.
        """
        return f"__Host-{name}" if self.secure else f"{name}-{urlsplit(self.origin).port or 80}"

    def read(self, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Return the secrets of the session and of the sign-in form that the browser sent."""
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(headers.get("cookie", ""))
        except CookieError:
            return None, None
        found = [jar.get(self._name(name)) for name in (_SESSION, _ENTRY)]
        session, entry = (None if morsel is None else morsel.value for morsel in found)
        return session, entry

    def keep_session(self, response: Response, secret: str, expires: datetime) -> None:
        """Make the browser hold a session. Lax: a link from elsewhere finds one signed in; a POST from there does not."""
        response.set_cookie(
            self._name(_SESSION),
            secret,
            expires=expires,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )

    def keep_entry(self, response: Response, secret: str) -> None:
        """Make the browser hold the secret of the sign-in form, until it is closed."""
        response.set_cookie(
            self._name(_ENTRY), secret, path="/", secure=self.secure, httponly=True, samesite="strict"
        )

    def forget(self, response: Response, *, session: bool) -> None:
        """Make the browser forget the sign-in form's secret and, if asked, its session."""
        for name in (_ENTRY, _SESSION) if session else (_ENTRY,):
            response.delete_cookie(
                self._name(name), path="/", secure=self.secure, httponly=True, samesite="lax"
            )
