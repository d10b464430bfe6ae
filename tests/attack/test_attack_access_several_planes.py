"""What one control plane has taken is no news to another one, nor after a restart; and `/api` takes no cookie from anybody."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import requests
import taskcluster

from control_plane_server import ROOT, Served, serve
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request
from pages_world import Site
from program_routes import program_routes

pytestmark = pytest.mark.process
ADDRESS = "https://lift.example/api/auth/v1/roles/captured"
BODY = json.dumps({"description": "", "scopes": ["x"]}).encode()


def captured() -> str:
    """Return the header of a request of root's that writes, for an address in front of all control planes."""
    who = Credentials(ROOT.client_id, ROOT.access_token)
    return sign_request(who, "PUT", ADDRESS, ts=int(time.time()), nonce="captured")


def sent_to(served: Served, header: str, method: str = "PUT") -> tuple[int, str]:
    """Send the very same bytes to a control plane, as a proxy in front does; return status and code or role."""
    connection = http.client.HTTPConnection(urlsplit(served.root_url).netloc, timeout=30)
    headers = {"Host": "lift.example", "X-Forwarded-Proto": "https", "Authorization": header}
    connection.request(method, urlsplit(ADDRESS).path, BODY, {**headers, "Content-Type": "application/json"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return answer.status, said.get("code") or said["roleId"]


def forget(served: Served) -> None:
    """Delete what the request made, so that it would take effect again."""
    taskcluster.Auth(served.options).deleteRole("captured")


def roles(served: Served) -> list[str]:
    found: list[str] = taskcluster.Auth(served.options).listRoleIds()["roleIds"]
    return found


@pytest.mark.xdist_group("postgresql")
def test_a_request_that_one_control_plane_took_is_a_replay_to_another_one(
    tmp_path: Path, postgres_dsn: str
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    with serve(one, postgres_dsn) as first:
        other.mkdir()
        shutil.copy2(one / "keys.json", other)
        with serve(other, postgres_dsn) as second:
            header = captured()
            assert sent_to(first, header) == (200, "captured")
            forget(second)
            for again in (second, first):
                assert sent_to(again, header) == (401, "AuthenticationFailed")
            assert roles(second) == []


def test_a_request_is_a_replay_after_a_restart_too(tmp_path: Path) -> None:
    header = captured()
    with serve(tmp_path) as running:
        assert sent_to(running, header) == (200, "captured")
        forget(running)
    with serve(tmp_path) as running:
        assert sent_to(running, header) == (401, "AuthenticationFailed")
        assert roles(running) == []


def test_no_route_of_the_api_takes_a_cookie_for_credentials(tmp_path: Path) -> None:
    """Any page may call the API (its CORS is `*`): if it read the pages' cookie, any page could act for who is signed in."""
    with serve(tmp_path) as served:
        site = Site(served)
        try:
            site.person("people/robin", "*")
            person = site.signed_in("people/robin")
            assert person.get("/account").status_code == 200, "the session is good"
            cookies = dict(person.cookies.items())
        finally:
            site.close()
        # The log's first checkpoint is made within a second: afterwards the same question has the same answer.
        deadline = time.monotonic() + 20
        while requests.get(f"{served.root_url}/api/audit/v1/checkpoint", timeout=30).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        answers = {}
        for cookie in (cookies, {}):
            with requests.Session() as session:
                answers[bool(cookie)] = {
                    f"{route.service}.{route.name}": anonymous(served, session, route.method, path, cookie)
                    for route in program_routes()
                    for path in [
                        f"/api/{route.service}/v1{quote(route.path.replace('<', '').replace('>', ''))}"
                    ]
                }
        assert answers[True] == answers[False]
        refused = [status for status in answers[True].values() if status == 403]
        assert len(refused) > 60, "too few routes were asked for something that needs scopes"
        found = requests.get(f"{served.root_url}/api/auth/v1/scopes/current", cookies=cookies, timeout=30)
        assert found.json() == {"scopes": ["assume:anonymous"]}


def anonymous(
    served: Served, session: requests.Session, method: str, path: str, cookies: dict[str, str]
) -> int:
    """Return the status of a request without a Hawk header; the answer must set no cookie, nor be for who has one."""
    with session.request(
        method, served.root_url + path, cookies=cookies, json={}, timeout=60, stream=True
    ) as answer:
        assert "set-cookie" not in answer.headers
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        return answer.status_code
