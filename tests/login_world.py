"""Signing in as a browser does, for tests: identity providers on the loopback, and programs that ask for credentials."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
import taskcluster

from control_plane_server import Served, serve
from fakes.identity_provider_stand_in import CLIENT, SECRET, StandIn, provider
from liftlock.processes.login_file import read_login

VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
BACK = "https://dashboard.example/back"
PARTY_SECRET = "the-program's-secret"
PERSON = "login/corp/subject-1"


def sign_in_file(one: StandIn, other: StandIn) -> str:
    """Return a sign-in file with two providers of OpenID Connect, one of GitHub's kind, and four programs."""
    digest = hashlib.sha256(PARTY_SECRET.encode()).hexdigest()
    parties = "".join(
        f'[[third-party]]\nclient-id = "{name}"\nlabel = "The {name}"\nredirect-uris = ["{BACK}", "{BACK}?x=1"]\n'
        f'scopes = ["hooks:trigger-hook:*", "queue:rerun-task:demo/*"]\nproof = "{proof}"\nlongest-s = 86400\n{more}\n'
        for name, proof, more in (
            ("dashboard", "pkce", ""),
            ("server", "secret", f'secret-sha256 = "{digest}"'),
            ("legacy", "none", ""),
            ("other", "pkce", ""),
        )
    )
    providers = "".join(
        f'[[provider]]\nname = "{name}"\nlabel = "Sign in with {name}"\nkind = "{kind}"\nissuer = "{url}"\napi = "{api}"\n'
        f'client-id = "{CLIENT}"\nclient-secret-file = "provider-secret"\n'
        for name, kind, url, api in (
            ("corp", "oidc", one.url, ""),
            ("rival", "oidc", other.url, ""),
            ("forge", "github", other.url, f"{other.url}/api"),
        )
    )
    return providers + parties


@dataclass(slots=True)
class LoginWorld:
    """A served control plane, two providers, and what the person's role has."""

    served: Served
    corp: StandIn
    rival: StandIn

    @property
    def url(self) -> str:
        return self.served.root_url

    def browser(self) -> requests.Session:
        """Return a browser without cookies."""
        return requests.Session()

    def sign_in(
        self, browser: requests.Session, name: str = "corp", wanted: str = "/account"
    ) -> requests.Response:
        """Follow the whole way; return the page at its end."""
        return browser.get(f"{self.url}/sign-in/with/{name}?{urlencode({'next': wanted})}", timeout=30)

    def way_back(self, browser: requests.Session, name: str = "corp") -> str:
        """Return the address that the provider sends the browser back to, not followed."""
        away = browser.get(f"{self.url}/sign-in/with/{name}", allow_redirects=False, timeout=30)
        assert away.status_code == 303, away.text
        answer = browser.get(away.headers["location"], allow_redirects=False, timeout=30)
        return answer.headers["location"]

    def who(self, browser: requests.Session) -> str | None:
        """Return who is signed in, None if nobody is."""
        page = browser.get(f"{self.url}/account", allow_redirects=False, timeout=30)
        found = re.search(r"<h1>(.*?)</h1>", page.text) if page.status_code == 200 else None
        return None if found is None else html.unescape(found[1])

    def role(self, role_id: str, *scopes: str) -> None:
        """Make a role."""
        taskcluster.Auth(self.served.options).createRole(role_id, {"description": "", "scopes": list(scopes)})

    def ask(self, browser: requests.Session, **changes: str | None) -> requests.Response:
        """Open the consent page; a change to None leaves the option out."""
        given: dict[str, str | None] = {
            "client_id": "dashboard",
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": "hooks:trigger-hook:demo/*",
            "state": "st",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        query = urlencode({name: value for name, value in given.items() if value is not None})
        return browser.get(f"{self.url}/login/oauth/authorize?{query}", allow_redirects=False, timeout=30)

    def answer(self, browser: requests.Session, page: requests.Response, **changes: str) -> requests.Response:
        """Send the consent page's form."""
        fields = dict(re.findall(r'name="(form_token|asked)" value="([^"]*)"', page.text))
        sent = {name: html.unescape(value) for name, value in fields.items()} | {"answer": "grant"} | changes
        return browser.post(
            f"{self.url}/login/oauth/authorize",
            sent,
            headers={"origin": self.url, "sec-fetch-site": "same-origin"},
            allow_redirects=False,
            timeout=30,
        )

    def code(self, browser: requests.Session, **changes: str | None) -> str:
        """Return a code that the person consented to."""
        granted = self.answer(browser, self.ask(browser, **changes))
        assert granted.status_code == 200, granted.text
        return went_to(granted)["code"]

    def redeem(self, code: str, **changes: str) -> requests.Response:
        """Redeem a code as the program does, from a page of another site."""
        form: dict[str, str] = {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": "dashboard",
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            **changes,
        }
        return requests.post(
            f"{self.url}/login/oauth/token", form, headers={"origin": "https://dashboard.example"}, timeout=30
        )

    def credentials(self, bearer: str) -> requests.Response:
        """Get the credentials."""
        return requests.get(
            f"{self.url}/login/oauth/credentials", headers={"authorization": f"Bearer {bearer}"}, timeout=30
        )


def went_to(page: requests.Response) -> dict[str, str]:
    """Return the options of the program's address that a page sends the browser to."""
    found = re.search(r'content="0; url=([^"]*)"', page.text)
    assert found is not None, page.text
    url = html.unescape(found[1])
    assert url.startswith(BACK)
    return dict(parse_qsl(urlsplit(url).query))


@contextmanager
def login_world(tmp_path: Path, dsn: str | None = None) -> Iterator[LoginWorld]:
    """Yield the world."""
    with provider() as corp, provider() as rival:
        (tmp_path / "provider-secret").write_text(f"{SECRET}\n")
        (tmp_path / "sign-in.toml").write_text(sign_in_file(corp, rival))
        with serve(tmp_path, dsn, login=read_login(tmp_path / "sign-in.toml")) as served:
            yield LoginWorld(served, corp, rival)


def scopes_of(world: LoginWorld, made: dict[str, Any]) -> list[str]:
    """Return what credentials may, as the API says."""
    auth = taskcluster.Auth({"rootUrl": world.url, "credentials": dict(made), "maxRetries": 0})
    scopes: list[str] = auth.currentScopes()["scopes"]
    return scopes
