"""Random requests to every route, made from the OpenAPI document: an answer with a code every time, never a 5xx, never a hang."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import taskcluster

import client_methods
from control_plane_server import ROOT, Served, serve
from liftlock.web.validation import SCHEMAS
from program_routes import program_routes
from random_requests import Requests

pytestmark = pytest.mark.process

LIMIT_S = 60.0
"""An answer that takes longer hangs; claims wait 20 s by design, and others share the machine."""
SLOW = "queue.claimWork"
ENDLESS = frozenset({"gate.followTracker"})
"""Streams: what is wrong with a request for one is told as for any other route, and a good one never ends."""
AT_ONCE = 4


def signed(method: str, target: str, netloc: str) -> str:
    """Return the Hawk header of root's request, the body left unsigned as clients do."""
    host, _, port = netloc.partition(":")
    ts, nonce = str(int(time.time())), taskcluster.slugId()[:8]
    text = "\n".join(["hawk.1.header", ts, nonce, method, target, host, port, "", "", ""])
    mac = b64encode(hmac.digest(ROOT.access_token.encode(), text.encode(), hashlib.sha256)).decode()
    return f'Hawk id="{ROOT.client_id}", ts="{ts}", nonce="{nonce}", mac="{mac}"'


def answer_to(netloc: str, method: str, target: str, body: bytes) -> tuple[int, bytes]:
    """Return status and body of the answer to one request of root's; raises TimeoutError when there is none."""
    connection = http.client.HTTPConnection(netloc, timeout=LIMIT_S)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", netloc)
        connection.putheader("Authorization", signed(method, target, netloc))
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        got = connection.getresponse()
        if got.getheader("Content-Type", "").startswith("text/event-stream"):
            return got.status, got.read1(1)  # it lasts: that it began is the answer
        return got.status, got.read()
    finally:
        connection.close()


def problem_with(status: int, body: bytes) -> str | None:
    """Return what is wrong with an answer to a request that may be as bad as it likes."""
    if status == 503 and json.loads(body)["code"] == "StaleSnapshot":
        return None  # documented: roles and clients, which these requests change all the time, changed at every attempt
    if status == 503 and json.loads(body)["code"] == "ReceiverUnavailable":
        return None  # documented: nobody listens to the tracker
    if status >= 500:
        return f"{status}: {body[:300]!r}"
    if status >= 400 and status != 416:
        error = json.loads(body)
        if not (isinstance(error["code"], str) and isinstance(error["message"], str)):
            return f"{status} without a code: {body[:300]!r}"
    return None


def prepare(served: Served) -> None:
    """Make something that good requests are about."""
    bodies = client_methods.bodies()
    queue = taskcluster.Queue(served.options)
    queue.createTask(client_methods.TASK, bodies["queue/create-task-request"])
    taskcluster.Hooks(served.options).createHook("group", "hook", bodies["hooks/create-hook-request"])
    pools = taskcluster.WorkerManager(served.options)
    pools.createWorkerPool(client_methods.POOL, bodies["worker-manager/create-worker-pool-request"])
    pools.createWorker(client_methods.POOL, "g", "w", bodies["worker-manager/create-worker-request"])


def run(served: Served, seed: int, rounds: int, claims: int) -> Counter[int]:
    """Send `rounds` random requests to every operation and return how many answers had which status."""
    netloc = urlsplit(served.root_url).netloc
    made = Requests(requests.get(f"{served.root_url}/openapi.json", timeout=30).json(), seed)
    planned: list[tuple[str, tuple[str, str, bytes]]] = []
    for _ in range(rounds):
        for method, path, operation in made.operations:
            name = operation["operationId"]
            if name in ENDLESS:
                continue
            if name == SLOW and sum(one == SLOW for one, _ in planned) >= claims:
                continue
            planned.append((name, made.one(method, path, operation)))

    def send(planned_one: tuple[str, tuple[str, str, bytes]]) -> tuple[int, str | None]:
        name, request = planned_one
        try:
            status, body = answer_to(netloc, *request)
        except (TimeoutError, http.client.HTTPException, ConnectionError) as error:
            return 0, f"{name} {request!r:.600}: {error!r}"
        wrong = problem_with(status, body)
        return status, wrong and f"{name} {request!r:.600}: {wrong}"

    with ThreadPoolExecutor(AT_ONCE) as threads:
        answers = list(threads.map(send, planned))
    assert [wrong for _, wrong in answers if wrong] == []
    return Counter(status for status, _ in answers)


