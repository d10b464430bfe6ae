"""The pages as an ASGI application: who asks, may it change something, which screen answers, what headers go along.

Every answer gets the same strict headers. Every POST is checked in one place before a screen sees it. An error of a
service becomes a page that says what was expected.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl

import msgspec
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, Router

from liftlock.domain.credentials.page_requests import WriteFacts, cross_site, local_path
from liftlock.errors import (
    InputInvalidError,
    LiftlockError,
    NotFoundError,
    RefusedError,
    ReplayedRequestError,
    StaleSnapshotError,
    TooLargeError,
)
from liftlock.ports.clock import Clock
from liftlock.services.authorize import Authorizer, Caller
from liftlock.services.page_sessions import PageSessions, SignedIn, with_form
from liftlock.web.errors import STATUS_OF_CODE
from liftlock.web.pages.cookies import Place
from liftlock.web.pages.page import Answer, Begun, Go, Page, PageRequest, Raw, Shown, SignedOut
from liftlock.web.pages.rendering import ASSETS, ASSETS_PATH, render

MAX_ATTEMPTS: Final = 4
_HTML: Final = "text/html; charset=utf-8"
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
"""On every answer. `same-origin` for the referrer, because with `no-referrer` browsers say `Origin: null`."""
_log = structlog.get_logger(__name__)


class Site:
    """Answers everything that is a page."""

    def __init__(
        self, pages: Iterable[Page], sessions: PageSessions, authorizer: Authorizer, clock: Clock
    ) -> None:
        self.pages = tuple(pages)
        self._paths = frozenset(page.path for page in self.pages)
        self._sessions = sessions
        self._authorizer = authorizer
        self._clock = clock
        routes = [
            Route(page.path, _Endpoint(self, page), methods=[page.method], name=page.path)
            for page in self.pages
        ]
        self._router = Router([*routes], redirect_slashes=False, default=_Endpoint(self, None))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/assets/"):
            await _asset(scope)(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    async def answer(self, page: Page | None, request: Request) -> Response:
        """Return the response of `page` (None: there is no such page) to the request."""
        place = _place(request)
        try:
            asked = await self._asked(page, request, place)
        except LiftlockError as error:
            asked = await self._stranger(request)
            return self._response(_failed(error, asked), asked, place)
        try:
            answer = await self._handled(page, asked)
        except LiftlockError as error:
            answer = _failed(error, asked)
        except ClientDisconnect:
            answer = Raw(b"", "text/plain", 400)
        except Exception:  # noqa: BLE001 -- the process loop of a request: logged, answered, and the server goes on
            _log.exception("page failed", path=page.path if page else "")
            answer = _failed(LiftlockError("internal error; it was logged with its time"), asked)
        try:
            return self._response(answer, asked, place)
        except Exception:  # noqa: BLE001 -- as above: a template that fails must not end without the headers
            _log.exception("template failed", path=page.path if page else "")
            return self._response(Raw(b"internal error; it was logged\n", "text/plain", 500), asked, place)

    async def _handled(self, page: Page | None, asked: PageRequest) -> Answer:
        if page is None:
            raise NotFoundError("there is no such page")
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await page.handler(asked)
            except StaleSnapshotError:
                self._authorizer.expire()
                if attempt == MAX_ATTEMPTS:
                    raise
                asked = replace(asked, caller=await self._renewed(asked))
        raise StaleSnapshotError("unreachable: attempts are bounded")

    async def _renewed(self, asked: PageRequest) -> Caller:
        """Return the caller with the roles of now, its nonce kept."""
        found = await self._sessions.find(asked.secret, asked.now) if asked.signed_in else None
        caller = found.caller if found else await self._authorizer.anonymous(asked.now)
        return msgspec.structs.replace(caller, nonce=asked.caller.nonce)

    async def _asked(self, page: Page | None, request: Request, place: Place) -> PageRequest:
        """Return the request with who makes it; a POST is refused here unless a page of this site made it."""
        now = self._clock.now()
        session, entry = place.read(request.headers)
        signed_in = await self._sessions.find(session, now)
        caller = signed_in.caller if signed_in else await self._authorizer.anonymous(now)
        secret = signed_in.secret if signed_in else entry
        form: dict[str, list[str]] = {}
        if page is not None and page.method == "POST":
            if signed_in is None and not page.before_sign_in:
                raise RefusedError("You are not signed in any more. Sign in, and send the form again.")
            form = await _form(request, page.max_form_bytes)
            caller = self._permitted(request, place, caller, secret, form)
        return _page_request(request, place, form, caller, signed_in, now, secret)

    def _permitted(
        self, request: Request, place: Place, caller: Caller, secret: str | None, form: dict[str, list[str]]
    ) -> Caller:
        facts = WriteFacts(
            own=place.origin,
            origin=request.headers.get("origin"),
            fetch_site=request.headers.get("sec-fetch-site"),
            content_type=request.headers.get("content-type", ""),
        )
        refusal = cross_site(facts)
        if refusal is None:
            token = form.get("form_token", [""])[-1]
            checked = with_form(caller, secret or "", token, self._clock.now())
            if isinstance(checked, Caller) and secret:
                return checked
            refusal = checked if isinstance(checked, str) else "the form belongs to no session"
        raise RefusedError(
            f"Nothing was changed: {refusal}. Open the page again here and send the form from there."
        )

    async def _stranger(self, request: Request) -> PageRequest:
        now = self._clock.now()
        place = _place(request)
        session, _ = place.read(request.headers)
        signed_in = await self._sessions.find(session, now)
        caller = signed_in.caller if signed_in else await self._authorizer.anonymous(now)
        return _page_request(
            request, place, {}, caller, signed_in, now, signed_in.secret if signed_in else None
        )

    def _response(self, answer: Answer, asked: PageRequest, place: Place) -> Response:
        match answer:
            case Shown():
                response = Response(self._html(answer, asked), answer.status, HEADERS, _HTML)
                if answer.form_secret is not None:
                    place.keep_entry(response, answer.form_secret)
            case Raw(body, content_type, status, extra):
                merged = {**HEADERS, **extra}
                if isinstance(body, AsyncIterator):
                    response = StreamingResponse(body, status, merged, content_type)
                else:
                    response = Response(body, status, merged, content_type)
            case Begun(session, to):
                response = RedirectResponse(local_path(to), 303, HEADERS)
                place.forget(response, session=False)
                place.keep_session(response, session.secret, session.expires)
            case SignedOut(to):
                response = RedirectResponse(local_path(to), 303, HEADERS)
                place.forget(response, session=True)
            case Go(to):
                response = RedirectResponse(local_path(to), 303, HEADERS)
        return response

    def _html(self, answer: Shown, asked: PageRequest) -> str:
        secret = answer.form_secret or asked.secret

        def form_token() -> str:
            return self._sessions.form_token(secret, asked.now) if secret else ""

        context = {
            "me": asked.caller.client_id if asked.signed_in else None,
            "now": asked.now,
            "request": asked,
            "paths": self._paths,
            "form_token": form_token,
            **answer.context,
        }
        return render(answer.template, context)


class _Endpoint:
    """One page as Starlette calls it."""

    def __init__(self, site: Site, page: Page | None) -> None:
        self._site = site
        self._page = page

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        page = self._page
        if page is not None and scope["method"] not in ("GET", "HEAD", page.method):
            page = None
        await (await self._site.answer(page, request))(scope, receive, send)


def _place(request: Request) -> Place:
    headers = request.headers
    scheme = headers.get("x-forwarded-proto", request.scope.get("scheme", "http"))
    host = headers.get("x-forwarded-host") or headers.get("host", "localhost")
    return Place(f"{'https' if scheme == 'https' else 'http'}://{host}")


def _page_request(
    request: Request,
    place: Place,
    form: dict[str, list[str]],
    caller: Caller,
    signed_in: SignedIn | None,
    now: Any,
    secret: str | None,
) -> PageRequest:
    path = request.scope["raw_path"].decode("ascii", "replace")
    said = request.scope["query_string"].decode("ascii", "replace")
    return PageRequest(
        params={name: str(value) for name, value in request.path_params.items()},
        query=dict(parse_qsl(said, keep_blank_values=True)),
        form=form,
        caller=caller,
        signed_in=signed_in,
        now=now,
        headers=request.headers,
        path=path,
        target=f"{path}?{said}" if said else path,
        root_url=place.origin,
        secret=secret,
    )


async def _form(request: Request, most: int) -> dict[str, list[str]]:
    """Return the fields of a form; raises TooLargeError and InputInvalidError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLargeError(f"the form is larger than {most} bytes")
    try:
        text = body.decode("ascii")
        return parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=5_000)
    except ValueError as error:
        raise InputInvalidError("the form: expected fields in UTF-8, 5000 at most") from error


