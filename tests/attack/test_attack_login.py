"""What is tried against signing in by identity providers, and by programs that ask for credentials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

import pytest
import requests
import taskcluster
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from fakes.identity_provider_stand_in import StandIn
from liftlock.domain.credentials.login_identity import identity_of
from liftlock.domain.credentials.login_settings import parse_login_settings
from liftlock.domain.credentials.third_party import common
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import AuthenticationFailedError, InputInvalidError
from liftlock.values.ids import client_id as parse_client_id
from login_world import BACK, PARTY_SECRET, PERSON, LoginWorld, login_world, scopes_of, went_to

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginWorld]:
    with login_world(tmp_path_factory.mktemp("login")) as made:
        made.role("login-group:corp/developers", "hooks:trigger-hook:demo/*", "secrets:get:demo")
        yield made


@pytest.fixture
def corp(world: LoginWorld) -> Iterator[StandIn]:
    """The provider, honest again afterwards."""
    honest = StandIn()
    yield world.corp
    for name in ("sign", "claims", "answer_from", "groups", "subject"):
        setattr(world.corp, name, getattr(honest, name))


def test_login_csrf_an_answer_for_one_browser_signs_no_other_one_in(world: LoginWorld) -> None:
    """The attacker's own way back, opened by the victim, would sign the victim in as the attacker."""
    attacker, victim = world.browser(), world.browser()
    way_back = world.way_back(attacker)
    page = victim.get(way_back, timeout=30)
    assert page.status_code == 401
    assert "this sign-in was not begun in this browser" in page.text
    assert world.who(victim) is None
    other = world.browser()
    world.way_back(other)  # a browser that has begun a sign-in of its own
    assert other.get(world.way_back(attacker), timeout=30).status_code == 401


def test_code_replay_a_way_back_is_used_once(world: LoginWorld) -> None:
    browser = world.browser()
    way_back = world.way_back(browser)
    held = {cookie.name: cookie.value or "" for cookie in browser.cookies}
    browser.get(way_back, timeout=30)
    assert world.who(browser) == PERSON
    again = world.browser()
    assert again.get(way_back, cookies=held, timeout=30).status_code == 401


def test_mix_up_an_answer_of_one_provider_is_not_taken_for_another_one(
    world: LoginWorld, corp: StandIn
) -> None:
    browser = world.browser()
    way_back = world.way_back(browser, "rival").replace("/sign-in/from/rival", "/sign-in/from/corp")
    assert browser.get(way_back, timeout=30).status_code == 401
    corp.answer_from = world.rival.url
    page = browser.get(world.way_back(browser), timeout=30)
    assert page.status_code == 401
    assert "not from Sign in with corp" in page.text
    assert world.who(browser) is None


def test_fixation_a_session_that_was_planted_before_is_not_the_one_that_signing_in_gives(
    world: LoginWorld,
) -> None:
    browser, planted = world.browser(), "P" * 43
    world.sign_in(browser)
    [name] = [cookie.name for cookie in browser.cookies if "session" in cookie.name]
    first = browser.cookies[name]
    victim = world.browser()
    victim.cookies.set(name, planted, domain="127.0.0.1")
    world.sign_in(victim)
    assert victim.cookies[name] not in (planted, first)
    world.sign_in(browser)
    thief = world.browser()
    for stolen in (planted, first):
        thief.cookies.set(name, stolen, domain="127.0.0.1")
        assert world.who(thief) is None, "the session before ended with the new one"


