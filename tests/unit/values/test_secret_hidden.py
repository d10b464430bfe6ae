"""Secrets are hidden in every form in which programs and servers repeat them."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.values.secret import Secret, hidden

TOKEN = "canary/index+token 5f1c"


@pytest.mark.parametrize(
    "shown",
    [
        TOKEN.encode(),
        quote(TOKEN, safe="").encode(),
        TOKEN.encode().hex().encode(),
        base64.b64encode(TOKEN.encode()),
        base64.urlsafe_b64encode(TOKEN.encode()),
    ],
)
def test_a_secret_is_hidden_in_this_form(shown: bytes) -> None:
    told = hidden(b"before " + shown + b" after", [Secret(TOKEN)])
    assert told.startswith(b"before [hidden]")
    assert shown not in told
    assert b"nary" not in told


@given(
    st.binary(max_size=40), st.binary(max_size=40), st.text("abcdef0123456789-_", min_size=12, max_size=60)
)
def test_within_any_base64_nothing_of_the_secret_can_be_read(
    before: bytes, after: bytes, secret: str
) -> None:
    told = hidden(base64.b64encode(before + secret.encode() + after), [Secret(secret)])
    assert b"[hidden]" in told
    left, _, right = told.partition(b"[hidden]")
    for part in (left, right):
        read = base64.b64decode(
            part[: len(part) // 4 * 4] if part is left else part[-(len(part) // 4 * 4) or len(part) :]
        )
        assert secret[1:-1].encode() not in read


def test_each_line_of_a_secret_is_hidden_by_itself_and_short_ones_are_left() -> None:
    key = Secret("comment: x\nRWQAAEIyAAAAAAAA\nab\n")
    assert hidden(b"see RWQAAEIyAAAAAAAA, ab and comment: x", [key]) == b"see [hidden], ab and [hidden]"


def test_nothing_is_hidden_where_there_is_no_secret() -> None:
    assert hidden(b"text", []) == b"text"
    assert hidden(b"text", [Secret("")]) == b"text"
