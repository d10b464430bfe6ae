"""Approvals by page: none for another digest, by another person, without a signature, or for oneself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from control_plane_server import serve
from liftlock.ports.operation_store import OperationRecord
from operations_data import OperationData, operations_file
from pages_data import Data, fill
from pages_world import Site, token_in
from passkeys import HeldPasskey

pytestmark = pytest.mark.process
PEOPLE = {
    name: {
        "clients": [f"people/{name}"],
        "operations": ["*"],
        "keys": {"webauthn": [HeldPasskey.make(name).entry("http://localhost:1")]},
    }
    for name in ("morgan", "robin")
}
FILE = operations_file(
    PEOPLE, publish_widget={}, format_widget={"approvals": {"need": 2, "acceptSessions": True}}
)


class Full(Site):
    """The pages with operations that wait; robin asked for them."""

    records: dict[str, OperationRecord]

    def said(self, name: str) -> list[dict[str, Any]]:
        """Return what was said on the operation."""
        api = self.api()
        found: list[dict[str, Any]] = api.get("operations", "operation", self.records[name].operation_id)[
            "approvals"
        ]
        api.close()
        return found

    def say(self, http: httpx2.Client, name: str, **changes: str) -> httpx2.Response:
        """Send the form of an approval."""
        record = self.records[name]
        fields = {
            "form_token": token_in(http.get("/account").text),
            "verdict": "approve",
            "digest": record.digest or "",
            "approver": "morgan",
            "reason": "looks good",
            "method": "control-plane-attested",
            **changes,
        }
        return http.post(f"/operations/{record.operation_id}/say", data=fields, headers=self.own_origin)


async def waiting(data: Data) -> dict[str, OperationRecord]:
    await data.project()
    await data.push()
    made = OperationData(data, FILE)
    return {
        "signed": await made.make("publish-widget", "waiting"),
        "session": await made.make("format-widget", "waiting"),
    }


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    directory: Path = tmp_path_factory.mktemp("approvals")
    records = fill(directory, waiting)
    with serve(directory, operations=FILE) as running:
        made = Full(running)
        made.records = records
        for name in ("morgan", "robin"):
            made.person(f"people/{name}", "liftlock:list-operations", "liftlock:approve:*")
        made.person("people/kim", "liftlock:list-operations")
        yield made
        made.close()


def test_a_session_approves_nothing_that_needs_a_signature(full: Full) -> None:
    answer = full.say(full.signed_in("people/morgan"), "signed")
    assert answer.status_code == 403
    assert "this operation counts signatures only" in answer.text
    assert full.said("signed") == []


def test_a_page_that_shows_another_digest_approves_nothing(full: Full) -> None:
    answer = full.say(full.signed_in("people/morgan"), "session", digest="0" * 64)
    assert answer.status_code == 409
    assert "look at it again" in answer.text
    assert full.said("session") == []


def test_nobody_approves_by_page_in_anothers_name_or_for_himself(full: Full) -> None:
    robin = full.signed_in("people/robin")
    for approver in ("morgan", "robin"):
        answer = full.say(robin, "session", approver=approver)
        assert answer.status_code == 403, approver
    assert full.say(full.signed_in("people/kim"), "session").status_code == 403
    assert full.said("session") == []


@pytest.mark.parametrize("proof", ["", "{}", '{"id": "x"}', "[1]", "\x00"])
def test_a_forged_assertion_is_refused_with_a_message(full: Full, proof: str) -> None:
    answer = full.say(full.signed_in("people/morgan"), "signed", method="webauthn", signature=proof)
    assert answer.status_code == 403
    assert "signature" in answer.text
    assert full.said("signed") == []


def test_what_a_requester_wrote_is_text_on_the_approvers_page(full: Full) -> None:
    http = full.signed_in("people/morgan")
    hostile = '"><script>alert(1)</script>'
    answer = full.say(http, "session", reason=hostile)
    assert answer.status_code == 303
    shown = http.get(f"/operations/{full.records['session'].operation_id}").text
    assert "<script>alert(1)" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
