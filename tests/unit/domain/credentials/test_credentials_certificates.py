"""Temporary credentials against the official client's own making of them, and everything that may be wrong."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import taskcluster

from liftlock.domain.credentials.authentication import KnownClient, Principal, Signed, authenticate
from liftlock.domain.credentials.certificates import (
    Credentials,
    make_temporary_credentials,
    parse_extension,
)
from liftlock.domain.credentials.signing import sign_request, target_of
from liftlock.domain.scopes.roles import Role, RoleBook
from liftlock.errors import AuthenticationFailedError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://lift.example/api/auth/v1/scopes/current"
BOOK = RoleBook(
    [Role("anonymous", ("public",)), Role("dev", ("x", "y:*", "auth:create-client:people/alice/*"))]
)
ALICE = Credentials("people/alice", "yB3h8dXxQ4mSNbC1nZ0k6QpPgsYhX8u3vQnO9cL8cFww")
SEED = "s" * 44


def lookup(client_id: str) -> KnownClient | None:
    if client_id != ALICE.client_id:
        return None
    return KnownClient(
        client_id=ALICE.client_id,
        token=ALICE.access_token.encode(),
        scopes=("assume:dev",),
        expanded=BOOK.expand(["assume:dev"]),
        expires=NOW + timedelta(days=100),
        disabled=False,
    )


def arrive(credentials: Credentials, authorized: list[str] | None = None, now: datetime = NOW) -> Principal:
    header = sign_request(
        credentials, "GET", URL, ts=int(now.timestamp()), nonce="n", authorized_scopes=authorized
    )
    return authenticate(Signed(target_of("GET", URL), header), lookup, BOOK, now)


def temporary(**changes: Any) -> Credentials:
    options: dict[str, Any] = {
        "start": NOW,
        "expiry": NOW + timedelta(hours=1),
        "scopes": ["x"],
        "seed": SEED,
        **changes,
    }
    return make_temporary_credentials(ALICE, **options)


def tampered(**changes: Any) -> Credentials:
    made = temporary()
    assert made.certificate is not None
    certificate = {**json.loads(made.certificate), **changes}
    certificate = {key: value for key, value in certificate.items() if value is not ...}
    return Credentials(made.client_id, made.access_token, json.dumps(certificate))


def official(name: str | None, scopes: list[str]) -> Credentials:
    made = taskcluster.createTemporaryCredentials(
        ALICE.client_id, ALICE.access_token, NOW, NOW + timedelta(hours=1), scopes, name
    )
    return Credentials(made["clientId"], made["accessToken"].decode(), made["certificate"])


def test_temporary_credentials_of_the_official_client_are_accepted() -> None:
    principal = arrive(official(None, ["x", "y:z"]))
    assert principal.client_id == "people/alice"
    assert list(principal.scopes) == ["assume:anonymous", "public", "x", "y:z"]
    assert principal.expires == NOW + timedelta(hours=1)


def test_named_temporary_credentials_of_the_official_client_are_accepted() -> None:
    assert arrive(official("people/alice/laptop", ["x"])).client_id == "people/alice/laptop"


def test_ours_are_accepted_named_and_unnamed() -> None:
    assert list(arrive(temporary()).scopes) == ["assume:anonymous", "public", "x"]
    assert arrive(temporary(name="people/alice/ci")).client_id == "people/alice/ci"
    assert list(arrive(temporary(scopes=["y:*"]), ["y:1", "public"]).scopes) == [
        "assume:anonymous",
        "public",
        "y:1",
    ]


def test_a_name_needs_the_issuers_scope_for_it() -> None:
    with pytest.raises(AuthenticationFailedError, match="does not have auth:create-client:people/bob"):
        arrive(temporary(name="people/bob"))
    with pytest.raises(AuthenticationFailedError, match="clientId: expected"):
        arrive(temporary(name="people/alice/ b"))


def test_the_name_is_part_of_what_is_signed() -> None:
    made = temporary(name="people/alice/ci")
    renamed = Credentials("people/alice/root", made.access_token, made.certificate)
    with pytest.raises(AuthenticationFailedError, match=r"certificate\.signature"):
        arrive(renamed)


@pytest.mark.parametrize(
    ("start", "expiry", "refused"),
    [
        (timedelta(minutes=5), timedelta(hours=1), None),
        (timedelta(minutes=5, milliseconds=1), timedelta(hours=1), "start: lies in the future"),
        (timedelta(hours=-1), timedelta(minutes=-5), None),
        (timedelta(hours=-1), timedelta(minutes=-5, milliseconds=-1), "have expired"),
        (timedelta(), timedelta(days=31), None),
        (timedelta(), timedelta(days=31, milliseconds=1), "at most 31 days"),
        (timedelta(minutes=2), timedelta(minutes=1), "expiry must be after start"),
    ],
)
def test_the_bounds_of_time_are_exact(start: timedelta, expiry: timedelta, refused: str | None) -> None:
    made = temporary(start=NOW + start, expiry=NOW + expiry)
    if refused is None:
        assert arrive(made).client_id == "people/alice"
    else:
        with pytest.raises(AuthenticationFailedError, match=refused):
            arrive(made)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version: expected 1"),
        ({"version": True}, "version: expected 1"),
        ({"version": 1.0}, "version: expected 1"),
        ({"seed": "short"}, "seed: expected 44"),
        ({"seed": "s" * 43 + "\n"}, "seed: expected 44"),
        ({"start": "1"}, "start: expected milliseconds"),
        ({"start": -1}, "start: expected milliseconds"),
        ({"expiry": 1e30}, "expiry: expected milliseconds"),
        ({"scopes": "x"}, "scopes: expected a list"),
        ({"scopes": ["x\n"]}, "scopes: expected a list"),
        ({"scopes": [["x"]]}, "scopes: expected a list"),
        ({"scopes": ["y:**"]}, r"must not end in `\*\*`"),
        ({"scopes": ["x", "y:z"]}, "signature: not made"),
        ({"signature": None}, "signature: expected text"),
        ({"signature": "é"}, "signature: not made"),
        ({"clientId": "people/alice"}, "clientId: only together with issuer"),
        ({"issuer": "people/alice"}, "issuer: must differ"),
        ({"issuer": "people/bob"}, "signature does not match"),
        ({"issuer": 3}, "issuer: expected a clientId"),
        ({"extra": 1}, "expected an object of"),
        ({"seed": ...}, "seed: expected 44"),
    ],
    ids=str,
)
def test_a_certificate_that_was_changed_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AuthenticationFailedError, match=message):
        arrive(tampered(**changes))


@pytest.mark.parametrize(
    "ext",
    ["!", "e30", "e30=", "W10=", "bnVsbA==", "/" * 7, base64.b64encode(b'{"authorizedscopes": []}').decode()],
)
def test_an_extension_says_something_known_or_is_refused(ext: str) -> None:
    if ext.startswith("e30"):
        assert parse_extension(ext).authorized_scopes is None
        return
    with pytest.raises(AuthenticationFailedError, match=r"^ext: expected"):
        parse_extension(ext)


def test_a_deeply_nested_extension_is_refused_as_malformed() -> None:
    with pytest.raises(AuthenticationFailedError, match=r"^ext: expected"):
        parse_extension(base64.b64encode(b'{"certificate":' + b"[" * 8000 + b"]" * 8000 + b"}").decode())


def test_credentials_do_not_print_their_token() -> None:
    assert ALICE.access_token not in repr(ALICE)
    assert temporary().to_wire().keys() == {"clientId", "accessToken", "certificate"}
    assert ALICE.to_wire() == {"clientId": "people/alice", "accessToken": ALICE.access_token}
