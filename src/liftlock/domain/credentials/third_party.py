"""A third party asks for credentials: what of the request is refused, to whom the refusal is told, what is granted.

Until program and address are known to belong together, nothing is sent anywhere but to the person's own browser.

Source: docs/how-to/sign-in.md#third-parties
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from liftlock.domain.credentials.login_settings import LoginSettings, ThirdParty
from liftlock.domain.scopes.satisfaction import ScopeSet, decide, normalise, satisfies

CODE_LASTS: Final = timedelta(minutes=2)
BEARER_LASTS: Final = timedelta(minutes=10)
MAX_SCOPES: Final = 200
MAX_STATE: Final = 2000
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z", re.ASCII)
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}\Z", re.ASCII)
_SPAN: Final = re.compile(r"\s*(\d{1,6})\s*(m|min|minutes?|h|hours?|d|days?)\s*\Z", re.ASCII)
_UNITS: Final = {"m": 60, "h": 3600, "d": 86400}


class Wish(msgspec.Struct, frozen=True):
    """A request that may be shown to the person: `redirect_uri` is one of the program's own."""

    party: ThirdParty
    redirect_uri: str
    state: str
    challenge: str
    """The PKCE challenge, empty without."""
    scopes: tuple[str, ...]
    lasts: timedelta


class Unanswerable(msgspec.Struct, frozen=True):
    """The request names no program and address that belong together: told to the person alone."""

    message: str


class Refusal(msgspec.Struct, frozen=True):
    """The program is told, at its own address."""

    redirect_uri: str
    state: str
    error: str
    message: str


def read_wish(settings: LoginSettings, query: Mapping[str, str]) -> Wish | Refusal | Unanswerable:
    """Return what the authorization request wishes for, or why not."""
    party = settings.third_party_of(query.get("client_id", ""))
    if party is None:
        return Unanswerable("the program that sent you here is not registered with this liftlock")
    uri = query.get("redirect_uri", "")
    if uri not in party.redirect_uris:
        return Unanswerable(
            f"{party.label} asked to be answered at {uri[:200]!r}, which is not an address registered for it"
        )
    state = query.get("state", "")
    challenge = query.get("code_challenge", "")
    scopes = tuple(dict.fromkeys(query.get("scope", "").split()))
    lasts = _span(query.get("expires", ""), party)
    wrong = _wrong(query, scopes) or _challenge_wrong(
        party, challenge, query.get("code_challenge_method", "")
    )
    if wrong is not None:
        return Refusal(uri, state[:MAX_STATE], *wrong)
    if lasts is None:
        expected = "expires: expected a time such as `3 days`, `12 hours` or `30 minutes`"
        return Refusal(uri, state, "invalid_request", expected)
    return Wish(party, uri, state, challenge, scopes, lasts)


def _wrong(query: Mapping[str, str], scopes: Sequence[str]) -> tuple[str, str] | None:
    """Return what is wrong with the request whoever makes it: OAuth's word for it, and ours."""
    if query.get("response_type") != "code":
        return "unsupported_response_type", "response_type: expected code"
    if not 1 <= len(query.get("state", "")) <= MAX_STATE:
        return "invalid_request", f"state: expected 1 to {MAX_STATE} characters"
    if not 1 <= len(scopes) <= MAX_SCOPES or not all(
        each.isascii() and each.isprintable() for each in scopes
    ):
        return "invalid_scope", f"scope: expected 1 to {MAX_SCOPES} scopes, parted by spaces"
    return None


def _challenge_wrong(party: ThirdParty, challenge: str, method: str) -> tuple[str, str] | None:
    if party.proof == "pkce" and not challenge:
        return "invalid_request", "code_challenge: this program has to send one (PKCE)"
    if challenge and (method != "S256" or _CHALLENGE.match(challenge) is None):
        expected = "expected 43 characters of base64url, with code_challenge_method S256"
        return "invalid_request", f"code_challenge: {expected}"
    return None


def _span(text: str, party: ThirdParty) -> timedelta | None:
    """Return how long credentials last: as asked, at most as registered; None if the text says no time."""
    longest = timedelta(seconds=party.longest_s)
    if not text:
        return longest
    match = _SPAN.match(text)
    if match is None or int(match[1]) == 0:
        return None
    return min(timedelta(seconds=int(match[1]) * _UNITS[match[2][0]]), longest)


def granted(wish: Wish, person: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the scopes that the program gets, normalised; and those it asked for that it gets in part or not at all.

    It gets what the request, its registration and the person (all of whose scopes are given, expanded) have in common.
    """
    given = common(common(wish.scopes, wish.party.scopes), person)
    held = ScopeSet(given)
    return given, tuple(sorted(scope for scope in wish.scopes if decide(held, scope) is not None))


def common(one: Iterable[str], other: Iterable[str]) -> tuple[str, ...]:
    """Return what two sets of scopes have in common, normalised: of each two that overlap the narrower."""
    others = tuple(other)
    found: set[str] = set()
    for a in one:
        for b in others:
            if satisfies(b, a):
                found.add(a)
            elif satisfies(a, b):
                found.add(b)
    return normalise(scope for scope in found if not scope.endswith("**"))


class Redemption(msgspec.Struct, frozen=True):
    """What a program sends to redeem a code."""

    client_id: str
    redirect_uri: str
    verifier: str
    secret: str


class Issued(msgspec.Struct, frozen=True):
    """What is kept of a code."""

    client_id: str
    redirect_uri: str
    challenge: str


def redeemable(party: ThirdParty | None, issued: Issued, sent: Redemption) -> str | None:
    """Return why the code is not redeemed, or None if it is; every comparison is exact."""
    if party is None or sent.client_id != issued.client_id:
        return "the code was issued to another program"
    if sent.redirect_uri != issued.redirect_uri:
        return "redirect_uri: expected the address that the code was sent to"
    if party.proof == "secret":
        digest = hashlib.sha256(sent.secret.encode()).hexdigest()
        if not hmac.compare_digest(digest, party.secret_sha256):
            return "client_secret: it is not this program's"
    if issued.challenge:
        proof = (
            base64.urlsafe_b64encode(hashlib.sha256(sent.verifier.encode()).digest()).rstrip(b"=").decode()
        )
        if _VERIFIER.match(sent.verifier) is None or not hmac.compare_digest(proof, issued.challenge):
            return "code_verifier: it does not fit the challenge that the code was asked for with"
    elif sent.verifier:
        return "code_verifier: the code was asked for without a challenge"
    return None


def with_query(uri: str, said: Sequence[tuple[str, str]]) -> str:
    """Return the registered address with further query options; those that it has stay."""
    parts = urlsplit(uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *said])
    return urlunsplit(parts._replace(query=query))
