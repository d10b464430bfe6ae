"""What is sent to webhooks is signed as the specification says, and tried again with growing pauses for a day."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from liftlock.domain.events.delivering import (
    KEPT_FOR,
    check_url,
    next_attempt,
    secret_text,
    signature,
    wait_after,
    webhook_id,
)
from liftlock.errors import InputInvalidError, RequestArgumentsError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_signature_covers_id_time_and_body() -> None:
    headers = signature(b"k" * 32, "hook:7", NOW, b"{}")
    mac = hmac.new(b"k" * 32, b"hook:7.1772366400.{}", hashlib.sha256).digest()
    assert headers == {
        "webhook-id": "hook:7",
        "webhook-timestamp": "1772366400",
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
    for changed in (
        signature(b"k" * 32, "hook:8", NOW, b"{}"),
        signature(b"k" * 32, "hook:7", NOW + timedelta(seconds=1), b"{}"),
        signature(b"k" * 32, "hook:7", NOW, b"{ }"),
        signature(b"l" * 32, "hook:7", NOW, b"{}"),
    ):
        assert changed["webhook-signature"] != headers["webhook-signature"]


def test_a_secret_is_shown_in_the_form_of_the_specification() -> None:
    assert secret_text(b"k" * 32) == "whsec_a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="


def test_pauses_double_up_to_ten_minutes() -> None:
    seconds = [wait_after(n).total_seconds() for n in (1, 2, 3, 9, 10, 11, 1000)]
    assert seconds == [2, 4, 8, 512, 600, 600, 600]


def test_an_event_is_given_up_when_its_next_attempt_would_come_after_a_day() -> None:
    assert next_attempt(NOW, 1, NOW + KEPT_FOR - timedelta(seconds=2)) == NOW + KEPT_FOR
    assert next_attempt(NOW, 1, NOW + KEPT_FOR - timedelta(seconds=1)) is None


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "https://",
        "https://user:pass@example.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com/\r\nx: y",
        "https://ex\u00e4mple.com/",
        "file:///etc/passwd",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_an_address_that_is_no_plain_one_is_refused(url: str) -> None:
    with pytest.raises(InputInvalidError, match=r"url: expected http\(s\)://host"):
        check_url(url)


def test_plain_addresses_are_taken() -> None:
    assert check_url("https://example.com:8443/hook?token=1") == "https://example.com:8443/hook?token=1"
    assert check_url("http://[2001:db8::1]/") == "http://[2001:db8::1]/"


def test_ids_of_webhooks_are_paths_of_plain_words() -> None:
    assert webhook_id("team/dashboard_1") == "team/dashboard_1"
    for bad in ("", "/a", "a/", "a//b", "a/b/c/d/e", "ä", "a b", "a\n"):
        with pytest.raises(RequestArgumentsError, match="webhookId: expected one to four parts"):
            webhook_id(bad)
