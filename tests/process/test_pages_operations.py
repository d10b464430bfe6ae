"""Operations in the browser: the list, one with what is frozen, approvals by passkey and by session, and asking (C1, C7)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from control_plane_server import serve
from liftlock.domain.approvals.passkeys import Passkey, verify_passkey
from liftlock.domain.approvals.people import parse_approvers
from liftlock.ports.operation_store import OperationRecord
from operations_data import VERSION, OperationData, operations_file
from pages_data import Data, fill
from pages_world import PHONE, Site, violations
from passkeys import HeldPasskey, authenticator, url_base64

pytestmark = pytest.mark.process
READ = ("liftlock:list-operations", "liftlock:approve:*", "queue:get-task:*", "queue:status:*")
AS_ROBIN = ("-c", "user.name=Robin", "-c", "user.email=robin@example.org")
MORGAN = HeldPasskey.make("morgan")
SIGNED = {"description": "Build widget and publish it", "input": VERSION, "approvals": {"need": 2}}
SESSIONS = {
    "description": "Run the formatter",
    "approvals": {"need": 2, "acceptSessions": True, "voidOnMove": False},
}
GADGET = {"description": "Pin gadget's versions", "project": "gadget", "refs": ["main"], "input": VERSION}


def approvers(origin: str) -> dict[str, Any]:
    """Return the approvers: morgan and robin have passkeys, alex has none."""
    held = {"morgan": [MORGAN.entry(origin)], "robin": [HeldPasskey.make("robin").entry(origin)], "alex": []}
    return {
        name: {"clients": [f"people/{name}"], "operations": ["*"], "keys": {"webauthn": keys}}
        for name, keys in held.items()
    }


def file_for(origin: str) -> str:
    return operations_file(
        approvers(origin), publish_widget=SIGNED, format_widget=SESSIONS, pin_gadget=GADGET
    )


class Full(Site):
    """The pages by the name `localhost`, for which passkeys are; `records` by what they are for."""

    records: dict[str, OperationRecord]

    @property
    def url(self) -> str:
        return self.served.root_url.replace("127.0.0.1", "localhost")

    def link(self, client_id: str) -> str:
        return super().link(client_id).replace("127.0.0.1", "localhost")

    def shown(self, name: str) -> dict[str, Any]:
        """Return the operation as the API has it."""
        api = self.api()
        found: dict[str, Any] = api.get("operations", "operation", self.records[name].operation_id)
        api.close()
        return found


async def some_operations(data: Data) -> dict[str, OperationRecord]:
    await data.project()
    await data.push()
    made = OperationData(data, file_for("http://localhost:1"))
    before = {"input": {"version": "4.11"}, "files": {"dist/widget-4.11-py3-none-any.whl": 47_000}}
    return {
        "done": await made.make("publish-widget", "done", **before),
        "passkey": await made.make("publish-widget", "waiting"),
        "own": await made.make("publish-widget", "waiting", requester="people/morgan"),
        "session": await made.make("format-widget", "waiting", input={}),
        "forged": await made.make("format-widget", "waiting", input={}),
        "voided": await made.make("format-widget", "voided", input={}),
    }


def repository(folder: Path) -> Path:
    """Return a bare repository with one commit on main."""
    bare, clone = folder / "gadget.git", folder / "gadget"
    for words in (
        ["init", "--quiet", "--bare", "-b", "main", str(bare)],
        ["clone", "--quiet", str(bare), str(clone)],
        ["-C", str(clone), *AS_ROBIN, "commit", "--quiet", "--allow-empty", "-m", "Begin"],
        ["-C", str(clone), "push", "--quiet", "origin", "HEAD:main"],
    ):
        subprocess.run(["git", *words], check=True, capture_output=True)
    return bare


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Full]:
    directory: Path = tmp_path_factory.mktemp("operations")
    records = fill(directory, some_operations)
    bare = repository(tmp_path_factory.mktemp("repository"))
    with serve(
        directory, at=lambda root: {"operations": file_for(root.replace("127.0.0.1", "localhost"))}
    ) as running:
        made = Full(running)
        made.records = records
        api = made.api()
        project = {
            "identityUrl": "https://github.com/demo/gadget",
            "fetchUrl": str(bare),
            "level": 1,
            "branches": ["*"],
            "trustDomain": "demo",
            "decideExisting": True,
        }
        api.put("pushes", "project", "gadget", payload=project)
        api.close()
        create = ["queue:create-task:low:local/unprivileged", "queue:create-task:project:none"]
        scopes = [*create, "queue:scheduler-id:liftlock-operations", "pushes:get-source:gadget"]
        made.auth.createRole("hook-id:liftlock-operations/pin-gadget", {"description": "", "scopes": scopes})
        for name in ("morgan", "robin", "alex"):
            made.person(f"people/{name}", *READ, "liftlock:request:*")
        made.person("people/kim", "liftlock:list-operations")
        yield made
        made.close()


def test_the_list_says_what_can_be_asked_for_and_what_was(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/kim", "/operations")
    expect(page.get_by_role("region", name="Operations").locator("tbody tr")).to_have_count(6)
    expect(page.locator(".asks")).to_contain_text("needs 2 approvals")
    expect(page.locator(".asks .tag.warn").first).to_have_text("not yours to ask for")
    assert violations(page) == []
    page.get_by_label("State").select_option("voided")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("region", name="Operations").locator("tbody tr")).to_have_count(1)
    page.locator("body").press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_text("main has moved")).to_be_visible()


def test_c7_an_approval_is_a_passkeys_signature_over_exactly_what_is_frozen(
    full: Full, browser: Browser
) -> None:
    record = full.records["passkey"]
    page = full.visit(browser, "people/morgan", f"/operations/{record.operation_id}")
    authenticator(page, MORGAN)
    expect(page.locator(".digest").first).to_have_text(f"sha256:{record.digest}")
    changes = page.get_by_role("region", name="Differences")
    expect(changes).to_contain_text("input.version")
    expect(changes.locator("del", has_text="4.11").first).to_be_visible()
    expect(changes).to_contain_text("files: dist/widget-4.12-py3-none-any.whl")
    assert violations(page) == []
    page.get_by_label("Why").fill("Read the changes, built it again")
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.locator("#approvals")).to_contain_text("1 of 2")
    expect(page.locator(".words")).to_contain_text("Read the changes, built it again")
    expect(page.locator(".words")).to_contain_text("passkey")
    [said] = full.shown("passkey")["approvals"]
    assert (said["approver"], said["method"], said["digest"]) == ("morgan", "webauthn", record.digest)
    assert full.shown("passkey")["tally"]["approved"] == [
        {"approver": "morgan", "key": url_base64(MORGAN.identity)}
    ]
    page.get_by_label("Why").fill("again")
    page.get_by_role("button", name="Approve with a passkey").click()
    expect(page.get_by_text("morgan has spoken on")).to_be_visible()


def test_c7_approving_oneself_is_shown_disabled_with_the_reason(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/morgan", f"/operations/{full.records['own'].operation_id}")
    expect(page.get_by_text("nobody approves themselves").first).to_be_visible()
    expect(page.get_by_role("button", name="Approve as morgan")).to_be_disabled()
    assert page.locator("form.say").count() == 0
    assert violations(page) == []


def test_who_is_no_approver_sees_the_request_and_that(full: Full, browser: Browser) -> None:
    page = full.visit(
        browser,
        "people/kim",
        f"/operations/{full.records['own'].operation_id}",
        viewport=PHONE,
        color_scheme="dark",
    )
    expect(page.get_by_text("people/kim is no approver's client")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


def test_a_session_approves_without_scripts_where_the_operation_accepts_that(
    full: Full, browser: Browser
) -> None:
    record = full.records["session"]
    page = full.visit(browser, "people/alex", f"/operations/{record.operation_id}", java_script_enabled=False)
    page.get_by_label("Why").fill("It is only white space")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator("#approvals")).to_contain_text("1 of 2")
    expect(page.locator(".words")).to_contain_text("session alone: no signature")


def test_an_operation_is_rejected_and_the_page_follows(full: Full, browser: Browser) -> None:
    record = full.records["forged"]
    page = full.visit(browser, "people/kim", f"/operations/{record.operation_id}")
    other = full.visit(browser, "people/alex", f"/operations/{record.operation_id}")
    other.get_by_label("Why").fill("Not before the freeze ends")
    other.get_by_role("button", name="Reject", exact=True).click()
    expect(page.locator("#operation .state").first).to_have_text("rejected")
    expect(page.locator(".words")).to_contain_text("Not before the freeze ends")


def test_asking_fills_a_form_confirms_and_starts_stage_one(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/robin", "/operations")
    page.get_by_role("link", name="pin-gadget").click()
    expect(page.get_by_label("Index")).to_have_count(0)
    page.get_by_label("Version").fill("one")
    assert violations(page) == []
    page.get_by_role("button", name="See what will happen").click()
    expect(page.get_by_role("alert")).to_contain_text("input.version")
    page.get_by_label("Version").fill("4.13")
    page.get_by_role("button", name="See what will happen").click()
    expect(page.locator(".confirm")).to_contain_text("python3 build.py")
    expect(page.locator(".confirm")).to_contain_text("people/robin")
    assert violations(page) == []
    page.get_by_role("button", name="Ask for it now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("pin-gadget")
    expect(page.locator("#operation")).to_contain_text("people/robin")
    page.get_by_role("button", name="Cancel this operation").click()
    expect(page.locator("#operation .state").first).to_have_text("cancelled")


def test_a_passkey_that_the_page_makes_signs_approvals(full: Full, browser: Browser) -> None:
    page = full.visit(browser, "people/alex", "/passkey")
    authenticator(page)
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.locator("#passkey-line")).to_contain_text("credentialId")
    assert violations(page) == []
    line = json.loads(page.locator("#passkey-line").inner_text())
    entry = {"clients": ["people/alex"], "operations": ["*"], "keys": {"webauthn": [line]}}
    [passkey] = parse_approvers({"alex": entry})["alex"].keys.webauthn
    assert passkey == Passkey(line["credentialId"], line["publicKey"], "localhost", full.url)
    page.goto("/operations")
    assertion = page.evaluate(
        """async (id) => {
          const raw = Uint8Array.from(atob(id.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
          const made = await navigator.credentials.get({ publicKey: { challenge: new Uint8Array(32).fill(7),
            rpId: "localhost", userVerification: "required", allowCredentials: [{ type: "public-key", id: raw }] } });
          return JSON.stringify(made.toJSON());
        }""",
        line["credentialId"],
    )
    assert verify_passkey([passkey], assertion, bytes([7] * 32)) == line["credentialId"]
