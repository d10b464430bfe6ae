"""Hawk against mohawk, an independent implementation, in both directions; and hostile headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import mohawk
import mohawk.base
import mohawk.bewit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.credentials.authentication import (
    ANONYMOUS_CLIENT,
    KnownClient,
    Principal,
    Signed,
    authenticate,
)
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.endpoint import signed_endpoint
from liftlock.domain.credentials.hawk import Target, parse_header, payload_hash, take_bewit
from liftlock.domain.credentials.signing import make_bewit, sign_request, target_of
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import AuthenticationFailedError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TS = int(NOW.timestamp())
URL = "https://lift.example:8443/api/queue/v1/task/fN1SbArXTPSVFNUvaOlinQ?a=b%2Fc"
TOKEN = "yB3h8dXxQ4mSNbC1nZ0k6QpPgsYhX8u3vQnO9cL8cFww"
ALICE = Credentials("people/alice", TOKEN)
BOOK = RoleBook([Role("anonymous", ("public",)), Role("dev", ("x", "y:*"))])
CLIENT = KnownClient(
    client_id="people/alice",
    token=TOKEN.encode(),
    scopes=("assume:dev",),
    expanded=BOOK.expand(["assume:dev"]),
    expires=NOW + timedelta(days=1),
    disabled=False,
)


def lookup(client_id: str) -> KnownClient | None:
    return CLIENT if client_id == CLIENT.client_id else None


def arrive(
    header: str | None,
    *,
    method: str = "POST",
    url: str = URL,
    body: bytes = b'{"a": 1}',
    content_type: str = "application/json",
    now: datetime = NOW,
) -> Principal:
    return authenticate(Signed(target_of(method, url), header, content_type, body), lookup, BOOK, now)


def signed(**changes: object) -> str:
    options = {"ts": TS, "nonce": "abc", "body": b'{"a": 1}', "content_type": "application/json", **changes}
    return sign_request(ALICE, "POST", URL, **options)  # type: ignore[arg-type]


def mohawk_credentials(_id: str = "") -> dict[str, str]:
    return {"id": "people/alice", "key": TOKEN, "algorithm": "sha256"}


def test_a_request_that_mohawk_signed_is_accepted() -> None:
    sender = mohawk.Sender(
        mohawk_credentials(),
        URL,
        "POST",
        content='{"a": 1}',
        content_type="application/json",
        ext="e30=",
        _timestamp=TS,
    )
    principal = arrive(sender.request_header)
    assert (principal.client_id, principal.scheme) == ("people/alice", "hawk")
    assert list(principal.scopes) == ["assume:anonymous", "assume:dev", "public", "x", "y:*"]
    assert principal.nonce is not None
    assert principal.nonce[0] == TS


@given(
    st.sampled_from(["GET", "PUT", "delete"]),
    st.sampled_from(["http://h/", "https://h.example/a%2Fb?c=d&e", "http://h:81/x?y=%20"]),
    st.binary(max_size=40),
    st.sampled_from(["", "application/json", "Text/Plain; charset=utf-8"]),
)
def test_mohawk_accepts_what_we_sign(method: str, url: str, body: bytes, content_type: str) -> None:
    header = sign_request(
        ALICE, method, url, ts=TS, nonce="n-1", body=body, content_type=content_type, authorized_scopes=["x"]
    )
    receiver = mohawk.Receiver(
        mohawk_credentials,
        header,
        url,
        method.upper(),
        content=body,
        content_type=content_type,
        seen_nonce=lambda *_: False,
        timestamp_skew_in_seconds=10**10,
    )
    assert receiver.resource.ext.startswith("ey")


def test_a_bewit_that_mohawk_made_is_accepted_and_ours_by_mohawk() -> None:
    resource = mohawk.base.Resource(
        credentials=mohawk_credentials(), method="GET", url=URL, timestamp=TS + 60, nonce="", ext=""
    )
    theirs = mohawk.bewit.get_bewit(resource)
    principal = arrive(None, method="GET", url=f"{URL}&bewit={theirs.rstrip('=')}")
    assert (principal.client_id, principal.scheme, principal.nonce) == ("people/alice", "bewit", None)
    assert principal.expires == NOW + timedelta(seconds=60)
    url = make_bewit(ALICE, URL, expires=TS + 60)
    bewit, stripped = mohawk.bewit.strip_bewit(url)
    assert stripped == URL
    padded = f"{URL}&bewit={bewit + '=' * (-len(bewit) % 4)}"
    assert mohawk.bewit.check_bewit(padded, mohawk_credentials, now=TS)


def test_a_caller_without_credentials_is_anonymous_with_everyones_scopes() -> None:
    principal = arrive(None)
    assert (principal.client_id, principal.scheme) == (ANONYMOUS_CLIENT, "none")
    assert list(principal.scopes) == ["assume:anonymous", "public"]


@pytest.mark.parametrize(("skew", "accepted"), [(-900, True), (900, True), (-901, False), (901, False)])
def test_the_clocks_may_differ_by_fifteen_minutes(skew: int, accepted: bool) -> None:
    header = signed(ts=TS + skew)
    if accepted:
        assert arrive(header).client_id == "people/alice"
    else:
        with pytest.raises(AuthenticationFailedError, match="more than 900 s apart"):
            arrive(header)


def test_the_body_and_its_content_type_are_checked_when_their_hash_was_sent() -> None:
    with pytest.raises(AuthenticationFailedError, match="payload hash"):
        arrive(signed(), body=b'{"a": 2}')
    with pytest.raises(AuthenticationFailedError, match="payload hash"):
        arrive(signed(), content_type="text/plain")
    arrive(signed(), content_type="Application/JSON; charset=utf-8")
    arrive(signed(body=None), body=b"anything")


def test_a_streamed_body_leaves_its_hash_to_be_checked() -> None:
    request = Signed(target_of("POST", URL), signed(), "application/json", None)
    assert authenticate(request, lookup, BOOK, NOW).payload_hash == payload_hash(
        "application/json", b'{"a": 1}'
    )


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"url": URL.replace("8443", "8444")},
        {"url": URL.replace("lift", "gift")},
        {"url": URL.replace("%2F", "/")},
        {"url": URL + "&c=d"},
    ],
    ids=str,
)
def test_what_was_signed_can_not_be_changed(change: dict[str, str]) -> None:
    with pytest.raises(AuthenticationFailedError, match="signature does not match"):
        arrive(signed(), **change)  # type: ignore[arg-type]


def test_an_unknown_client_and_a_wrong_token_get_the_same_answer() -> None:
    answers = []
    for credentials in (Credentials("people/nobody", TOKEN), Credentials("people/alice", "wrong")):
        with pytest.raises(AuthenticationFailedError) as caught:
            arrive(sign_request(credentials, "POST", URL, ts=TS, nonce="a"))
        answers.append(caught.value.message)
    assert answers[0] == answers[1]


def test_the_message_for_no_client_can_not_be_earned_by_signing_with_a_made_up_key() -> None:
    with pytest.raises(AuthenticationFailedError):
        arrive(sign_request(Credentials("people/nobody", "no such client"), "POST", URL, ts=TS, nonce="a"))


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (
            KnownClient("people/alice", TOKEN.encode(), (), ScopeSet(), NOW + timedelta(1), disabled=True),
            "is disabled",
        ),
        (KnownClient("people/alice", TOKEN.encode(), (), ScopeSet(), NOW, disabled=False), "has expired"),
    ],
)
def test_a_disabled_or_expired_client_is_refused_with_the_reason(client: KnownClient, reason: str) -> None:
    request = Signed(target_of("POST", URL), signed(), "application/json", b'{"a": 1}')
    with pytest.raises(AuthenticationFailedError, match=reason):
        authenticate(request, lambda _: client, BOOK, NOW)
    wrong = Signed(target_of("GET", URL), signed(), "application/json", b'{"a": 1}')
    with pytest.raises(AuthenticationFailedError, match="signature does not match"):
        authenticate(wrong, lambda _: client, BOOK, NOW)


@pytest.mark.parametrize(
    ("host", "port", "proto", "endpoint"),
    [
        ("Lift.Example", None, None, ("lift.example", 80)),
        ("lift:8080", None, None, ("lift", 8080)),
        ("lift:8080", None, "https", ("lift", 443)),
        ("lift:8080", None, "http", ("lift", 8080)),
        ("lift:8080", "9000", "https", ("lift", 9000)),
        ("[::1]:81", None, None, ("[::1]", 81)),
    ],
)
def test_the_signed_port_behind_a_proxy(
    host: str, port: str | None, proto: str | None, endpoint: tuple[str, int]
) -> None:
    assert signed_endpoint(host, forwarded_port=port, forwarded_proto=proto) == endpoint


def test_an_ipv6_host_may_be_signed_with_and_without_brackets() -> None:
    url = "http://[::1]:81/api/auth/v1/ping"
    assert urlsplit(url).hostname == "::1"
    header = sign_request(ALICE, "GET", url, ts=TS, nonce="a")
    request = Signed(Target("GET", "/api/auth/v1/ping", "[::1]", 81), header)
    assert authenticate(request, lookup, BOOK, NOW).client_id == "people/alice"


@pytest.mark.parametrize(
    ("resource", "rest"),
    [
        ("/a?bewit=x", "/a"),
        ("/a?b=c&bewit=x", "/a?b=c"),
        ("/a?bewit=x&b=c", "/a?b=c"),
        ("/a?b=c&bewit=x&d=e", "/a?b=c&d=e"),
    ],
)
def test_a_bewit_is_taken_out_of_the_query_wherever_it_stands(resource: str, rest: str) -> None:
    assert take_bewit(resource) == (rest, "x")
    assert take_bewit(rest) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Hawk",
        "Hawk ",
        "Basic abc",
        'Hawk id="a"',
        'Hawk id="a", ts="1", nonce="n", mac="m", mac="m"',
        'Hawk id="a", ts="1", nonce="n", mac="m", other="m"',
        'Hawk id="a", ts="-1", nonce="n", mac="m"',
        'Hawk id="a", ts="١", nonce="n", mac="m"',
        'Hawk id="a", ts="1", nonce="", mac="m"',
        'Hawk id="a" ts="1", nonce="n", mac="m"',
        'Hawk id="a\nb", ts="1", nonce="n", mac="m"',
        'Hawk id="a", ts="1", nonce="n", mac="m" trailing',
        'Hawk id="a", ts="1", nonce="' + "n" * 129 + '", mac="m"',
        "Hawk " + "x" * 40_000,
    ],
)
def test_a_malformed_header_is_refused(header: str) -> None:
    with pytest.raises(AuthenticationFailedError, match="Authorization header"):
        parse_header(header)
