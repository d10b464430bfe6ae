"""Pages: limits and tokens from outside never reach a database that could not take them."""

from __future__ import annotations

import base64

import pytest

from liftlock.errors import RequestArgumentsError
from liftlock.web.paging import limit_of, number_after, texts_after, token


def test_a_token_gives_back_what_it_was_made_of() -> None:
    assert texts_after({"continuationToken": token("a", "ü/b")}, 2) == ["a", "ü/b"]
    assert number_after({"continuationToken": token(2**63 - 1)}) == 2**63 - 1
    assert (texts_after({}, 2), number_after({})) == (["", ""], 0)


@pytest.mark.parametrize("number", [2**63, 2**200, -(2**63)])
def test_a_number_that_no_database_holds_is_refused(number: int) -> None:
    made = base64.urlsafe_b64encode(str([number]).encode()).decode().rstrip("=")
    with pytest.raises(RequestArgumentsError, match="continuationToken: expected one from an earlier page"):
        number_after({"continuationToken": made})


def test_a_text_with_nul_is_refused() -> None:
    with pytest.raises(RequestArgumentsError, match="continuationToken: expected one from an earlier page"):
        texts_after({"continuationToken": token("a\x00")}, 1)


@pytest.mark.parametrize("text", ["1", "1000", "0010"])
def test_a_limit_is_1_to_1000(text: str) -> None:
    assert limit_of({"limit": text}) == int(text)


@pytest.mark.parametrize(
    "text", ["0", "1001", "-1", "", " 1", "1.0", "٣", "0000000010000000", "00000000199999999999999999999"]
)
def test_any_other_limit_is_refused(text: str) -> None:
    with pytest.raises(RequestArgumentsError, match="limit: expected 1 to 1000"):
        limit_of({"limit": text})
