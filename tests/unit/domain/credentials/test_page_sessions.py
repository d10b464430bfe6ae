"""Secrets of browsers, tokens of forms, and which requests a page of this site can have made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.credentials.page_requests import WriteFacts, cross_site, local_path
from liftlock.domain.credentials.page_sessions import (
    FormMark,
    check_form_token,
    form_token,
    proof_of,
    secret_text,
    stored_id,
)

SECRET = secret_text(b"a" * 32)
OTHER = secret_text(b"b" * 32)
MARK = FormMark(1_800_000_000, "A" * 22)
FORM = "application/x-www-form-urlencoded"


def test_a_secret_is_stored_as_its_digest_and_what_is_none_is_never_looked_for() -> None:
    assert stored_id(SECRET) == "57491b2903419cf22204e18f7a9f18d7b880859763409949e51f9b5baa662f3f"
    assert stored_id(SECRET) != stored_id(OTHER)
    for text in ("", SECRET[:-1], SECRET + "A", SECRET[:-1] + "=", SECRET + "\n", "ä" * 43):
        assert stored_id(text) is None, text


def test_a_form_token_holds_for_its_own_session_for_an_hour() -> None:
    token = form_token(SECRET, MARK)
    assert check_form_token(SECRET, token, MARK.ts) == MARK
    assert check_form_token(SECRET, token, MARK.ts + 3599) == MARK
    assert check_form_token(SECRET, token, MARK.ts + 3600) == "the form is older than an hour"
    assert check_form_token(SECRET, token, MARK.ts - 60) == MARK
    assert check_form_token(SECRET, token, MARK.ts - 61) == "the form is older than an hour"
    assert check_form_token(OTHER, token, MARK.ts) == "the form was made for another session"


@pytest.mark.parametrize(
    "token", ["", "x", "1.2.3", f"{MARK.ts}.{MARK.nonce}", f" {form_token(SECRET, MARK)}"]
)
def test_what_is_no_form_token_is_refused(token: str) -> None:
    assert check_form_token(SECRET, token, MARK.ts) == "the form carries no token of this site"


@given(st.integers(0, 42), st.sampled_from("ABCXYZ019-_"))
def test_a_changed_form_token_is_refused(place: int, letter: str) -> None:
    token = form_token(SECRET, MARK)
    at = len(token) - 43 + place
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        assert check_form_token(SECRET, changed, MARK.ts) == "the form was made for another session"


def test_a_session_is_tied_to_the_token_of_its_client() -> None:
    assert proof_of(b"one") != proof_of(b"two")
    assert "one" not in proof_of(b"one")


def facts(**changes: str | None) -> WriteFacts:
    given: dict[str, str | None] = {
        "own": "https://lift.example",
        "origin": "https://lift.example",
        "fetch_site": "same-origin",
        "content_type": FORM,
    }
    return WriteFacts(**(given | changes))  # type: ignore[arg-type]


def test_a_form_of_this_site_may_write() -> None:
    assert cross_site(facts()) is None
    assert cross_site(facts(fetch_site=None)) is None, "an older browser"
    assert cross_site(facts(content_type=f"{FORM}; charset=UTF-8")) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"origin": None}, "the request says no Origin"),
        ({"origin": "null"}, "the request comes from 'null', not from this site"),
        (
            {"origin": "http://lift.example"},
            "the request comes from 'http://lift.example', not from this site",
        ),
        (
            {"origin": "https://lift.example:8443"},
            "the request comes from 'https://lift.example:8443', not from this site",
        ),
        ({"fetch_site": "same-site"}, "the browser says that the request is 'same-site'"),
        ({"fetch_site": "cross-site"}, "the browser says that the request is 'cross-site'"),
        ({"fetch_site": "none"}, "the browser says that the request is 'none'"),
        ({"content_type": "text/plain"}, "the request is no form of this site"),
        ({"content_type": "multipart/form-data; boundary=x"}, "the request is no form of this site"),
    ],
)
def test_what_another_site_can_send_is_refused_with_the_reason(changes: dict[str, str], reason: str) -> None:
    assert cross_site(facts(**changes)) == reason


@pytest.mark.parametrize("path", ["/", "/groups/x?kind=a&b=c", "/a//b", "/access?need=x%20y", "/x#L1"])
def test_a_path_of_this_site_is_followed(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "x",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "\\/evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/x\r\nset-cookie: a=b",
        "/a b",
        "/ä",
        "/x\\y",
        "/" + "a" * 2001,
    ],
)
def test_anything_else_leads_home(path: str | None) -> None:
    assert local_path(path) == "/"
