"""The client against what a real Bugzilla 5.2 answered, and against answers that are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from liftlock.adapters.bugzilla.answers import feed_page
from liftlock.adapters.bugzilla.client import BugzillaTracker
from liftlock.adapters.bugzilla.key_file import TrackerKey, read_key
from liftlock.domain.pushes.bug_state import BugState, Patch
from liftlock.errors import IsolationUnavailableError
from liftlock.ports.tracker import TrackerAccessError, TrackerUnavailableError

RECORDING = [
    json.loads(line)
    for line in (Path(__file__).parents[3] / "vectors/bugzilla-5.2.jsonl").read_text().splitlines()
]


def recorded(note: str) -> tuple[int, Any]:
    (found,) = [each for each in RECORDING if each["note"] == note]
    return found["status"], found["answer"]


def tracker(answers: dict[str, tuple[int, Any]]) -> BugzillaTracker:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["X-BUGZILLA-API-KEY"] == "key-of-the-bot"
        status, body = answers[request.url.path]
        return (
            httpx2.Response(status, json=body)
            if not isinstance(body, bytes)
            else httpx2.Response(status, content=body)
        )

    return BugzillaTracker(
        "tracker",
        "http://tracker.example",
        TrackerKey("key-of-the-bot"),
        transport=httpx2.MockTransport(answer),
    )


async def test_a_recorded_bug_with_a_review_tools_attachment_is_read_whole() -> None:
    attachments = recorded("after obsoletion")[1]
    client = tracker(
        {"/rest/bug/32": recorded("the bug as the bot"), "/rest/bug/32/attachment": (200, attachments)}
    )
    assert await client.read(32) == BugState(
        keywords=("csectype-uaf", "sec-high"),
        groups=("core-security",),
        status="CONFIRMED",
        patches=(
            Patch(id=12, live=False, kind="patch", flags={"sec-approval": "+"}),
            Patch(id=13, live=True, kind="patch"),
        ),
    )


async def test_the_recorded_feed_is_read_whole() -> None:
    page = await tracker({"/rest/gatefeed": recorded("the prototype feed from the start")}).page(0)
    assert (page.epoch, page.head, page.floor) == ("179521961395a2ec", 227, 1)
    assert [event.seq for event in page.events] == list(range(1, 228))
    last = page.events[-1]
    assert (last.bug, last.why) == (32, "bug:bug_status resolution")
    assert last.state is not None
    assert last.state.patches[-1] == Patch(id=14, live=True, kind="request", flags={"sec-approval": "+"})
    assert (await tracker({"/rest/gatefeed": recorded("the feed at its head")}).page(227)).events == ()


async def test_recorded_refusals_mean_what_they_say() -> None:
    hidden = tracker({"/rest/bug/32": recorded("hidden bug, anonymous")})
    assert await hidden.read(32) == BugState(readable=False)
    assert await tracker({"/rest/bug/99999": recorded("no such bug")}).read(99999) is None
    with pytest.raises(TrackerAccessError, match="answered 401, code 304"):
        await tracker({"/rest/gatefeed": recorded("the feed without the group")}).page(0)
    nothing = tracker({"/rest/bug": recorded("search, anonymous: nothing, no error")})
    assert await nothing.search({"id": "32"}) == ()


async def test_a_recorded_search_lists_bugs_and_times() -> None:
    found = await tracker({"/rest/bug": recorded("changed since")}).changed("2026-11-21T01:56:12Z")
    assert [(each.bug, each.at) for each in found] == [(32, "2026-11-21T01:57:12Z")]
    many = await tracker({"/rest/bug": recorded("search by keyword")}).search({"keywords": "sec-high"})
    assert len(many) == len(recorded("search by keyword")[1]["bugs"]) > 10


async def test_a_snapshot_is_read_page_by_page_with_the_states() -> None:
    state = recorded("the prototype feed from the start")[1]["state"]
    pages = {
        "0": {"next": 5, "state": {"5": state["5"]}},
        "5": {"next": 0, "state": {"32": state["32"], "33": {"gone": True}}},
    }

    def answer(request: httpx2.Request) -> httpx2.Response:
        assert (request.url.path, request.url.params["keywords"]) == ("/rest/gatefeed/snapshot", "sec-high")
        return httpx2.Response(200, json=pages[request.url.params["after"]])

    client = BugzillaTracker(
        "t", "http://t.example", TrackerKey("k" * 8), transport=httpx2.MockTransport(answer)
    )
    found = await client.whole({"keywords": "sec-high", "keywords_type": "anywords"})
    assert found is not None
    assert sorted(found) == [5, 32, 33]
    assert found[32].patches[-1] == Patch(id=14, live=True, kind="request", flags={"sec-approval": "+"})
    assert found[33] == BugState()
    assert await client.whole({"product": "Core"}) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {}), (200, {"state": {"x": {}}, "next": 0}), (503, {}), (200, {"state": [], "next": 0})],
)
async def test_what_is_no_snapshot_is_no_empty_one(status: int, body: object) -> None:
    client = tracker_of_the_bot(status, body)
    with pytest.raises(TrackerUnavailableError):
        await client.whole({"keywords": "sec-high", "keywords_type": "anywords"})


async def test_an_extension_without_snapshots_leaves_searching() -> None:
    client = tracker_of_the_bot(404, {"error": True, "code": 32000})
    assert await client.whole({"keywords": "sec-high", "keywords_type": "anywords"}) is None


def tracker_of_the_bot(status: int, body: object) -> BugzillaTracker:
    return tracker({"/rest/gatefeed/snapshot": (status, body)})


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"bugs": []}', b'{"bugs": [{"id": 33}]}', b'{"bugs": [{"id": 32}]}']
)
async def test_what_is_no_answer_says_nothing_about_a_bug(body: bytes) -> None:
    client = tracker({"/rest/bug/32": (200, body), "/rest/bug/32/attachment": (200, {"bugs": {"32": []}})})
    with pytest.raises(TrackerUnavailableError):
        await client.read(32)


async def test_of_one_flag_given_several_times_a_refusal_goes_first() -> None:
    flags = [{"name": "sec-approval", "status": status} for status in "+-?"]
    attachment = {
        "id": 1,
        "is_obsolete": 0,
        "is_patch": 0,
        "content_type": "text/x-github-request",
        "flags": flags,
    }
    bug = {
        "id": 1,
        "keywords": [],
        "groups": [],
        "status": "NEW",
        "resolution": "",
        "cf_status_beta": "affected",
    }
    client = tracker(
        {
            "/rest/bug/1": (200, {"bugs": [bug]}),
            "/rest/bug/1/attachment": (200, {"bugs": {"1": [attachment]}}),
        }
    )
    state = await client.read(1)
    assert state is not None
    assert state.patches == (Patch(id=1, live=True, kind="request", flags={"sec-approval": "-"}),)
    assert state.status_flags == {"cf_status_beta": "affected"}


@pytest.mark.parametrize("where", ["head", "floor", "seq"])
def test_a_page_with_numbers_that_cannot_be_stored_is_not_understood(where: str) -> None:
    row = {"seq": 2**63 if where == "seq" else 5, "bug": 7, "why": "flag", "at": "now"}
    answer: dict[str, Any] = {"epoch": "e", "head": 5, "floor": 1, "events": [row], "state": {}}
    if where != "seq":
        answer[where] = 2**63
    with pytest.raises(TrackerUnavailableError, match="9223372036854775808"):
        feed_page("tracker", answer)


def test_the_key_is_read_from_a_private_file_and_never_printed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("S3cretS3cret\n")
    path.chmod(0o600)
    key = read_key(path)
    assert key.reveal() == "S3cretS3cret"
    assert "S3cret" not in f"{key!r} {key} {[key]}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text("S3cretS3cret\n")
    path.chmod(mode)
    with pytest.raises(IsolationUnavailableError, match=f"mode {mode:04o}, expected 0600") as raised:
        read_key(path)
    assert "S3cret" not in str(raised.value)


def test_a_link_or_a_file_without_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("two words here\n")
    path.chmod(0o600)
    with pytest.raises(IsolationUnavailableError, match="expected one key of 8 to 512") as raised:
        read_key(path)
    assert "words" not in str(raised.value)
    os.symlink(path, tmp_path / "link")
    with pytest.raises(IsolationUnavailableError, match="link"):
        read_key(tmp_path / "link")
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(IsolationUnavailableError, match="expected a file"):
        read_key(tmp_path / "fifo")