LIES: dict[str, Any] = {
    "another nonce": {"claims": {"nonce": "x" * 43}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "somebody-else"}},
    "a further audience and another party": {"claims": {"aud": ["liftlock-test", "x"], "azp": "x"}},
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "expired": {"claims": {"exp": int(time.time()) - 3600}},
    "unsigned": {"sign": lambda self, claims: self.unsigned(claims)},
    "signed with the public key as a secret": {
        "sign": lambda self, claims: self.by_hmac_of_public_key(claims)
    },
    "signed by nobody's key": {
        "sign": lambda self, claims: StandIn(key=ECKey.generate_key("P-256", {"kid": "k1"})).honest(claims)
    },
    "no token at all": {"sign": lambda self, claims: "x"},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_identity_that_the_provider_did_not_state_for_this_attempt_signs_nobody_in(
    world: LoginWorld, corp: StandIn, lie: str
) -> None:
    for name, value in LIES[lie].items():
        setattr(corp, name, value)
    browser = world.browser()
    page = browser.get(world.way_back(browser), timeout=30)
    assert page.status_code in (401, 502), page.text
    assert world.who(browser) is None


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "\t//evil.example",
    ],
)
def test_open_redirect_nobody_is_sent_elsewhere_after_signing_in(world: LoginWorld, wanted: str) -> None:
    browser = world.browser()
    away = browser.get(
        f"{world.url}/sign-in/with/corp", params={"next": wanted}, allow_redirects=False, timeout=30
    )
    back = browser.get(away.headers["location"], allow_redirects=False, timeout=30)
    end = browser.get(back.headers["location"], allow_redirects=False, timeout=30)
    assert end.headers["location"] == "/"


@pytest.mark.parametrize("group", ["*", "dev*", "developers **", "a b", "\u202e", "ü*", "developers\n*"])
def test_scope_widening_by_a_group_whose_name_is_a_pattern(
    world: LoginWorld, corp: StandIn, group: str
) -> None:
    corp.groups = [group]
    browser = world.browser()
    page = browser.get(world.way_back(browser), timeout=30)
    assert "hooks:trigger-hook:demo/*" not in page.text
    assert "secrets:get:demo" not in browser.get(f"{world.url}/account", timeout=30).text


PRINTABLE = st.text(min_size=1, max_size=20).filter(str.isprintable)


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_what_a_provider_says_is_never_more_than_a_name(subject: str, group: str) -> None:
    try:
        found = identity_of("corp", subject, None, [group])
    except AuthenticationFailedError:
        return
    assert parse_client_id(found.client_id) == found.client_id
    for scope in found.scopes:
        assert scope.isascii()
        assert scope.isprintable()
        assert not set(scope) & set("*<> ")


@given(PRINTABLE, PRINTABLE)
def test_two_people_of_a_provider_never_share_an_id(one: str, other: str) -> None:
    first, second = identity_of("corp", one, None, ()), identity_of("corp", other, None, ())
    assert (first.client_id == second.client_id) == (one == other)


# --- programs that ask for credentials ---


@pytest.fixture
def browser(world: LoginWorld) -> Any:
    made = world.browser()
    world.sign_in(made)
    return made


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/back",
        f"{BACK}/",
        f"{BACK}/../evil",
        f"{BACK}?y=1",
        f"{BACK}#x",
        f"{BACK}%2f",
        BACK.upper(),
        BACK.replace("https", "http"),
        BACK.replace("dashboard.example", "dashboard.example.evil.example"),
        BACK.replace("dashboard.example", "dashboard.example@evil.example"),
        "",
    ],
)
def test_redirect_tampering_an_address_that_is_not_exactly_registered_gets_nothing(
    world: LoginWorld, browser: Any, uri: str
) -> None:
    page = world.ask(browser, redirect_uri=uri)
    assert page.status_code == 400
    assert "location" not in page.headers
    assert "refresh" not in page.text
    assert "which is not an address registered for it" in page.text


def test_a_program_that_is_not_registered_gets_nothing(world: LoginWorld, browser: Any) -> None:
    page = world.ask(browser, client_id="unknown")
    assert (page.status_code, "location" in page.headers) == (400, False)


def test_an_option_that_stands_twice_is_refused(world: LoginWorld, browser: Any) -> None:
    url = world.ask(browser).request.url
    page = browser.get(f"{url}&redirect_uri=https%3A%2F%2Fevil.example", allow_redirects=False, timeout=30)
    assert (page.status_code, "location" in page.headers) == (400, False)


