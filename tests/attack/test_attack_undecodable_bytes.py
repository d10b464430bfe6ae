"""Bytes that a decoder chokes on in an unusual way: text that is no UTF-8, nesting without end. Each is refused as malformed."""

from __future__ import annotations

import asyncio
import os
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import requests

from control_plane_server import serve
from fakes.counted_entropy import CountedEntropy
from liftlock.adapters.gate_link.unix_socket import UnixGateLink
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.queue_http.signed_http import error_of
from liftlock.adapters.sandbox import protocol
from liftlock.adapters.sandbox.launch import _field
from liftlock.adapters.sandbox.launcher import Launcher, _unpacked
from liftlock.domain.credentials.certificates import parse_extension
from liftlock.domain.inputs.oci import read_saved
from liftlock.domain.inputs.package_lock import parse_package_lock
from liftlock.domain.provenance.evidence import read_bundle
from liftlock.domain.provenance.keys import UntrustedError
from liftlock.domain.provenance.published import parse_published
from liftlock.domain.pushes.ringing import parse_left_ring
from liftlock.errors import (
    AuthenticationFailedError,
    InputInvalidError,
    InputValidationError,
    MalformedPayloadError,
    SandboxFailedError,
    StorageError,
)
from liftlock.values.json import decode, decode_as
from liftlock.values.packets import unpack_as
from liftlock.worker.journal import Journal
from liftlock.worker.proxy.rewriting import rewritten_json

NO_UTF8 = b'{"a": "\xff\xfe"}'
NO_UTF8_KEY = b'{"\xff": 1}'
DEEP = b"[" * 100_000
HOSTILE = pytest.mark.parametrize("data", [NO_UTF8, NO_UTF8_KEY, DEEP], ids=["text", "key", "deep"])


@HOSTILE
def test_json_and_packets_of_any_kind_are_malformed_and_nothing_else(data: bytes) -> None:
    with pytest.raises(MalformedPayloadError, match="body: "):
        decode(data)
    for kind in (dict[str, str], list[Any], Any, protocol.RequestPacket):
        with pytest.raises(MalformedPayloadError, match="it: "):
            decode_as(data, kind, what="it")
    for packed in (b"\x81\xa1a\xa2\xff\xfe", b"\x81\xa1\xff\x01", b"\x91" * 100_000):
        with pytest.raises(MalformedPayloadError, match="it: "):
            unpack_as(packed, Any, what="it")


def test_text_that_cannot_be_encoded_is_malformed() -> None:
    with pytest.raises(MalformedPayloadError):
        decode('"\ud800"')


@pytest.mark.parametrize(
    ("read", "error", "shaped"),
    [
        (parse_left_ring, InputInvalidError, b'{"project": "?"}'),
        (
            lambda data: parse_package_lock(data, what="lock"),
            InputValidationError,
            b'{"lockfileVersion": "?"}',
        ),
        (read_saved, InputValidationError, b'[{"Config": "?", "Layers": ["l"]}]'),
        (read_bundle, UntrustedError, b'{"format": "?"}'),
        (parse_published, UntrustedError, b'{"format": "?"}'),
        (
            lambda data: parse_extension(b64encode(data).decode()),
            AuthenticationFailedError,
            b'{"certificate": "?"}',
        ),
    ],
    ids=["ring", "package lock", "saved image", "bundle", "published keys", "ext"],
)
def test_documents_of_strangers_are_refused_as_what_they_are(
    read: Callable[[bytes], object], error: type[Exception], shaped: bytes
) -> None:
    for data in (shaped.replace(b"?", b"\xff\xfe"), NO_UTF8, NO_UTF8_KEY, DEEP):
        with pytest.raises(error):
            read(data)


@HOSTILE
def test_an_answer_that_is_no_json_is_passed_on_or_named_by_its_status(data: bytes) -> None:
    assert rewritten_json(data + b"http://lift.example", "http://lift.example", "http://in") == (
        data + b"http://lift.example"
    )
    assert error_of("GET", "http://lift.example/x", 404, data).code == "ResourceNotFound"


