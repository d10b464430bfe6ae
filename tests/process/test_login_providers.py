"""What is taken from an identity provider, and how much of it: its addresses, its answers' size and form, its certificate."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.identity_provider_stand_in import CLIENT, SECRET, StandIn, provider
from liftlock.adapters.login.answers import MAX_ANSWER
from liftlock.adapters.login.github import GithubProvider
from liftlock.adapters.login.oidc import OidcProvider
from liftlock.adapters.system.clock import SystemClock
from liftlock.domain.credentials.login_identity import Identity
from liftlock.domain.credentials.login_settings import ProviderSettings
from liftlock.errors import AuthenticationFailedError, ProviderFailedError

pytestmark = pytest.mark.process
BACK = "https://here.example/sign-in/from/corp"
STATE, NONCE, VERIFIER = "s" * 43, "n" * 43, "v" * 43


@pytest.fixture
def corp() -> Iterator[StandIn]:
    with provider() as made:
        yield made


def told(issuer: str, **changes: Any) -> ProviderSettings:
    given = {"name": "corp", "label": "Corp", "client_id": CLIENT, "client_secret": SECRET}
    return ProviderSettings(**({**given, "issuer": issuer} | changes))


def identify(corp: StandIn, **changes: Any) -> Identity:
    """Return who signs in by OpenID Connect, as a browser would that comes back with the provider's code."""

    async def go() -> Identity:
        made = OidcProvider(told(corp.url, **changes), SystemClock())
        await made.address(BACK, STATE, NONCE, VERIFIER)
        return await made.identify(BACK, corp.code_for(BACK, NONCE, VERIFIER), NONCE, VERIFIER)

    return asyncio.run(go())


def test_groups_are_the_claim_that_was_named_and_only_those_that_count(corp: StandIn) -> None:
    corp.claims = {"https://corp.example/roles": ["a", "b", "c"], "groups": ["d"]}
    found = identify(corp, groups_claim="https://corp.example/roles", groups=("b", "c", "x"))
    assert found.groups == ("b", "c")
    assert found.name == "alice@example.com"


def test_a_provider_that_takes_the_secret_in_the_form_only_gets_it_there(corp: StandIn) -> None:
    corp.more = {"token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}
    assert identify(corp).subject == "subject-1"
    assert corp.proofs == ["form"]
    corp.more = {}
    identify(corp)
    assert corp.proofs == ["form", "basic"]


@pytest.mark.parametrize("issuer", ["https://evil.example", "", None])
def test_a_provider_that_says_it_is_another_one_is_not_asked(corp: StandIn, issuer: str | None) -> None:
    corp.more = {"issuer": issuer}
    with pytest.raises(ProviderFailedError, match="Corp does not say that it is http://127"):
        identify(corp)
    assert corp.codes == {}


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url", ["http://evil.example/x", "javascript:alert(1)", "https://a@evil.example/", "https://e.example/\r\nx", 7]
)  # fmt: skip
def test_the_secret_and_the_browser_go_nowhere_without_tls(corp: StandIn, name: str, url: Any) -> None:
    corp.more = {name: url}
    with pytest.raises(ProviderFailedError, match=f"Corp: {name}: expected https://…"):
        identify(corp)


HOSTILE = {
    "a redirect": (302, {"location": "/keys"}, b""),
    "too much": (200, {}, b" " * (MAX_ANSWER + 1)),
    "packed": (200, {"content-encoding": "gzip"}, gzip.compress(b" " * 1000)),
    "no JSON": (200, {}, b"<html>"),
    "not UTF-8": (200, {}, b'"\xff"'),
    "very deep": (200, {}, b"[" * 100_000),
    "a number": (200, {}, b"9" * 5000),
    "an error": (500, {}, b"{}"),
    "nothing": (200, {}, b""),
}


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_answer_of_a_provider_ends_the_sign_in_and_nothing_else(
    corp: StandIn, path: str, what: str
) -> None:
    corp.instead[path] = HOSTILE[what]
    with pytest.raises(ProviderFailedError, match=r"^Corp"):
        identify(corp)


@pytest.mark.parametrize("path", ["/login/oauth/access_token", "/api/user", "/api/user/teams"])
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_answer_of_a_forge_ends_the_sign_in_and_nothing_else(
    corp: StandIn, path: str, what: str
) -> None:
    async def go() -> Identity:
        made = GithubProvider(told(corp.url, kind="github", api=f"{corp.url}/api"))
        return await made.identify(BACK, corp.code_for(BACK, "", VERIFIER), "", VERIFIER)

    assert asyncio.run(go()).groups == ("mozilla/releng",)
    corp.instead[path] = HOSTILE[what]
    with pytest.raises((ProviderFailedError, AuthenticationFailedError), match=r"^(Corp|corp)"):
        asyncio.run(go())


@pytest.mark.parametrize(
    "subject", ["", "x" * 256, "\ud800", "a\u202eb", "a\nb", None, 1.5, True, ["a"], {"a": 1}]
)
def test_a_subject_that_is_no_name_signs_nobody_in(corp: StandIn, subject: Any) -> None:
    corp.claims = {"sub": subject}
    with pytest.raises((AuthenticationFailedError, ProviderFailedError)):
        identify(corp)


@pytest.mark.parametrize("exp", [-61, 0, "soon", None, 1e400, [1]])
def test_an_identity_that_is_not_valid_now_signs_nobody_in(corp: StandIn, exp: Any) -> None:
    """The clocks may differ by a minute."""
    corp.claims = {"exp": int(SystemClock().now().timestamp()) + exp if isinstance(exp, int) and exp else exp}
    with pytest.raises(ProviderFailedError, match="what it says of you does not verify"):
        identify(corp)


def test_clocks_may_differ_by_a_minute(corp: StandIn) -> None:
    now = int(SystemClock().now().timestamp())
    corp.claims = {"exp": now - 30, "iat": now + 30}
    assert identify(corp).subject == "subject-1"


def test_a_provider_whose_certificate_nobody_vouches_for_is_not_asked() -> None:
    with provider(tls=True) as corp:
        assert corp.url.startswith("https://")
        with pytest.raises(ProviderFailedError, match=r"Corp does not answer \(ConnectError\)"):
            identify(corp)
        assert corp.asked_for == []


def test_a_provider_that_does_not_listen_is_said_to_be_gone() -> None:
    with provider() as corp:
        gone = corp.url
    with pytest.raises(ProviderFailedError, match=r"Corp does not answer \(ConnectError\)"):
        asyncio.run(OidcProvider(told(gone), SystemClock()).address(BACK, STATE, NONCE, VERIFIER))
