"""The control plane's connection to gated: what is no answer becomes an error that says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liftlock.adapters.gate_desk.operator_socket import NoGate, OperatorSocket
from liftlock.errors import InputInvalidError, ReceiverUnavailableError

pytestmark = pytest.mark.process


@contextlib.asynccontextmanager
async def answering(folder: Path, line: bytes) -> AsyncIterator[list[bytes]]:
    """Serve `line` to everybody who asks; yield what was asked."""
    asked: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(line)
        writer.close()

    server = await asyncio.start_unix_server(connected, folder / "operator.sock")
    async with server:
        yield asked


async def test_an_answer_is_returned_and_fields_without_a_value_are_left_out(tmp_path: Path) -> None:
    async with answering(tmp_path, b'{"ok": {"bugs": []}}\n') as asked:
        assert await OperatorSocket(tmp_path).ask("explain", repository="x", bug=7, message=None) == {
            "bugs": []
        }
    assert asked == [b'{"do":"explain","repository":"x","bug":7}\n']


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", "closed the connection"),
        (b"nonsense\n", "gated's answer"),
        (b"[1]\n", "it answered something else"),
        (b'{"ok": 1}\n', "it answered something else"),
        (
            b'{"error": {"code": "InsufficientScopes", "message": "uid 7 is no operator"}}\n',
            "uid 7 is no operator",
        ),
        (b"\xff\xfe\n", "gated's answer"),
    ],
)
async def test_what_is_no_answer_of_gated_is_said_so(tmp_path: Path, line: bytes, text: str) -> None:
    async with answering(tmp_path, line):
        with pytest.raises(ReceiverUnavailableError, match=text):
            await OperatorSocket(tmp_path).ask("status")


async def test_what_gated_cannot_read_is_the_askers_error(tmp_path: Path) -> None:
    async with answering(tmp_path, b'{"error": {"code": "InputError", "message": "bug: too large"}}\n'):
        with pytest.raises(InputInvalidError, match="bug: too large"):
            await OperatorSocket(tmp_path).ask("explain")


async def test_no_socket_and_no_gate_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ReceiverUnavailableError, match="gated does not answer at"):
        await OperatorSocket(tmp_path).ask("status")
    with pytest.raises(ReceiverUnavailableError, match="--gate-run DIR"):
        await NoGate().ask("status")