def _asset(scope: Any) -> Response:
    name = scope["path"].removeprefix(ASSETS_PATH)
    asset = ASSETS.get(name)
    if asset is None:
        return Response("no such asset\n", 404, HEADERS, "text/plain; charset=utf-8")
    headers = {**HEADERS, "cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
    if "gzip" in accepted:
        return Response(asset.packed, 200, {**headers, "content-encoding": "gzip"}, asset.content_type)
    return Response(asset.body, 200, headers, asset.content_type)


def _failed(error: LiftlockError, asked: PageRequest) -> Shown:
    status = STATUS_OF_CODE.get(error.code, 500)
    if isinstance(error, ReplayedRequestError):
        return Shown(
            "problem.html",
            {
                "title": "This form was sent before",
                "message": "It took effect once, and not again. Open the page anew to see what became of it.",
                "code": error.code,
                "missing": None,
            },
            409,
        )
    if status >= 500:
        _log.error("page failed", code=error.code, error=error.message)
    titles = {
        400: "That can't be read",
        401: "That signs nobody in",
        403: "You may not do this",
        404: "Not here",
    }
    missing = error.details.get("unsatisfied") if isinstance(error, RefusedError) else None
    return Shown(
        "problem.html",
        {
            "title": titles.get(status, "That did not work"),
            "message": error.message,
            "code": error.code,
            "missing": missing,
        },
        status,
    )
