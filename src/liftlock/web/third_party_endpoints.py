"""What programs call to redeem a code: `/login/oauth/token`, then `/login/oauth/credentials`.

They read no cookies, and any page may read their answers: what counts is the code and the bearer token.
Errors of the first are those of OAuth 2; the second answers as the API does.
"""

from __future__ import annotations

import base64
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from liftlock.domain.credentials.third_party import Redemption
from liftlock.errors import AuthenticationFailedError, LiftlockError
from liftlock.ports.clock import Clock
from liftlock.services.third_party_login import ThirdPartyLogin
from liftlock.values.instants import format_instant
from liftlock.values.json import encode
from liftlock.web.errors import STATUS_OF_CODE
from liftlock.web.exchange import Receive, Scope, Send

TOKEN: Final = "/login/oauth/token"  # noqa: S105 -- a path
CREDENTIALS: Final = "/login/oauth/credentials"
MAX_FORM_BYTES: Final = 32 * 1024
_HEADERS: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET,POST,OPTIONS"),
    (b"access-control-allow-headers", b"authorization,content-type"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-type", b"application/json; charset=utf-8"),
]


class ThirdPartyEndpoints:
    """Answers the two paths."""

    def __init__(self, third_parties: ThirdPartyLogin, clock: Clock) -> None:
        self._third_parties = third_parties
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "OPTIONS":
            await _answer(send, 204, None)
        elif (method, path) == ("POST", TOKEN):
            await _answer(send, *await self._token(scope, receive))
        elif (method, path) == ("GET", CREDENTIALS):
            await _answer(send, *await self._credentials(scope))
        else:
            allowed = "POST" if path == TOKEN else "GET"
            await _answer(send, 405, {"error": "invalid_request", "error_description": f"expected {allowed}"})

    async def _token(self, scope: Scope, receive: Receive) -> tuple[int, Any]:
        form = await _form(receive)
        if form is None:
            return _refused("invalid_request", "expected a form, each field once, 32 KiB at most")
        if form.get("grant_type") != "authorization_code":
            return _refused("unsupported_grant_type", "grant_type: expected authorization_code")
        program = _program(form, _header(scope, b"authorization"))
        if program is None:
            return _refused("invalid_request", "the program proves itself in the form or by Basic, not both")
        sent = Redemption(
            client_id=program[0],
            redirect_uri=form.get("redirect_uri", ""),
            verifier=form.get("code_verifier", ""),
            secret=program[1],
        )
        try:
            bearer, lasts_s = await self._third_parties.redeem(form.get("code", ""), sent, self._clock.now())
        except AuthenticationFailedError as error:
            return _refused("invalid_grant", error.message)
        except LiftlockError as error:
            status = STATUS_OF_CODE.get(error.code, 500)
            return status, {"error": "temporarily_unavailable", "error_description": error.message}
        return 200, {"access_token": bearer, "token_type": "Bearer", "expires_in": lasts_s}

    async def _credentials(self, scope: Scope) -> tuple[int, Any]:
        kind, _, bearer = _header(scope, b"authorization").partition(" ")
        try:
            if kind.lower() != "bearer":
                raise AuthenticationFailedError("authorization: expected `Bearer` and the access token")
            made = await self._third_parties.credentials(bearer.strip(), self._clock.now())
        except LiftlockError as error:
            return STATUS_OF_CODE.get(error.code, 500), {"code": error.code, "message": error.message}
        return 200, {
            "expires": format_instant(made.expires),
            "credentials": {"clientId": made.client_id, "accessToken": made.access_token},
        }


def _program(form: dict[str, str], header: str) -> tuple[str, str] | None:
    """Return the program's id and its secret, from the form or from Basic; None if it is said in both, or not readable."""
    told = (form.get("client_id", ""), form.get("client_secret", ""))
    if not header:
        return told
    kind, _, packed = header.partition(" ")
    try:
        name, colon, secret = base64.b64decode(packed.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    if kind.lower() != "basic" or not colon or told[1] or told[0] not in ("", name):
        return None
    return unquote_plus(name), unquote_plus(secret)


def _refused(error: str, message: str) -> tuple[int, Any]:
    return 400, {"error": error, "error_description": message}


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _form(receive: Receive) -> dict[str, str] | None:
    """Return the form's fields; None if it is too large, no text, or has a field twice."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_FORM_BYTES:
            return None
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        return None
    return dict(pairs) if len(dict(pairs)) == len(pairs) else None


async def _answer(send: Send, status: int, body: Any) -> None:
    raw = b"" if body is None else encode(body)
    length = [] if status == 204 else [(b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*_HEADERS, *length]})
    await send({"type": "http.response.body", "body": raw})
