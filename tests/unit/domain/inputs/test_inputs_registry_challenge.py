"""Where a registry's token is, by what the registry says; it is believed only as far as it does no harm."""

from __future__ import annotations

import pytest

from liftlock.domain.inputs.registry_challenge import token_address, token_in
from liftlock.errors import InputValidationError

BASE = "https://registry.example"


def test_the_scope_is_ours_and_pulls_the_one_repository() -> None:
    asked = 'Bearer realm="https://auth.example/token?x=1",service="r",scope="repository:other:push"'
    address = token_address(asked, base=BASE, name="team/base")
    assert address == "https://auth.example/token?scope=repository%3Ateam%2Fbase%3Apull&service=r"


@pytest.mark.parametrize(
    ("challenge", "said"),
    [
        ('Basic realm="x"', "asks for a login of a kind that is not offered"),
        ("Bearer", "asks for a login of a kind that is not offered"),
        ('Bearer realm="file:///etc/passwd"', "asks for a login of a kind that is not offered"),
        ('Bearer realm="http://auth.example/token"', "can't be asked safely"),
        ('Bearer realm="https://user:pw@auth.example/token"', "can't be asked safely"),
    ],
)
def test_a_challenge_of_another_kind_or_to_an_unsafe_place_is_refused(challenge: str, said: str) -> None:
    with pytest.raises(InputValidationError, match=said):
        token_address(challenge, base=BASE, name="x")


def test_a_token_is_one_word_of_a_header() -> None:
    assert token_in(b'{"token": "abc.def"}') == token_in(b'{"access_token": "abc.def"}') == "abc.def"
    for answer in (b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a b"}', b'{"token": "a\\r\\nx: y"}'):
        with pytest.raises(InputValidationError):
            token_in(answer)
