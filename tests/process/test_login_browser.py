"""Signing in by a provider, and a dashboard of another origin that gets credentials, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from fakes.dashboard_stand_in import dashboard
from fakes.identity_provider_stand_in import CLIENT, SECRET, provider
from liftlock.processes.login_file import read_login
from login_world import PERSON
from pages_world import Site, violations

pytestmark = pytest.mark.process


@dataclass(frozen=True, slots=True)
class Scene:
    """A control plane with one provider, and a dashboard."""

    site: Site
    dashboard: str


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with provider() as corp, dashboard("treeherder") as (address, told):
        (tmp_path / "sign-in.toml").write_text(f"""
            [[provider]]
            name = "corp"
            label = "Sign in with Corp"
            issuer = "{corp.url}"
            client-id = "{CLIENT}"
            client-secret = "{SECRET}"

            [[third-party]]
            client-id = "treeherder"
            label = "Treeherder"
            redirect-uris = ["{address}/back"]
            scopes = ["hooks:trigger-hook:*"]
            """)
        with serve(tmp_path, login=read_login(tmp_path / "sign-in.toml")) as served:
            told["root"] = served.root_url
            site = Site(served)
            role = {"description": "", "scopes": ["hooks:trigger-hook:demo/*"]}
            site.auth.createRole("login-group:corp/developers", role)
            yield Scene(site, address)
            site.close()


def test_a_dashboard_of_another_origin_gets_what_the_person_consents_to(
    scene: Scene, browser: Browser
) -> None:
    page = scene.site.visit(browser, path=scene.dashboard)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="Sign in with Corp").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Let Treeherder act for you?")
    expect(page.get_by_role("main")).to_contain_text("for 3 d")
    expect(page.locator(".scopes")).to_have_text("hooks:trigger-hook:demo/*")
    assert violations(page) == []
    page.get_by_role("button", name="No").click()
    expect(page.locator("#said")).to_have_text("access_denied")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Let it act for me").click()
    expect(page.locator("#said")).to_contain_text("clientId")
    made = json.loads(page.locator("#said").inner_text())
    assert made["credentials"]["clientId"].startswith(f"{PERSON}/treeherder-")
    kept = scene.site.auth.client(made["credentials"]["clientId"])
    assert kept["scopes"] == ["hooks:trigger-hook:demo/*"]
