"""People sign in by identity providers, and let programs act for them, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import taskcluster
from taskcluster.exceptions import TaskclusterRestFailure

from liftlock.values.instants import parse_instant
from login_world import PARTY_SECRET, PERSON, LoginWorld, login_world, scopes_of, went_to

pytestmark = pytest.mark.process


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LoginWorld]:
    with login_world(tmp_path) as made:
        yield made


def test_a_person_signs_in_by_openid_connect_and_has_what_identity_and_groups_give(world: LoginWorld) -> None:
    world.role("login-group:corp/developers", "hooks:trigger-hook:demo/*")
    world.role("login-identity:corp/subject-1", "queue:rerun-task:demo/*")
    browser = world.browser()
    offered = browser.get(f"{world.url}/sign-in?next=/account", timeout=30).text
    assert 'href="/sign-in/with/corp?next=/account"' in offered
    page = world.sign_in(browser)
    assert (page.status_code, page.url) == (200, f"{world.url}/account")
    assert world.who(browser) == PERSON
    for scope in (
        "hooks:trigger-hook:demo/*",
        "queue:rerun-task:demo/*",
        "assume:login-group:corp/developers",
    ):
        assert scope in page.text
    [asked] = world.corp.asked
    assert (asked["scope"], asked["code_challenge_method"]) == ("openid profile email", "S256")


def test_a_person_signs_in_by_github_under_the_number_of_the_account(world: LoginWorld) -> None:
    browser = world.browser()
    page = world.sign_in(browser, "forge")
    assert world.who(browser) == "login/forge/4711"
    assert "assume:login-group:forge/mozilla/releng" in page.text
    world.rival.email = "renamed"
    again = world.browser()
    world.sign_in(again, "forge")
    assert world.who(again) == "login/forge/4711"


def test_a_program_gets_credentials_that_act_for_the_person_within_what_was_granted(
    world: LoginWorld,
) -> None:
    world.role("login-group:corp/developers", "hooks:trigger-hook:demo/*", "secrets:get:demo")
    browser = world.browser()
    begun = world.ask(browser)
    assert begun.status_code == 303
    assert begun.headers["location"].startswith("/sign-in?next=%2Flogin%2Foauth%2Fauthorize")
    world.sign_in(browser)
    page = world.ask(
        browser, scope="hooks:trigger-hook:* secrets:get:demo queue:rerun-task:demo/*", expires="1 hour"
    )
    assert "The dashboard" in page.text
    assert "dashboard.example" in page.text
    granted = world.answer(browser, page)
    said = went_to(granted)
    assert said["state"] == "st"
    token = world.redeem(said["code"])
    assert token.headers["access-control-allow-origin"] == "*"
    assert (token.status_code, token.json()["token_type"], token.json()["expires_in"]) == (200, "Bearer", 600)
    answer = world.credentials(token.json()["access_token"])
    assert answer.status_code == 200, answer.text
    made = answer.json()["credentials"]
    assert made["clientId"].startswith(f"{PERSON}/dashboard-")
    assert scopes_of(world, made) == ["assume:anonymous", "hooks:trigger-hook:demo/*"]
    expires = parse_instant(answer.json()["expires"], what="expires")
    assert timedelta(minutes=58) < expires - datetime.now(UTC) <= timedelta(hours=1)
    kept = taskcluster.Auth(world.served.options).client(made["clientId"])
    assert kept["deleteOnExpiration"]
    assert kept["description"] == f"dashboard, on behalf of {PERSON}"


def test_a_program_with_a_secret_and_one_that_knows_neither_are_served_as_registered(
    world: LoginWorld,
) -> None:
    world.role("login-group:corp/developers", "hooks:trigger-hook:*")
    browser = world.browser()
    world.sign_in(browser)
    without = {"code_challenge": None, "code_challenge_method": None}
    code = world.code(browser, client_id="server", **without)
    assert (
        world.redeem(code, client_id="server", client_secret=PARTY_SECRET, code_verifier="").status_code
        == 200
    )
    code = world.code(browser, client_id="legacy", **without)
    assert world.redeem(code, client_id="legacy", code_verifier="").status_code == 200


def test_a_person_may_say_no_and_the_program_hears_it(world: LoginWorld) -> None:
    world.role("login-group:corp/developers", "hooks:trigger-hook:*")
    browser = world.browser()
    world.sign_in(browser)
    refused = world.answer(browser, world.ask(browser), answer="deny")
    assert refused.status_code == 200
    assert went_to(refused) == {"error": "access_denied", "state": "st"}


def test_a_session_by_a_provider_loses_what_its_group_loses(world: LoginWorld) -> None:
    world.role("login-group:corp/developers", "hooks:trigger-hook:demo/*")
    browser = world.browser()
    assert "hooks:trigger-hook:demo/*" in world.sign_in(browser).text
    taskcluster.Auth(world.served.options).deleteRole("login-group:corp/developers")
    assert "hooks:trigger-hook:demo/*" not in browser.get(f"{world.url}/account", timeout=30).text


def test_credentials_of_a_program_end_when_the_person_deletes_them(world: LoginWorld) -> None:
    world.role("login-group:corp/developers", "hooks:trigger-hook:demo/*")
    browser = world.browser()
    world.sign_in(browser)
    token = world.redeem(world.code(browser)).json()["access_token"]
    made = world.credentials(token).json()["credentials"]
    taskcluster.Auth(world.served.options).deleteClient(made["clientId"])
    with pytest.raises((TaskclusterRestFailure, taskcluster.exceptions.TaskclusterAuthFailure)):
        scopes_of(world, made)
