"""Page tokens of the auth service: only what an earlier answer had is taken."""

from __future__ import annotations

import pytest

from liftlock.errors import RequestArgumentsError
from liftlock.web.auth_wire import token_of, with_token


def test_a_token_leads_back_to_what_it_was_made_of() -> None:
    made = with_token({}, "people/robin")
    assert token_of({"continuationToken": made["continuationToken"]}) == "people/robin"


@pytest.mark.parametrize("token", ["AAAA", "AAAAAAAAAAAA", "Cg", "%%%", "/w", "a"])
def test_what_no_answer_had_is_refused(token: str) -> None:
    with pytest.raises(RequestArgumentsError, match="an earlier answer had"):
        token_of({"continuationToken": token})
