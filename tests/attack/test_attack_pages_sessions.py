"""Sessions: fixation, sign-in that somebody else began, used links, and sessions of who lost his access."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from control_plane_server import serve
from liftlock.cli.client import Api
from liftlock.cli.failures import AnsweredError
from liftlock.cli.profiles import Profile
from pages_world import Site, token_in

pytestmark = pytest.mark.process


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serve(tmp_path) as running:
        made = Site(running)
        made.person("people/robin", "x:*")
        yield made
        made.close()


def is_signed_in(http: httpx2.Client) -> bool:
    return http.get("/account").status_code == 200


def session_cookie(http: httpx2.Client) -> tuple[str, str]:
    [found] = [(name, value) for name, value in http.cookies.items() if "session" in name]
    return found


def test_a_session_id_that_was_planted_before_signing_in_is_worth_nothing(site: Site) -> None:
    name, own = session_cookie(site.signed_in("people/robin"))
    planted = "P" * 43
    victim = site.client(cookies={name: planted})
    link = site.link("people/robin")
    data = {"form_token": token_in(victim.get(link).text)}
    answer = victim.post(link, data=data, headers=site.own_origin)
    assert answer.status_code == 303
    assert planted not in answer.headers["set-cookie"]
    assert own not in answer.headers["set-cookie"]
    attacker = site.client(cookies={name: planted})
    assert not is_signed_in(attacker)


def test_signing_in_again_ends_the_session_before(site: Site) -> None:
    http = site.signed_in("people/robin")
    name, old = session_cookie(http)
    link = site.link("people/robin")
    data = {"form_token": token_in(http.get(link).text.split("<main")[1])}
    assert http.post(link, data=data, headers=site.own_origin).status_code == 303
    assert not is_signed_in(site.client(cookies={name: old}))


def test_opening_a_link_signs_nobody_in(site: Site) -> None:
    """Login CSRF: a page that makes the victim open the attacker's link gets nowhere without the victim's own click."""
    site.person("people/mallory")
    victim = site.signed_in("people/robin")
    link = site.link("people/mallory")
    answer = victim.get(link)
    assert "Sign in as people/mallory?" in answer.text
    assert "people/robin; that ends with this" in answer.text
    assert "people/robin" in victim.get("/account").text
    assert "people/mallory" not in victim.get("/account").text


def test_another_site_cannot_post_the_attackers_link_for_the_victim(site: Site) -> None:
    site.person("people/mallory")
    attacker, victim = site.client(), site.client()
    link = site.link("people/mallory")
    token = token_in(attacker.get(link).text)
    assert (
        victim.post(link, data={"form_token": token}, headers={"origin": "https://evil.example"}).status_code
        == 403
    )
    victim.get("/sign-in")
    assert victim.post(link, data={"form_token": token}, headers=site.own_origin).status_code == 403
    assert not is_signed_in(victim)


def test_a_link_works_once(site: Site) -> None:
    link = site.link("people/robin")
    first, second = site.client(), site.client()
    tokens = [token_in(http.get(link).text) for http in (first, second)]
    assert first.post(link, data={"form_token": tokens[0]}, headers=site.own_origin).status_code == 303
    again = second.post(link, data={"form_token": tokens[1]}, headers=site.own_origin)
    assert again.status_code == 401
    assert "was used before or has expired" in again.text
    assert second.get(link).status_code == 401


def test_who_may_less_than_the_client_makes_no_link_for_it(site: Site) -> None:
    site.person("people/helper", "auth:sign-in-link:people/*")
    site.person("people/nothing")
    token = site.auth.resetAccessToken("people/helper")["accessToken"]
    api = Api(Profile(site.url, "people/helper", token, None))
    assert api.post("auth", "clients", "people/nothing", "sign-in-link", payload={})["clientId"]
    for client_id in ("people/robin", "static/liftlock/root"):
        with pytest.raises(AnsweredError) as caught:
            api.post("auth", "clients", client_id, "sign-in-link", payload={})
        assert caught.value.status == 403
    api.close()


@pytest.mark.parametrize("change", ["disable", "delete", "reset"])
def test_a_session_ends_with_the_clients_access(site: Site, change: str) -> None:
    http = site.signed_in("people/robin")
    assert is_signed_in(http)
    {
        "disable": site.auth.disableClient,
        "delete": site.auth.deleteClient,
        "reset": site.auth.resetAccessToken,
    }[change]("people/robin")
    assert not is_signed_in(http)


def test_signing_out_everywhere_ends_all_sessions_of_the_person_and_no_other(site: Site) -> None:
    site.person("people/kim")
    one, two, other = (site.signed_in(who) for who in ("people/robin", "people/robin", "people/kim"))
    token = token_in(one.get("/account").text)
    one.post("/sign-out-everywhere", data={"form_token": token}, headers=site.own_origin)
    assert [is_signed_in(http) for http in (one, two, other)] == [False, False, True]


def test_a_stolen_database_signs_nobody_in(site: Site) -> None:
    http = site.signed_in("people/robin")
    name, secret = session_cookie(http)
    link = site.link("people/robin")
    database = sqlite3.connect(site.served.directory / "liftlock.db")
    stored = [
        str(row[0])
        for row in database.execute("SELECT id FROM page_session UNION SELECT id FROM sign_in_link")
    ]
    database.close()
    assert len(stored) == 2
    assert secret not in stored
    assert link.rpartition("/")[2] not in stored
    for one in stored:
        assert not is_signed_in(site.client(cookies={name: one}))
        assert site.client().get(f"/sign-in/link/{one}").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_hosts(site: Site) -> None:
    link = site.link("people/robin")
    proxied = {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "lift.example",
        "origin": "https://lift.example",
    }
    http = site.client()
    entry = http.get(link, headers=proxied)
    cookie = entry.headers["set-cookie"]
    assert cookie.startswith("__Host-liftlock-sign-in=")
    answer = http.post(
        link,
        data={"form_token": token_in(entry.text)},
        headers={**proxied, "cookie": cookie.partition(";")[0]},
    )
    session = next(
        value
        for value in answer.headers.get_list("set-cookie")
        if value.startswith("__Host-liftlock-session=")
    )
    for attribute in ("HttpOnly", "Secure", "Path=/", "SameSite=lax"):
        assert attribute in session
    assert "Domain" not in session