def test_consent_without_the_pages_own_form_is_refused(world: LoginWorld, browser: Any) -> None:
    asked = world.ask(browser).request.url.partition("?")[2]
    for headers, token in (
        ({"origin": "https://evil.example"}, "x"),
        ({"origin": world.url, "sec-fetch-site": "cross-site"}, "x"),
        ({"origin": world.url, "sec-fetch-site": "same-origin"}, "x"),
    ):
        page = browser.post(
            f"{world.url}/login/oauth/authorize",
            {"asked": asked, "answer": "grant", "form_token": token},
            headers=headers,
            timeout=30,
        )
        assert page.status_code == 403
    framed = world.ask(browser)
    assert framed.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in framed.headers["content-security-policy"]


def test_a_form_that_was_changed_after_it_was_shown_grants_no_more_than_the_person_has(
    world: LoginWorld, browser: Any
) -> None:
    page = world.ask(browser)
    asked = page.request.url.partition("?")[2].replace("demo%2F%2A", "%2A") + "&expires=20+days"
    granted = world.answer(browser, page, asked=asked)
    token = world.redeem(went_to(granted)["code"]).json()["access_token"]
    answer = world.credentials(token).json()
    assert scopes_of(world, answer["credentials"]) == ["assume:anonymous", "hooks:trigger-hook:demo/*"]


def test_scope_widening_a_program_gets_neither_more_than_registered_nor_more_than_the_person_has(
    world: LoginWorld, browser: Any
) -> None:
    page = world.ask(browser, scope="*")
    assert "hooks:trigger-hook:demo/*" in page.text
    assert "secrets:get:demo" not in page.text, "the program is not registered for it"
    nothing = world.ask(browser, scope="secrets:get:demo auth:create-client:*")
    assert "it would get nothing" in nothing.text
    refused = world.answer(browser, nothing)
    assert refused.status_code == 403


SCOPE = st.text("ab:*", min_size=1, max_size=5)


@given(st.lists(SCOPE, max_size=5), st.lists(SCOPE, max_size=5))
def test_what_two_sets_have_in_common_is_in_both(one: list[str], other: list[str]) -> None:
    for scope in common(one, other):
        assert ScopeSet(one).satisfies(scope)
        assert ScopeSet(other).satisfies(scope)
    for scope in one:
        if not scope.endswith("*") and ScopeSet(other).satisfies(scope):
            assert ScopeSet(common(one, other)).satisfies(scope)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "a\u202eb"}, "invalid_scope"),
        ({"expires": "for ever"}, "invalid_request"),
    ],
)
def test_a_request_that_is_not_as_it_has_to_be_is_refused_at_the_programs_own_address(
    world: LoginWorld, browser: Any, changes: dict[str, Any], error: str
) -> None:
    page = world.ask(browser, **changes)
    assert page.status_code == 303
    assert page.headers["location"].startswith(f"{BACK}?error={error}&")


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": f"{BACK}?x=1"},
        {"client_id": "other"},
        {"client_id": "legacy"},
        {"client_id": "unknown"},
        {"grant_type": "client_credentials"},
    ],
)
def test_a_code_is_redeemed_only_by_who_asked_for_it(
    world: LoginWorld, browser: Any, changes: dict[str, str]
) -> None:
    code = world.code(browser)
    answer = world.redeem(code, **changes)
    assert answer.status_code == 400
    assert "access_token" not in answer.json()
    if "grant_type" not in changes:
        assert world.redeem(code).status_code == 400, "a failed attempt uses it up"


def test_code_replay_a_code_and_a_token_are_used_once(world: LoginWorld, browser: Any) -> None:
    code = world.code(browser)
    token = world.redeem(code).json()["access_token"]
    assert world.redeem(code).json()["error"] == "invalid_grant"
    assert world.redeem(token).json()["error"] == "invalid_grant", "a token is no code"
    assert world.credentials(code).status_code == 401
    assert world.credentials(token).status_code == 200
    assert world.credentials(token).status_code == 401


def test_pkce_downgrade_a_verifier_for_a_code_without_challenge_is_refused(
    world: LoginWorld, browser: Any
) -> None:
    """Somebody took the challenge out of the request on its way; the program notices by this."""
    without = {"code_challenge": None, "code_challenge_method": None}
    code = world.code(browser, client_id="server", **without)
    answer = world.redeem(code, client_id="server", client_secret=PARTY_SECRET)
    assert answer.json()["error"] == "invalid_grant"
    assert "without a challenge" in answer.json()["error_description"]


