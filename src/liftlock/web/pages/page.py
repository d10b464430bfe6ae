"""What a screen is made of: a page says which requests it answers, gets a `PageRequest`, and returns an answer.

A screen is one module with `routes(…) -> list[Page]` and one template. It calls services with `request.caller`, which
has the scopes of who is signed in and no others; what it may not do, the service refuses, and the site shows why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from liftlock.errors import RequestArgumentsError
from liftlock.services.authorize import Caller
from liftlock.services.page_sessions import SignedIn, Started


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """One request to a page. A POST gets here only with a token of this session and from this site."""

    params: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, list[str]]
    caller: Caller
    signed_in: SignedIn | None
    now: datetime
    headers: Mapping[str, str]
    path: str
    """The raw path, as it was sent."""
    target: str
    """The raw path and query: where to come back to."""
    root_url: str
    secret: str | None
    """What the browser holds: its session's secret, or before signing in that of the sign-in page."""

    def field(self, name: str, default: str = "") -> str:
        """Return the form's field, its last value if it stands more than once."""
        return self.form[name][-1] if self.form.get(name) else default

    def here_with(self, **changes: str | None) -> str:
        """Return this page's address with query options changed, None: left out."""
        query = {**self.query, **changes}
        said = urlencode({name: value for name, value in query.items() if value})
        return f"{self.path}?{said}" if said else self.path


@dataclass(frozen=True, slots=True)
class Shown:
    """A template with what it shows."""

    template: str
    context: dict[str, Any]
    status: int = 200
    form_secret: str | None = None
    """A secret for the browser to hold, for a page with a form before signing in."""


@dataclass(frozen=True, slots=True)
class Go:
    """Sends the browser to a path of this site (303)."""

    to: str


@dataclass(frozen=True, slots=True)
class Begun:
    """Signs the browser in with a session that has begun, and sends it to a path of this site."""

    session: Started
    to: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Makes the browser forget its session."""

    to: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes, whole or as they come."""

    body: bytes | AsyncIterator[bytes]
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Shown | Go | Begun | SignedOut | Raw
Handler = Callable[[PageRequest], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Page:
    """One method and path, `{name}` for a segment and `{name:path}` for the rest, and who answers."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    before_sign_in: bool = False
    """A POST that is allowed without a session: its token is bound to the sign-in page's own cookie."""
    max_form_bytes: int = 1024 * 1024


def number(text: str | None, default: int, most: int, what: str) -> int:
    """Return the number that a query option says, at most `most`; raises RequestArgumentsError."""
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise RequestArgumentsError(f"{what}: expected a number, got {text[:32]!r}")
    return min(int(text), most)
