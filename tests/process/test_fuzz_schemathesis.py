"""schemathesis makes requests out of the published OpenAPI document; none breaks the server, and answers are as published (E6)."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from schemathesis import GenerationMode
from schemathesis.checks import content_type_conformance, not_a_server_error, response_schema_conformance
from test_fuzz_routes import ENDLESS, LIMIT_S, SLOW, prepare, problem_with, seed, signed

from control_plane_server import Served, serve

pytestmark = pytest.mark.process
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
"""What schemathesis itself holds an answer to."""
DOCUMENTED = (503,)
"""Refusals that are documented, which `problem_with` looks at more closely."""


class Hawk(requests.auth.AuthBase):
    """Signs as root."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        netloc = urlsplit(request.url or "").netloc
        request.headers["Authorization"] = signed(request.method or "", request.path_url, netloc)
        return request


def operations(served: Served) -> list[Any]:
    """Return what schemathesis makes of each operation of the document, but for the two that wait by design."""
    document = requests.get(f"{served.root_url}/openapi.json", timeout=30).json()
    schema = schemathesis.openapi.from_dict(document)
    found = [one.ok() for one in schema.get_all_operations()]
    assert len(found) > 180
    return [one for one in found if one.definition.raw["operationId"] not in (*ENDLESS, SLOW)]


def attack(
    served: Served, operation: Any, mode: GenerationMode, count: int, session: requests.Session
) -> Counter[int]:
    """Send `count` requests of the mode to one operation; return how many answers had which status."""
    answers: Counter[int] = Counter()

    @seeded(seed())
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        answer = case.call(base_url=served.root_url, session=session, auth=Hawk(), timeout=LIMIT_S)
        answers[answer.status_code] += 1
        assert problem_with(answer.status_code, answer.content) is None, case.as_curl_command()
        if answer.status_code not in DOCUMENTED:
            case.validate_response(answer, checks=CHECKS)

    send()
    return answers


def modes(operation: Any) -> list[GenerationMode]:
    """Return POSITIVE, and NEGATIVE where a schema can be violated: any text is a path, and any text an option."""
    violable = any(body.media_type == "application/json" for body in operation.body)
    return [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if violable else [])]


def check(tmp_path: Path, dsn: str | None, count: int, operations_at_most: int) -> None:
    """Attack that many operations with `count` requests of each mode."""
    total: Counter[int] = Counter()
    with serve(tmp_path, dsn) as served, requests.Session() as session:
        prepare(served)
        known = operations(served)
        random.Random(seed()).shuffle(known)
        for operation in known[:operations_at_most]:
            for mode in modes(operation):
                total += attack(served, operation, mode, count, session)
        assert requests.get(f"{served.root_url}/readyz", timeout=30).status_code == 200
    assert total[200] + total[204] > operations_at_most / 5, f"too few requests were good ones: {total}"
    assert total[400] > operations_at_most / 5, f"too few were bad ones: {total}"


def test_what_schemathesis_makes_of_some_operations_breaks_none(tmp_path: Path) -> None:
    check(tmp_path, None, count=2, operations_at_most=24)


@pytest.mark.soak
@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))]
)
def test_what_schemathesis_makes_of_all_operations_breaks_none(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    dsn = request.getfixturevalue("postgres_dsn") if database == "postgresql" else None
    check(tmp_path, dsn, count=20, operations_at_most=1000)
