"""A served control plane as browsers see it: people who are signed in, pushes and tasks to look at, axe-core's verdict."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
import httpx2
import taskcluster
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from control_plane_server import Served
from liftlock.cli.client import Api
from liftlock.cli.profiles import Profile

AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"
expect.set_options(timeout=40_000)  # the machine may be busy
FAR = "2036-01-01T00:00:00Z"
PHONE = {"width": 390, "height": 780}
DESKTOP = {"width": 1360, "height": 860}


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Yield the system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Site:
    """The pages of `served`."""

    served: Served
    contexts: list[BrowserContext] = field(default_factory=list)
    clients: list[httpx2.Client] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    root: Api | None = None

    @property
    def url(self) -> str:
        """The root URL."""
        return self.served.root_url

    @property
    def auth(self) -> Any:
        """The auth service as root."""
        return taskcluster.Auth(self.served.options)

    @property
    def queue(self) -> Any:
        """The queue as root."""
        return taskcluster.Queue(self.served.options)

    def api(self) -> Api:
        """Return the API as root."""
        who: Any = self.served.options["credentials"]
        return Api(Profile(self.url, who["clientId"], who["accessToken"], None))

    def person(self, client_id: str, *scopes: str) -> str:
        """Make a client; return its id."""
        self.auth.createClient(client_id, {"description": "", "expires": FAR, "scopes": list(scopes)})
        return client_id

    def link(self, client_id: str) -> str:
        """Return a one-time link."""
        if self.root is None:
            self.root = self.api()
        made: dict[str, str] = self.root.post("auth", "clients", client_id, "sign-in-link", payload={})
        return made["url"]

    def signed_in(self, client_id: str) -> httpx2.Client:
        """Return an HTTP client that holds a session of `client_id`, without a browser."""
        http = self.client()
        link = self.link(client_id)
        answer = http.post(link, data={"form_token": token_in(http.get(link).text)}, headers=self.own_origin)
        assert answer.status_code == 303, answer.text
        return http

    def client(self, **options: Any) -> httpx2.Client:
        """Return an HTTP client that holds nothing yet; `close` closes it. It reads no certificates: that takes long."""
        made = httpx2.Client(base_url=self.url, verify=False, **options)
        self.clients.append(made)
        return made

    @property
    def own_origin(self) -> dict[str, str]:
        """The header that a browser sends with a form of this site."""
        return {"origin": self.url}

    def pages(self) -> tuple[Any, ...]:
        """Return every page that the control plane has, as it was wired."""
        return self.served.plane.site.pages

    def visit(self, browser: Browser, client_id: str | None = None, path: str = "/", **options: Any) -> Page:
        """Return a browser's page at `path`, signed in as `client_id`; a script that fails there fails the test."""
        context = browser.new_context(base_url=self.url, **({"viewport": DESKTOP} | options))
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(40_000)
        page.on("pageerror", lambda error: self.failures.append(str(error)))
        page.on(
            "console",
            lambda said: (
                self.failures.append(said.text)
                if said.type == "error" and "status of 4" not in said.text
                else None
            ),
        )
        if client_id is not None:
            page.goto(self.link(client_id))
            page.get_by_role("button", name="Sign in as").click()
        page.goto(path)
        return page

    def close(self) -> None:
        """Close all pages; fails if a script did."""
        for one in (*self.contexts, *self.clients, *((self.root,) if self.root else ())):
            one.close()
        assert self.failures == []


def token_in(html: str) -> str:
    """Return the token of a form in the page."""
    found = re.search(r'name="form_token" value="([^"]+)"', html)
    assert found is not None, html
    return found[1]


def violations(page: Page) -> list[str]:
    """Return what axe-core (WCAG 2.2 A and AA, and best practices) finds wrong with the page, one line each."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for one in found["violations"]
        for node in one["nodes"]
    ]
