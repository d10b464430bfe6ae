"""Which requests of a task are forwarded, and what of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.worker.proxy.admission import MAX_BODY_BYTES, Admitted, Refusal, admit, returned
from liftlock.worker.proxy.rewriting import rewritten_address, rewritten_headers, rewritten_json, secret_texts

ROOT, INSIDE = "http://control.example:8080", "http://127.0.0.1:8073"


def ask(target: bytes, *headers: tuple[bytes, bytes], method: bytes = b"GET") -> Admitted | Refusal:
    return admit(method, target, headers)


@pytest.mark.parametrize(
    "target",
    [
        b"/api/queue/v1/task/Qt3GMzT0Qq2rIcp0oYl9sA",
        b"/api/queue/v1/task/x/artifacts/public%2Fa%2Fb.json",
        b"/api/index/v1/task/a.b.c?limit=1",
        b"/api/worker-manager/v1/",
        b"/schemas/queue/v1/task.json",
        b"/references/queue/v1/api.json",
    ],
)
def test_the_api_is_forwarded_byte_for_byte(target: bytes) -> None:
    admitted = ask(target)
    assert isinstance(admitted, Admitted)
    assert admitted.target == target


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/login",
        b"/metrics",
        b"/api",
        b"/api/",
        b"/api/queue",
        b"/api/queue/v1",
        b"/api//queue/v1/x",
        b"/api/queue/v1//x",
        b"/api/queue/v1/../../../login",
        b"/api/queue/v1/%2e%2E/login",
        b"/api/queue/v1/.%2e/x",
        b"/api/queue/v1/./x",
        b"/api/../login",
        b"/%61pi/queue/v1/x",
        b"/API/queue/v1/x",
        b"http://control.example/api/queue/v1/x",
        b"http://evil.example/api/queue/v1/x",
        b"//evil.example/api/queue/v1/x",
        b"/api/queue/v1/x#y",
        b"/api/queue/v1/a b",
        b"/api/queue/v1/\\..\\x",
        b"/api/queue/v1/\xc3\xa4",
        b"/api/queue/v1/a\r\nHost: x",
        b"evil.example:443",
        b"*",
        b"",
    ],
)
def test_everything_else_stays_here(target: bytes) -> None:
    refused = ask(target)
    assert isinstance(refused, Refusal)
    assert refused.status == 403


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"OPTIONS", b"get", b"PROPFIND"])
def test_only_the_apis_methods_are_forwarded(method: bytes) -> None:
    assert ask(b"/api/queue/v1/ping", method=method) == Refusal(405, "this method is not forwarded")


def test_credentials_and_cookies_of_the_task_stay_here() -> None:
    said = [
        (b"authorization", b"Hawk id=root"),
        (b"cookie", b"a=b"),
        (b"proxy-authorization", b"x"),
        (b"host", b"evil.example"),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-forwarded-port", b"1"),
        (b"forwarded", b"host=evil"),
        (b"connection", b"content-type"),
        (b"upgrade", b"websocket"),
        (b"te", b"trailers"),
        (b"expect", b"100-continue"),
        (b"accept-encoding", b"gzip"),
        (b"content-type", b"application/json"),
        (b"range", b"bytes=1-2"),
    ]
    admitted = ask(b"/api/queue/v1/ping", *said)
    assert isinstance(admitted, Admitted)
    assert admitted.headers == (
        (b"content-type", b"application/json"),
        (b"range", b"bytes=1-2"),
        (b"accept-encoding", b"identity"),
    )


def test_a_body_has_one_length() -> None:
    both = ask(b"/api/queue/v1/x", (b"content-length", b"3"), (b"transfer-encoding", b"chunked"))
    assert both == Refusal(400, "both Content-Length and Transfer-Encoding")
    assert isinstance(ask(b"/api/queue/v1/x", (b"content-length", b"3"), (b"content-length", b"4")), Refusal)
    assert isinstance(ask(b"/api/queue/v1/x", (b"content-length", b"+3")), Refusal)
    assert isinstance(ask(b"/api/queue/v1/x", (b"content-length", str(MAX_BODY_BYTES + 1).encode())), Refusal)
    exact = ask(b"/api/queue/v1/x", (b"content-length", str(MAX_BODY_BYTES).encode()))
    assert isinstance(exact, Admitted)
    assert exact.length == MAX_BODY_BYTES
    chunked = ask(b"/api/queue/v1/x", (b"transfer-encoding", b"chunked"))
    assert isinstance(chunked, Admitted)
    assert chunked.length is None


def test_a_link_that_carries_its_own_credentials_is_not_signed() -> None:
    link, plain = ask(b"/api/queue/v1/x?a=1&bewit=abc"), ask(b"/api/queue/v1/x?xbewit=abc")
    assert isinstance(link, Admitted)
    assert isinstance(plain, Admitted)
    assert (link.signed, plain.signed) == (False, True)


@given(st.binary(max_size=60).map(lambda tail: b"/api/queue/v1/" + tail))
def test_whatever_is_forwarded_is_printable_and_below_the_service(target: bytes) -> None:
    admitted = ask(target)
    if isinstance(admitted, Admitted):
        assert admitted.target.startswith(b"/api/queue/v1/")
        assert all(0x21 <= byte <= 0x7E for byte in admitted.target)


def test_cookies_and_connection_headers_of_the_answer_stay_here() -> None:
    said = [
        (b"Set-Cookie", b"a=b"),
        (b"Transfer-Encoding", b"chunked"),
        (b"ETag", b'"x"'),
        (b"Connection", b"close"),
    ]
    assert returned(said) == [(b"etag", b'"x"')]


def test_addresses_of_the_control_plane_lead_to_the_proxy() -> None:
    assert rewritten_address(f"{ROOT}/api/x?a=b", ROOT, INSIDE) == f"{INSIDE}/api/x?a=b"
    assert rewritten_address(ROOT, ROOT, INSIDE) == INSIDE
    for other in (f"{ROOT}.evil.example/x", f"{ROOT}0/x", "https://elsewhere.example/", f"{ROOT}@evil/"):
        assert rewritten_address(other, ROOT, INSIDE) == other
    headers = [(b"location", f"{ROOT}/a".encode()), (b"etag", ROOT.encode())]
    assert rewritten_headers(headers, ROOT, INSIDE) == [
        (b"location", f"{INSIDE}/a".encode()),
        (b"etag", ROOT.encode()),
    ]


def test_only_the_address_fields_of_an_answer_are_rewritten() -> None:
    content = f'{{"url":"{ROOT}/a","x":"{ROOT}/b","n":{{"url":"{ROOT}/c"}}}}'.encode()
    assert rewritten_json(content, ROOT, INSIDE) == content.replace(
        f'"{ROOT}/a"'.encode(), f'"{INSIDE}/a"'.encode()
    )
    for untouched in (
        b'{"url": "https://elsewhere/"}',
        f'["{ROOT}"]'.encode(),
        f"no json {ROOT}".encode(),
        b"",
    ):
        assert rewritten_json(untouched, ROOT, INSIDE) == untouched


def test_texts_and_long_numbers_of_a_secret_are_found_at_any_depth() -> None:
    secret = b'{"key": "long-enough", "n": [1, 12345, {"a": "another-one", "pin": 123456}, -7.5, 1234567.0, true, null]}'
    assert sorted(secret_texts(b'{"secret": ' + secret + b"}")) == [
        "123456",
        "1234567",
        "1234567.0",
        "another-one",
        "long-enough",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"no json",
        b'{"secret": "\xff\xff\xff\xff\xff\xff\xff"}',
        b'{"secret": ' + b"[" * 5000,
        b'["secret-in-a-list"]',
        b'{"secrets": ["project/some-name"]}',
    ],
)
def test_what_is_no_answer_with_a_secret_holds_none(content: bytes) -> None:
    assert secret_texts(content) == []


def test_when_a_secret_expires_is_no_secret() -> None:
    said = b'{"secret": {"key": "very-secret"}, "expires": "2099-01-01T00:00:00.000Z"}'
    assert secret_texts(said) == ["very-secret"]
