"""What stands on the wire: heads, bodies and the end of the connection, byte by byte."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from control_plane_server import serve

pytestmark = pytest.mark.process

PING = "/api/auth/v1/ping"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("served")
    with serve(folder) as served:
        yield urlsplit(served.root_url).port or 0


def exchange(port: int, *requests: str) -> bytes:
    """Send the requests at once and return all that comes until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall("".join(f"{request}\r\nHost: h\r\n\r\n" for request in requests).encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


CLOSE = "\r\nConnection: close"


def test_an_answer_has_its_length_its_kind_and_says_that_the_connection_ends(port: int) -> None:
    head, _, body = exchange(port, f"GET {PING} HTTP/1.1{CLOSE}").partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert b"content-length: %d" % len(body) in lines
    assert b"content-type: application/json; charset=utf-8" in lines
    assert b"connection: close" in lines
    assert b"cache-control: no-store" in lines
    assert sum(line.startswith(b"date: ") for line in lines) == 1
    assert body.startswith(b'{"alive":true')


def test_an_old_client_gets_its_answer_and_the_end_of_the_connection(port: int) -> None:
    assert exchange(port, f"GET {PING} HTTP/1.0").startswith(b"HTTP/1.1 200 OK\r\n")


def test_head_has_the_length_of_the_body_and_no_body(port: int) -> None:
    head, _, body = exchange(port, f"HEAD {PING} HTTP/1.1{CLOSE}").partition(b"\r\n\r\n")
    assert body == b""
    [length] = [line for line in head.split(b"\r\n") if line.startswith(b"content-length: ")]
    assert int(length[16:]) > 10


def test_an_answer_without_content_has_no_length(port: int) -> None:
    answer = exchange(port, f"OPTIONS {PING} HTTP/1.1{CLOSE}")
    assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"content-length" not in answer
    assert answer.endswith(b"\r\n\r\n")


def test_an_error_is_an_answer_like_others(port: int) -> None:
    head, _, body = exchange(port, f"GET /api/auth/v1/clients HTTP/1.1{CLOSE}").partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    missing, _, told = exchange(port, f"GET /api/auth/v1/nothing HTTP/1.1{CLOSE}").partition(b"\r\n\r\n")
    assert missing.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b'"code":"ResourceNotFound"' in told


def test_requests_sent_ahead_are_answered_in_their_order(port: int) -> None:
    answers = exchange(
        port, f"GET {PING} HTTP/1.1", f"OPTIONS {PING} HTTP/1.1", f"GET /api/auth/v1/nothing HTTP/1.1{CLOSE}"
    )
    statuses = [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"204", b"404"]
