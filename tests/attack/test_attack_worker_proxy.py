"""A5, B6: a hostile task at the API proxy, against a real control plane: its own scopes, the API, and nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import slugid
import taskcluster

from control_plane_server import WORKER, Served, serve
from liftlock.adapters.queue_http.client import HttpQueueClient
from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.credentials.signing import sign_request
from task_builders import document
from worker_world import world

pytestmark = pytest.mark.process

CLIENT = """
import http.client, json, os, socket, urllib.parse
host, port = urllib.parse.urlsplit(os.environ["TASKCLUSTER_PROXY_URL"]).netloc.split(":")
task, run = os.environ["TASK_ID"], os.environ["RUN_ID"]
def call(method, path, body=None, **headers):
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())
def raw(data):
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(data); connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
def tell(*what): print("SAID " + json.dumps(what))
"""


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Served]:
    with serve(tmp_path) as running:
        yield running


class Tasks:
    def __init__(self, served: Served) -> None:
        self.queue = taskcluster.Queue(served.options)  # type: ignore[attr-defined]
        self.served = served
        self.log = ""

    async def run(self, program: str, *scopes: str) -> tuple[list[Any], dict[str, Any]]:
        """Run Python in a task with `scopes`; return what it told and the inputs manifest."""
        return await asyncio.to_thread(self._run, program, scopes)

    def _run(self, program: str, scopes: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
        task_id = slugid.nice()
        payload = {
            "command": ["python3", "-I", "-c", CLIENT + program],
            "maxRunTime": 60,
            "features": {"taskclusterProxy": True},
        }
        self.queue.createTask(task_id, document(datetime.now(UTC), payload=payload, scopes=list(scopes)))
        deadline = time.monotonic() + 60
        while (status := self.queue.status(task_id)["status"])["state"] in ("pending", "running"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        log = self._artifact(task_id, "public/logs/live.log")
        assert status["state"] == "completed", log
        self.log = log
        told = [
            json.loads(line.removeprefix("SAID ")) for line in log.splitlines() if line.startswith("SAID ")
        ]
        return told, json.loads(self._artifact(task_id, "public/inputs.json"))

    def _artifact(self, task_id: str, name: str) -> str:
        url = self.queue.buildSignedUrl("getLatestArtifact", task_id, name)
        return requests.get(url, timeout=20).text


@asynccontextmanager
async def worker(served: Served, tmp_path: Path) -> AsyncIterator[Tasks]:
    http = SignedHttp(served.root_url, SystemClock(), SystemEntropy())
    queue = HttpQueueClient(http, Credentials(WORKER.client_id, WORKER.access_token))
    async with world(tmp_path, queue=queue):  # type: ignore[arg-type]
        yield Tasks(served)
    await http.close()


async def test_a_task_has_its_own_scopes_and_not_those_of_its_run(control: Served, tmp_path: Path) -> None:
    program = """
tell(json.loads(call("GET", "/api/auth/v1/scopes/current")[1])["scopes"])
for path in (f"/api/queue/v1/task/{task}/runs/{run}/reclaim", f"/api/queue/v1/task/{task}/runs/{run}/completed",
             "/api/queue/v1/task/" + task + "/cancel"):
    tell(call("POST", path)[0])
tell(call("POST", f"/api/queue/v1/task/{task}/runs/{run}/artifacts/public%2Fx",
          {"storageType": "error", "reason": "file-missing-on-worker", "message": "x", "expires": "2026-12-01T00:00:00.000Z"})[0])
"""
    async with worker(control, tmp_path) as tasks:
        told, _ = await tasks.run(program, "a:b", "c:*")
    assert told == [[["a:b", "assume:anonymous", "c:*"]], [403], [403], [403], [403]]


async def test_a_task_without_scopes_has_none(control: Served, tmp_path: Path) -> None:
    async with worker(control, tmp_path) as tasks:
        told, _ = await tasks.run('tell(json.loads(call("GET", "/api/auth/v1/scopes/current")[1])["scopes"])')
    assert told == [[["assume:anonymous"]]]


async def test_credentials_that_the_task_sends_are_not_passed_on(control: Served, tmp_path: Path) -> None:
    """With credentials that it stole or made up it still acts as itself."""
    root = control.options["credentials"]
    assert isinstance(root, dict)
    stolen = sign_request(
        Credentials(root["clientId"], root["accessToken"]),
        "GET",
        f"{control.root_url}/api/auth/v1/scopes/current",
        ts=int(datetime.now(UTC).timestamp()),
        nonce="abcdef",
    )
    program = f"""
for headers in ({{"Authorization": {stolen!r}}}, {{"authorization": "Bearer x"}}, {{"Cookie": "a=b", "X-Forwarded-Port": "1", "X-Forwarded-Host": "evil"}}):
    tell(json.loads(call("GET", "/api/auth/v1/scopes/current", **headers)[1])["scopes"])
"""
    async with worker(control, tmp_path) as tasks:
        told, _ = await tasks.run(program)
    assert told == [[["assume:anonymous"]]] * 3


async def test_nothing_but_the_api_is_reached_and_every_attempt_is_recorded(
    control: Served, tmp_path: Path
) -> None:
    paths = [
        "/",
        "/login",
        "/metrics",
        "/api/auth/v1/../../../metrics",
        "/api/auth/v1/%2e%2e/x",
        "//evil.example/api/auth/v1/ping",
    ]
    program = f"""
for path in {paths!r}:
    tell(call("GET", path)[0])
