"""Stored bytes over HTTP: ranges, entity tags, and headers that keep a browser from running anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from liftlock.domain.tasks.artifacts import Content
from liftlock.web.downloads import stored_bytes
from liftlock.web.routing import Reply

DATA = b"0123456789"
PLAIN = Content("b" * 64, len(DATA), "identity", "b" * 64, len(DATA))


async def read(_blob: str, start: int, stop: int) -> AsyncIterator[bytes]:
    yield DATA[start:stop]


def answer(kind: str = "text/plain", content: Content = PLAIN, **headers: str) -> Reply:
    return stored_bytes(
        content, kind, 'public/dir/na"me ü.txt', {n.replace("_", "-"): v for n, v in headers.items()}, read
    )


async def body(reply: Reply) -> bytes:
    assert isinstance(reply.body, AsyncIterator)
    return b"".join([chunk async for chunk in reply.body])


async def test_without_a_range_all_comes() -> None:
    reply = answer()
    assert (reply.status, reply.headers["content-length"], await body(reply)) == (200, "10", DATA)


@pytest.mark.parametrize(
    ("asked", "said", "got"),
    [
        ("bytes=0-0", "bytes 0-0/10", b"0"),
        ("bytes=3-5", "bytes 3-5/10", b"345"),
        ("bytes=7-", "bytes 7-9/10", b"789"),
        ("bytes=7-99", "bytes 7-9/10", b"789"),
        ("bytes=-2", "bytes 8-9/10", b"89"),
        ("bytes=-99", "bytes 0-9/10", DATA),
    ],
)
async def test_one_range_is_answered(asked: str, said: str, got: bytes) -> None:
    reply = answer(range=asked)
    assert (reply.status, reply.headers["content-range"], await body(reply)) == (206, said, got)
    assert reply.headers["content-length"] == str(len(got))


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_beyond_the_end_can_not_be_satisfied(asked: str) -> None:
    reply = answer(range=asked)
    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */10")


@pytest.mark.parametrize(
    "asked", ["bytes=-", "bytes=5-3", "bytes=a-b", "bytes=0-1,3-4", "lines=0-1", "bytes=0-1\n"]
)
def test_what_is_no_single_range_is_disregarded(asked: str) -> None:
    assert answer(range=asked).status == 200


def test_a_range_of_other_bytes_is_not_mixed_in() -> None:
    assert answer(range="bytes=0-1", if_range='"other"').status == 200
    assert answer(range="bytes=0-1", if_range=f'"{PLAIN.blob}"').status == 206


def test_who_has_the_bytes_gets_none() -> None:
    reply = answer(if_none_match=f'"{PLAIN.blob}"')
    assert (reply.status, reply.body) == (304, None)


def test_the_encoding_of_the_upload_is_said_again() -> None:
    packed = Content("b" * 64, 10, "gzip", "c" * 64, 99)
    assert answer(content=packed).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in answer().headers


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/octet-stream"])
def test_what_a_browser_might_run_is_a_download_under_a_safe_name(kind: str) -> None:
    shown = answer(kind=kind).headers["content-disposition"]
    assert shown == "attachment; filename*=UTF-8''na%22me%20%C3%BC.txt"
    assert "content-disposition" not in answer().headers


def test_every_answer_forbids_guessing_framing_and_scripts() -> None:
    headers = answer().headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; sandbox"