def seed() -> int:
    """Return 1, or with LIFTLOCK_RANDOM_EXAMPLES another number each time; it is in the message of a failure."""
    return int(time.time()) if "LIFTLOCK_RANDOM_EXAMPLES" in os.environ else 1


def check(tmp_path: Path, dsn: str | None, rounds: int, claims: int) -> None:
    with serve(tmp_path, dsn) as served:
        prepare(served)
        counted = run(served, seed(), rounds, claims)
        assert requests.get(f"{served.root_url}/readyz", timeout=30).status_code == 200
    assert counted[200] + counted[204] > 20 * rounds, f"too few requests were good ones: {counted}"
    assert counted[400] > 20 * rounds, f"too few were bad ones: {counted}"
    assert counted[401] < sum(counted.values()) / 20, f"too few were signed well: {counted}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))])
def database(request: pytest.FixtureRequest) -> str | None:
    """The dsn of an empty PostgreSQL database, or None for SQLite."""
    if request.param == "sqlite":
        return None
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


def test_no_request_to_any_route_breaks_the_server(tmp_path: Path, database: str | None) -> None:
    check(tmp_path, database, rounds=15, claims=2)


@pytest.mark.soak
def test_no_request_to_any_route_breaks_the_server_for_long(tmp_path: Path, database: str | None) -> None:
    check(tmp_path, database, rounds=300, claims=20)


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("GET", "/api/secrets/v1/secret/a%00b", b"", "InvalidRequestArguments"),
        ("GET", "/api/auth/v1/clients/?prefix=%00", b"", "InvalidRequestArguments"),
        ("POST", "/api/auth/v1/scopes/expand", b'{"scopes": ["a\\u0000"]}', "MalformedPayload"),
        ("POST", "/api/hooks/v1/hooks/group/hook/trigger", b'{"a": [{"\\u0000": 1}]}', "MalformedPayload"),
    ],
)
def test_nul_is_refused_before_a_database_sees_it(
    tmp_path: Path, method: str, target: str, body: bytes, code: str
) -> None:
    with serve(tmp_path) as served:
        prepare(served)
        status, answer = answer_to(urlsplit(served.root_url).netloc, method, target, body)
        assert (status, json.loads(answer)["code"]) == (400, code)
        fine = b'{"scopes": ["a\\\\u0000"]}'
        path = "/api/auth/v1/scopes/expand"
        assert answer_to(urlsplit(served.root_url).netloc, "POST", path, fine)[0] == 200


def unbounded(schema: Any, place: str = "") -> Iterator[str]:
    """Yield the places of integers without a least and a greatest value."""
    if isinstance(schema, dict):
        if schema.get("type") == "integer" and not {"minimum", "maximum"} <= schema.keys():
            yield place
        for name, part in schema.items():
            yield from unbounded(part, f"{place}/{name}")
    elif isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from unbounded(part, f"{place}/{number}")


def test_every_integer_that_a_request_brings_has_bounds_that_databases_hold() -> None:
    inputs = sorted({route.input for route in program_routes() if route.input is not None})
    assert len(inputs) > 40
    found = {name: list(unbounded(SCHEMAS[name])) for name in inputs}
    assert {name: places for name, places in found.items() if places} == {}


def test_a_huge_number_is_refused_before_a_database_sees_it(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        netloc = urlsplit(served.root_url).netloc
        for number in ("2147483647", "2147483648", "9223372036854775808", "1" + "0" * 40, "-1", "1e400"):
            body = b'{"expected": %s, "digests": {}}' % number.encode()
            status, answer = answer_to(netloc, "PUT", "/api/configuration/v1/applied/x", body)
            assert status == 400, (number, answer)
            assert json.loads(answer)["code"] in ("InputValidationError", "MalformedPayload")
