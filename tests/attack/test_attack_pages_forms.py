"""Pages can be changed only from pages: framing, cross-site posts, repeated forms, and redirects to elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from control_plane_server import serve
from liftlock.web.pages.site import HEADERS
from pages_world import Site, token_in

pytestmark = pytest.mark.process
EVIL = "https://evil.example"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serve(tmp_path) as running:
        made = Site(running)
        made.person("people/robin", "x:*")
        yield made
        made.close()


def is_signed_in(http: httpx2.Client) -> bool:
    return http.get("/account").status_code == 200


def sign_out(http: httpx2.Client, token: str, **headers: str) -> httpx2.Response:
    return http.post("/sign-out", data={"form_token": token}, headers=headers)


@pytest.mark.parametrize("path", ["/", "/account", "/nothing/here", "/assets/none.js", "/sign-in/link/x"])
def test_no_answer_may_be_framed_sniffed_or_run_foreign_scripts(site: Site, path: str) -> None:
    answer = site.signed_in("people/robin").get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, name
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "says no Origin"),
        ({"origin": "null"}, "comes from &#39;null&#39;"),
        ({"origin": EVIL}, f"comes from &#39;{EVIL}&#39;"),
    ],
)
def test_a_post_from_another_site_changes_nothing(site: Site, headers: dict[str, str], reason: str) -> None:
    http = site.signed_in("people/robin")
    token = token_in(http.get("/account").text)
    answer = sign_out(http, token, **headers)
    assert answer.status_code == 403
    assert reason in answer.text
    assert is_signed_in(http)


def test_a_browser_that_says_cross_site_is_believed(site: Site) -> None:
    http = site.signed_in("people/robin")
    token = token_in(http.get("/account").text)
    headers = {**site.own_origin, "sec-fetch-site": "cross-site"}
    assert sign_out(http, token, **headers).status_code == 403
    assert is_signed_in(http)


def test_a_post_without_this_sessions_token_changes_nothing(site: Site) -> None:
    site.person("people/mallory")
    robin, mallory = site.signed_in("people/robin"), site.signed_in("people/mallory")
    foreign = token_in(mallory.get("/account").text)
    for token in ("", "x", foreign):
        assert sign_out(robin, token, **site.own_origin).status_code == 403
    assert is_signed_in(robin)
    assert sign_out(robin, token_in(robin.get("/account").text), **site.own_origin).status_code == 303
    assert not is_signed_in(robin)


def test_a_post_as_something_that_scripts_of_other_sites_can_send_is_refused(site: Site) -> None:
    http = site.signed_in("people/robin")
    token = token_in(http.get("/account").text)
    answer = http.post(
        "/sign-out", content=f"form_token={token}", headers={**site.own_origin, "content-type": "text/plain"}
    )
    assert answer.status_code == 403
    assert is_signed_in(http)


def test_every_post_of_every_page_is_refused_without_origin_and_token(site: Site) -> None:
    """Enumerates the routes: a page that is added without the check fails here."""
    http = site.signed_in("people/robin")
    posts = [page for page in site.pages() if page.method == "POST"]
    assert {page.path for page in posts} >= {"/sign-out", "/sign-in/link/{secret}"}
    for page in posts:
        path = page.path.replace(":path", "").replace("{", "").replace("}", "")
        for headers in ({}, site.own_origin):
            answer = http.post(path, data={"x": "y"}, headers=headers)
            assert answer.status_code == 403, page.path
            assert "Nothing was changed" in answer.text, page.path
        anonymous = site.client().post(path, data={"x": "y"}, headers=site.own_origin)
        assert anonymous.status_code == 403, page.path


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1"]
)
def test_nobody_is_sent_to_another_site_after_signing_in(site: Site, wanted: str) -> None:
    http = site.client()
    link = site.link("people/robin")
    data = {"form_token": token_in(http.get(link).text), "next": wanted}
    answer = http.post(link, data=data, headers=site.own_origin)
    assert answer.headers["location"] == "/"
    assert wanted not in http.get("/sign-in", params={"next": wanted}).text


def test_the_api_does_not_know_the_session(site: Site) -> None:
    http = site.signed_in("people/robin")
    assert http.get("/api/auth/v1/scopes/current").json() == {"scopes": ["assume:anonymous"]}
