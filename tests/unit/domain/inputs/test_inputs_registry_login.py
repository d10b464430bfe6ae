"""Logins of registries: read without being repeated, shown to their registry only, and never unencrypted."""

from __future__ import annotations

import pytest

from liftlock.domain.inputs.registry_login import Login, answer, parse_logins, secrets_in
from liftlock.errors import InputInvalidError, InputValidationError

LOGIN = Login("puller", "s3cret-s3cret")
BASE = "https://registry.example"
REALM = 'Bearer realm="https://registry.example/token",service="s"'


def test_a_file_of_logins_is_read() -> None:
    text = '["registry.example"]\nusername = "puller"\npassword = "s3cret-s3cret"\ntokens = "https://auth.example"\n'
    found = parse_logins(text)
    assert found == {"registry.example": Login("puller", "s3cret-s3cret", "https://auth.example")}
    assert "s3cret" not in repr(found) + str(found) + f"{found['registry.example']}"
    assert secrets_in(found) == ("s3cret-s3cret", "cHVsbGVyOnMzY3JldC1zM2NyZXQ=")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "the registries' credentials: "),
        ('["r"]\nusername = "u"', "the registries' credentials: Object missing required field `password`"),
        ('["r"]\nusername = "u"\npassword = "s3cret-s3cret"\nother = 1', "unknown field `other`"),
        ('["r"]\nusername = "a:b"\npassword = "s3cret-s3cret"', "expected a username without a colon"),
        ('["r"]\nusername = "u"\npassword = ""', "expected a username without a colon and a password"),
        ('["r"]\nusername = "u"\npassword = "s3cret\\r\\nx: y"', "in one line"),
        ('["r"]\nusername = "u"\npassword = "s3cret-s3cret"\ntokens = "https://a/b"', "expected an origin"),
        ('["r"]\nusername = "u"\npassword = "s3cret-s3cret"\ntokens = "https://u:p@a"', "expected an origin"),
        ('["r"]\nusername = "u"\npassword = "s3cret-s3cret"\ntokens = "https://a:x"', "expected an origin"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_and_not_quoted(text: str, said: str) -> None:
    with pytest.raises(InputInvalidError) as caught:
        parse_logins(text)
    assert said in caught.value.message
    assert "s3cret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_token_is_asked_for_with_the_login() -> None:
    found = answer(REALM, base=BASE, name="a/b", login=LOGIN)
    assert found.token_url == "https://registry.example/token?scope=repository%3Aa%2Fb%3Apull&service=s"
    assert found.authorization is not None
    assert found.authorization.reveal() == LOGIN.basic
    assert LOGIN.basic not in repr(found)


def test_without_a_login_the_token_is_asked_for_as_anybody() -> None:
    found = answer(REALM, base=BASE, name="a/b", login=None)
    assert found.authorization is None
    with pytest.raises(InputValidationError, match="asks for a login of a kind that is not offered"):
        answer('Basic realm="x"', base=BASE, name="a/b", login=None)


@pytest.mark.parametrize(
    "realm",
    [
        "https://evil.example/token",
        "https://registry.example.evil.example/token",
        "https://registry.example:444/token",
        "https://Registry.example@evil.example/token",
        "https://evil.example/https://registry.example/token",
        "http://registry.example/token",
    ],
)
def test_a_realm_elsewhere_is_not_shown_the_login(realm: str) -> None:
    with pytest.raises(InputValidationError):
        answer(f'Bearer realm="{realm}"', base=BASE, name="a/b", login=LOGIN)


def test_a_realm_that_the_configuration_names_is() -> None:
    login = Login("puller", "s3cret-s3cret", "https://auth.example")
    found = answer('Bearer realm="https://auth.example/t"', base=BASE, name="a/b", login=login)
    assert found.token_url is not None
    assert found.token_url.startswith("https://auth.example/t?")
    with pytest.raises(
        InputValidationError, match=r"expected https://auth\.example or https://registry\.example"
    ):
        answer('Bearer realm="https://other.example/t"', base=BASE, name="a/b", login=login)


def test_a_login_does_not_go_unencrypted_but_to_this_machine() -> None:
    for base in ("http://registry.example", "http://localhost:5000", "http://127.0.0.1.evil.example"):
        with pytest.raises(InputValidationError, match="a login is shown over https only"):
            answer('Basic realm="x"', base=base, name="a", login=LOGIN)
        with pytest.raises(InputValidationError, match="a login is shown over https only"):
            answer(f'Bearer realm="{base}/t"', base=base, name="a", login=LOGIN)
    assert answer('Basic realm="x"', base="http://127.0.0.1:5000", name="a", login=LOGIN).authorization
