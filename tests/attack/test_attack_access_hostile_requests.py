"""Whatever a request brings as credentials: it proves who calls, or it is refused in one way."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liftlock.domain.credentials.authentication import KnownClient, Principal, Signed, authenticate
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.endpoint import signed_endpoint
from liftlock.domain.credentials.hawk import Attributes, Target, signature
from liftlock.domain.credentials.signing import make_bewit, make_extension, sign_request, target_of
from liftlock.domain.scopes.roles import RoleBook
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import AuthenticationFailedError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TS = int(NOW.timestamp())
URL = "http://lift.example/api/queue/v1/task/abc"
ALICE = Credentials("people/alice", "yB3h8dXxQ4mSNbC1nZ0k6QpPgsYhX8u3vQnO9cL8cFww")
KNOWN = KnownClient(
    ALICE.client_id, ALICE.access_token.encode(), ("*",), ScopeSet(["*"]), NOW + timedelta(1), disabled=False
)
BOOK = RoleBook()
GOOD = sign_request(ALICE, "GET", URL, ts=TS, nonce="n", body=b"", authorized_scopes=["a"])


def arrive(authorization: str | None, target: Target, body: bytes = b"") -> Principal:
    return authenticate(Signed(target, authorization, "", body), {ALICE.client_id: KNOWN}.get, BOOK, NOW)


def test_the_request_that_is_then_damaged_is_good() -> None:
    assert arrive(GOOD, target_of("GET", URL)).client_id == ALICE.client_id


@settings(max_examples=400)
@given(st.text(max_size=200))
@example("Hawk " + 'id="' * 1000)
@example('Hawk id="a", ts="99999999999999999999", nonce="n", mac="m"')
def test_garbage_in_the_header_is_an_authentication_failure_and_nothing_else(header: str) -> None:
    for value in (
        header,
        "Hawk " + header,
        f'Hawk id="people/alice", ts="{TS}", nonce="n", mac="m", ext="{header}"',
    ):
        with pytest.raises(AuthenticationFailedError):
            arrive(value, target_of("GET", URL))


@settings(max_examples=400)
@given(st.integers(0, len(GOOD) - 1), st.characters(codec="latin-1"))
def test_a_header_with_one_other_character_is_refused_or_means_the_same(at: int, character: str) -> None:
    damaged = GOOD[:at] + character + GOOD[at + 1 :]
    try:
        principal = arrive(damaged, target_of("GET", URL))
    except AuthenticationFailedError:
        return
    assert (principal.client_id, list(principal.scopes)) == (ALICE.client_id, ["a", "assume:anonymous"])
    assert damaged == GOOD or at < 5 or damaged[at] in " \t,"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
certificate_like = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from([1, "1", 1.0, True, None]),
        "seed": st.one_of(json_like, st.just("s" * 44)),
        "start": st.one_of(json_like, st.just(TS * 1000)),
        "expiry": st.one_of(json_like, st.just((TS + 60) * 1000)),
        "scopes": st.one_of(json_like, st.just(["*"])),
        "issuer": st.one_of(json_like, st.just("people/alice")),
        "signature": st.one_of(json_like, st.just("A" * 43 + "=")),
    },
)


@settings(max_examples=400)
@given(
    st.one_of(json_like, st.fixed_dictionaries({"certificate": certificate_like})),
    st.sampled_from(["people/alice", "people/nobody", "people/alice/x"]),
)
def test_an_extension_of_any_json_is_refused_or_gives_no_certificates_rights(
    said: object, client_id: str
) -> None:
    """The outer signature is by alice's own token, so that the extension is all that is at stake."""
    ext = base64.urlsafe_b64encode(json.dumps(said).encode()).decode()
    header = sign_with_extension(ext, client_id)
    try:
        arrive(header, target_of("GET", URL))
    except AuthenticationFailedError:
        return
    assert client_id == "people/alice"
    assert isinstance(said, dict)
    assert said.get("certificate") is None


def sign_with_extension(ext: str, client_id: str) -> str:
    said = Attributes(client_id, TS, "n", "", ext=ext)
    mac = signature("header", said, target_of("GET", URL), ALICE.access_token.encode())
    return f'Hawk id="{client_id}", ts="{TS}", nonce="n", ext="{ext}", mac="{mac}"'


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=80), st.binary(max_size=80).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    )
)
def test_garbage_in_a_bewit_is_an_authentication_failure_and_nothing_else(bewit: str) -> None:
    with pytest.raises(AuthenticationFailedError):
        arrive(None, Target("GET", f"/a?x=y&bewit={bewit}", "lift.example", 80))


@settings(max_examples=200)
@given(
    st.text(max_size=40), st.one_of(st.none(), st.text(max_size=8)), st.one_of(st.none(), st.text(max_size=8))
)
def test_garbage_in_the_host_headers_is_an_authentication_failure_and_nothing_else(
    host: str, port: str | None, proto: str | None
) -> None:
    try:
        name, number = signed_endpoint(host, forwarded_port=port, forwarded_proto=proto)
    except AuthenticationFailedError:
        return
    assert name == name.lower()
    assert 0 <= number <= 99_999


def test_a_bewit_together_with_an_authorization_header_is_refused() -> None:
    url = make_bewit(ALICE, URL, expires=TS + 60)
    header = sign_request(ALICE, "GET", url, ts=TS, nonce="n")
    with pytest.raises(AuthenticationFailedError, match="together"):
        arrive(header, target_of("GET", url))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_a_bewit_signs_nothing_but_get(method: str) -> None:
    url = make_bewit(ALICE, URL, expires=TS + 60)
    with pytest.raises(AuthenticationFailedError, match="GET requests only"):
        arrive(None, target_of(method, url))


def test_a_bewit_can_not_be_used_for_another_address_nor_after_its_end() -> None:
    url = make_bewit(ALICE, URL, expires=TS + 60)
    assert arrive(None, target_of("GET", url)).client_id == ALICE.client_id
    for other in (url.replace("abc", "abd"), url + "&a=b", url.replace("lift.", "gift."), f"{url}&bewit=x"):
        with pytest.raises(AuthenticationFailedError):
            arrive(None, target_of("GET", other))
    with pytest.raises(AuthenticationFailedError, match="the link has expired"):
        arrive(None, target_of("GET", make_bewit(ALICE, URL, expires=TS)))


def test_a_bewits_extension_is_signed_with_it() -> None:
    narrow = make_bewit(ALICE, URL, expires=TS + 60, authorized_scopes=["a"])
    assert not arrive(None, target_of("GET", narrow)).scopes.satisfies("b")
    text = base64.urlsafe_b64decode(narrow.partition("bewit=")[2] + "==").decode()
    widened = text.replace(make_extension(ALICE, ["a"]), make_extension(ALICE, ["b"]))
    assert widened != text
    forged = f"{URL}?bewit={base64.urlsafe_b64encode(widened.encode()).decode().rstrip('=')}"
    with pytest.raises(AuthenticationFailedError, match="signature does not match"):
        arrive(None, target_of("GET", forged))