def test_a_program_proves_itself_in_one_way(world: LoginWorld, browser: Any) -> None:
    without = {"code_challenge": None, "code_challenge_method": None}

    def redeem(basic: tuple[str, str] | str, **form: str) -> requests.Response:
        code = world.code(browser, client_id="server", **without)
        sent = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, **form}
        headers = {"authorization": basic} if isinstance(basic, str) else {}
        auth = None if isinstance(basic, str) else basic
        return requests.post(f"{world.url}/login/oauth/token", sent, headers=headers, auth=auth, timeout=30)

    assert redeem(("server", quote_plus(PARTY_SECRET))).status_code == 200
    assert redeem(("server", "wrong")).json()["error"] == "invalid_grant"
    for basic, form in (
        (("server", quote_plus(PARTY_SECRET)), {"client_id": "dashboard"}),
        (("server", "wrong"), {"client_secret": PARTY_SECRET}),
        ("Basic !!", {}),
        ("Basic c2VydmVy", {}),
        ("Bearer x", {}),
    ):
        answer = redeem(basic, **form)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_a_wrong_secret_redeems_nothing(world: LoginWorld, browser: Any) -> None:
    without = {"code_challenge": None, "code_challenge_method": None}
    for secret in ("", "wrong"):
        code = world.code(browser, client_id="server", **without)
        answer = world.redeem(code, client_id="server", client_secret=secret, code_verifier="")
        assert answer.json()["error"] == "invalid_grant"


def test_a_person_who_lost_the_right_meanwhile_gives_it_to_no_program(
    world: LoginWorld, corp: StandIn
) -> None:
    world.role("login-group:corp/leaving", "queue:rerun-task:demo/*")
    corp.groups = ["leaving"]
    browser = world.browser()
    world.sign_in(browser)
    token = world.redeem(world.code(browser, scope="queue:rerun-task:demo/*")).json()["access_token"]
    taskcluster.Auth(world.served.options).deleteRole("login-group:corp/leaving")
    answer = world.credentials(token)
    assert (answer.status_code, answer.json()["code"]) == (403, "InsufficientScopes")


def test_the_session_cookie_is_no_credential_of_the_token_endpoints(world: LoginWorld, browser: Any) -> None:
    answer = browser.get(f"{world.url}/login/oauth/credentials", timeout=30)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


PROVIDER = '[[provider]]\nname = "a"\nlabel = "A"\nclient-id = "c"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[provider]]\n", "sign-in file: Object missing required field"),
        ("nonsense", "sign-in file: "),
        ('[[third-party]]\nclient-id = "a"\nlabel = "A"\nredirect-uris = ["http://evil.example/"]\nscopes = []\n', "redirect-uris"),
        ('[[third-party]]\nclient-id = "a"\nlabel = "A"\nredirect-uris = ["https://a.example/"]\nscopes = ["a**"]\n', "must not end in"),
        ('[[third-party]]\nclient-id = "a"\nlabel = "A"\nredirect-uris = ["https://a.example/"]\nscopes = []\nproof = "secret"\n', "secret-sha256"),
        ('[[third-party]]\nclient-id = "A/*"\nlabel = "A"\nredirect-uris = ["https://a.example/"]\nscopes = []\n', "client-id"),
        ("other = 1\n", "unknown field"),
        (f'{PROVIDER}issuer = "http://evil.example"\nclient-secret = "s"\n', "issuer: expected https://"),
        (f'{PROVIDER}issuer = "https://a.example/#x"\nclient-secret = "s"\n', "issuer: expected https://"),
        (f'{PROVIDER}issuer = "https://a.example"\n', "expected either client-secret-file or client-secret"),
        (f'{PROVIDER}issuer = "https://a.example"\nclient-secret = "s"\nkind = "github"\n', "api: expected https://"),
        ('address = "https://a.example/below"\n', "address: expected no path"),
        ('address = "http://a.example"\n', "address: expected https://"),
    ],
)  # fmt: skip
def test_a_sign_in_file_that_would_be_unsafe_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputInvalidError, match="sign-in file") as refused:
        parse_login_settings(text)
    assert message in refused.value.message