tell(raw(b"CONNECT 127.0.0.1:22 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n").split("\\r\\n")[0])
tell(raw(b"GET http://evil.example/api/auth/v1/ping HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n").split("\\r\\n")[0])
tell(call("GET", "/api/auth/v1/ping")[0])
"""
    async with worker(control, tmp_path) as tasks:
        told, manifest = await tasks.run(program)
    assert told[:6] == [[403]] * 6
    assert told[6][0].startswith(("HTTP/1.1 405", "HTTP/1.1 400"))
    assert told[7][0].startswith("HTTP/1.1 403")
    assert told[8] == [200]
    assert [one["path"] for one in manifest["network"]["refused"]][:6] == paths
    assert len(manifest["network"]["refused"]) == 8


async def test_a_second_request_can_not_be_smuggled_in_the_first(control: Served, tmp_path: Path) -> None:
    program = """
inner = b"GET /api/auth/v1/scopes/current HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Hawk id=x\\r\\n\\r\\n"
head = b"POST /api/auth/v1/scopes/expand HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n"
for extra in (b"Content-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
              b"Content-Length: 0\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(inner),
              b"Transfer-Encoding: \\x0bchunked\\r\\n\\r\\n0\\r\\n\\r\\n",
              b"Transfer-Encoding: chunked\\r\\nTransfer-Encoding: identity\\r\\n\\r\\n0\\r\\n\\r\\n"):
    tell(raw(head + extra + inner).count("HTTP/1.1 "))
"""
    async with worker(control, tmp_path) as tasks:
        told, _ = await tasks.run(program)
    assert all(count <= 1 for [count] in told), told


async def test_the_control_plane_itself_is_not_reachable(control: Served, tmp_path: Path) -> None:
    program = """
target = urllib.parse.urlsplit(os.environ["TASKCLUSTER_ROOT_URL"])
try:
    socket.create_connection((target.hostname, target.port), 5)
    tell("connected")
except OSError as error:
    tell("refused")
"""
    async with worker(control, tmp_path) as tasks:
        told, _ = await tasks.run(program)
    assert told == [["refused"]]


async def test_a_redirect_leads_back_to_the_proxy_and_its_bytes_are_true(
    control: Served, tmp_path: Path
) -> None:
    program = """
status, body, headers = call("GET", f"/api/queue/v1/task/{task}/runs/{run}/artifacts/public%2Flogs%2Flive.log")
tell(status)
os.makedirs("out", exist_ok=True)
"""
    follow = """
import sys
source = %r
status, body, headers = call("GET", f"/api/queue/v1/task/{source}/artifacts/public%%2Finputs.json")
url = json.loads(body)["url"]
tell(status, url.startswith(os.environ["TASKCLUSTER_PROXY_URL"]), headers["location"] == url)
tell(json.loads(call("GET", url.removeprefix(os.environ["TASKCLUSTER_PROXY_URL"]))[1])["taskId"] == source)
"""
    async with worker(control, tmp_path) as tasks:
        first = slugid.nice()

        def create() -> None:
            payload = {"command": ["true"], "maxRunTime": 60}
            tasks.queue.createTask(first, document(datetime.now(UTC), payload=payload))

        await asyncio.to_thread(create)
        await tasks.run(program)
        told, _ = await tasks.run(follow % first, "queue:get-artifact:public/*")
    assert told == [[303, True, True], [True]]


async def test_what_the_secrets_service_gives_does_not_reach_the_log(control: Served, tmp_path: Path) -> None:
    secrets = taskcluster.Secrets(control.options)  # type: ignore[attr-defined]
    await asyncio.to_thread(
        secrets.set,
        "project/x",
        {"secret": {"key": "very-secret-value"}, "expires": "2099-01-01T00:00:00.000Z"},
    )
    program = """
key = json.loads(call("GET", "/api/secrets/v1/secret/project%2Fx")[1])["secret"]["key"]
tell(len(key), key)
"""
    async with worker(control, tmp_path) as tasks:
        told, _ = await tasks.run(program, "secrets:get:project/x")
    assert told == [[17, "[hidden]"]]


async def test_a_secret_does_not_reach_the_log_as_json_or_python_write_it(
    control: Served, tmp_path: Path
) -> None:
    secrets = taskcluster.Secrets(control.options)  # type: ignore[attr-defined]
    given = {"key": 'quo"ted\\back/slash\nünïcode', "pin": 987654321}
    await asyncio.to_thread(
        secrets.set, "project/x", {"secret": given, "expires": "2099-01-01T00:00:00.000Z"}
    )
    program = """
status, body, _ = call("GET", "/api/secrets/v1/secret/project%2Fx")
said = json.loads(body)
key, pin = said["secret"]["key"], said["secret"]["pin"]
tell(json.loads(json.dumps("expires " + said["expires"][:4])))
for shown in (body, json.dumps(said), json.dumps(said, ensure_ascii=False), repr(said), str(pin), ascii(key)):
    print("SHOWN", shown)
"""
    async with worker(control, tmp_path) as tasks:
        told, _ = await tasks.run(program, "secrets:get:project/x")
        log = tasks.log
    assert told == [["expires 2099"]]
    shown = [line for line in log.splitlines() if line.startswith("SHOWN ")]
    assert len(shown) == 6
    for line in shown:
        assert "[hidden]" in line
        assert not [piece for piece in ("quo", "ted", "slash", "code", "987654321") if piece in line]