@pytest.mark.parametrize("data", [b'{"task_id": "\xff\xfe"}', NO_UTF8_KEY, DEEP], ids=["text", "key", "deep"])
def test_a_damaged_claim_is_dropped_and_ends_no_worker(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x-0.claim").write_bytes(data)
    assert Journal(tmp_path).entries() == ()
    assert list(tmp_path.iterdir()) == []


@HOSTILE
def test_a_damaged_key_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(StorageError, match=r"keys\.json"):
        KeyFileSealer.open(path, CountedEntropy())


@pytest.mark.parametrize("data", [b'{"type": "\xff\xfe"}', NO_UTF8_KEY, DEEP], ids=["text", "key", "deep"])
async def test_a_line_from_a_broken_gate_ends_its_link_only(data: bytes) -> None:
    reader = asyncio.StreamReader(limit=1 << 20)
    reader.feed_data(data + b"\n")
    link = UnixGateLink(reader, cast("asyncio.StreamWriter", None))
    with pytest.raises(StorageError, match="link to the gate"):
        await link.receive()


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield ends
    for end in ends:
        end.close()


@pytest.mark.parametrize(
    ("receive", "packet"),
    [
        (
            protocol.receive_request,
            protocol.RequestPacket(1, protocol.ListFiles(0, 1, "BAD-TEXT", max_entries=1)),
        ),
        (protocol.receive_reply, protocol.ReplyPacket(1, protocol.Failed("BAD-TEXT"))),
    ],
    ids=["request", "reply"],
)
@pytest.mark.parametrize(
    "bad", [b"\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc", b"\x91" * 8], ids=["text", "continuation"]
)
def test_a_packet_that_cannot_be_read_ends_neither_launcher_nor_worker(
    channel: tuple[socket.socket, socket.socket],
    receive: Callable[[socket.socket], object],
    packet: protocol.RequestPacket | protocol.ReplyPacket,
    bad: bytes,
) -> None:
    packed = msgspec.msgpack.encode(packet).replace(b"BAD-TEXT", bad)
    assert bad in packed
    memory = os.memfd_create("packet")
    os.write(memory, packed)
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(channel[0], [b"p"], [memory, memory])
    with pytest.raises(SandboxFailedError, match="malformed"):
        receive(channel[1])
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(memory)


def test_a_launcher_answers_on_after_a_request_that_cannot_be_read(
    channel: tuple[socket.socket, socket.socket],
) -> None:
    worker, theirs = channel
    unused: Any = None
    launcher = Launcher(
        theirs, program=unused, view=unused, host=unused, disk=unused, slots=(), store=unused, caches=unused
    )
    memory = os.memfd_create("packet")
    os.write(memory, b"\xff" * 20)
    socket.send_fds(worker, [b"p"], [memory])
    worker.send(b"p")
    os.close(memory)
    protocol.send(worker, protocol.RequestPacket(7, protocol.Kill(99, "no such sandbox")))
    assert [launcher._answer() for _ in range(3)] == [True] * 3
    replies = [protocol.receive_reply(worker) for _ in range(3)]
    packets = [reply[0] for reply in replies if reply is not None]
    assert [packet.number for packet in packets] == [0, 0, 7]
    assert [type(packet.body) for packet in packets[:2]] == [protocol.Failed] * 2
    worker.shutdown(socket.SHUT_RDWR)
    assert launcher._answer() is False


def test_what_runs_in_a_sandbox_says_no_number_by_bad_bytes() -> None:
    assert _field(b'{"exit-code": 3}', "exit-code") == 3
    assert [_field(data, "exit-code") for data in (NO_UTF8, NO_UTF8_KEY, DEEP)] == [None] * 3


def test_a_chore_that_answers_in_bad_bytes_has_failed() -> None:
    assert _unpacked(b"\x92\x01\x02", tuple[int, int]) == (1, 2)
    for result in (None, b"", b"\xa1\xff", b"\x91\x01", b"\x91" * 100_000):
        assert _unpacked(result, tuple[int, int]) is None
    assert _unpacked(b"\xa1\xff", str) is None


@pytest.mark.process
def test_a_body_that_is_no_utf8_is_a_malformed_payload_over_http(tmp_path: Path) -> None:
    with serve(tmp_path) as control:
        for data in (NO_UTF8, NO_UTF8_KEY, DEEP):
            answer = requests.post(
                f"{control.root_url}/api/pushes/v1/doorbell/widget",
                data=data,
                headers={"content-type": "application/json"},
                timeout=30,
            )
            assert (answer.status_code, answer.json()["code"]) == (400, "MalformedPayload"), answer.text
