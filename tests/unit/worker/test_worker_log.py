"""A run's log: the worker's lines between the task's, its bound, its compressed form, its live copy."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from liftlock.errors import ConflictError, TooLargeError
from liftlock.ports.queue_client import QueueUnavailableError
from liftlock.worker.logs.live import LiveLog
from liftlock.worker.logs.spool import Spool
from liftlock.worker.logs.task_log import TaskLog

T = "[liftlock 2026-01-02T03:04:05.000Z] "


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def log(tmp_path: Path, *secrets: str, max_bytes: int = 1000) -> tuple[TaskLog, Spool]:
    spool = Spool(tmp_path / "log", max_bytes=max_bytes)
    return TaskLog(spool, FixedClock(), secrets=secrets), spool


def text(spool: Spool) -> str:
    return spool.read(0, 1 << 20).decode()


def test_lines_of_the_worker_stand_between_those_of_the_task(tmp_path: Path) -> None:
    lines, spool = log(tmp_path)
    lines.note("one")
    lines.feed(b"a\nb")
    lines.note("two")
    assert text(spool) == f"{T}one\na\nb"
    lines.feed(b"c\n")
    lines.feed(b"d")
    lines.end_stream()
    lines.note("three")
    assert text(spool) == f"{T}one\na\nbc\n{T}two\nd\n{T}three\n"


def test_a_line_of_the_worker_waits_while_half_a_secret_is_held(tmp_path: Path) -> None:
    lines, spool = log(tmp_path, "hunter2secret")
    lines.feed(b"hunter2")
    lines.note("between")
    lines.feed(b"secret\n")
    assert text(spool) == f"[hidden]\n{T}between\n"


def test_colours_of_the_task_do_not_reach_the_workers_lines(tmp_path: Path) -> None:
    lines, spool = log(tmp_path)
    lines.feed(b"\x1b[8mgone")
    lines.end_stream()
    lines.note("seen")
    assert text(spool) == f"\x1b[8mgone\n\x1b[0m{T}seen\n"


def test_what_a_task_puts_into_a_line_of_the_worker_can_not_break_out_of_it(tmp_path: Path) -> None:
    lines, spool = log(tmp_path, "hunter2secret")
    lines.note("artifact 'x\n[liftlock forged]\x1b[2J hunter2secret'")
    assert text(spool) == f"{T}artifact 'x\\n[liftlock forged] [hidden]'\n"


def test_the_log_is_bounded_and_says_so(tmp_path: Path) -> None:
    lines, spool = log(tmp_path, max_bytes=20)
    lines.feed(b"x" * 15)
    lines.feed(b"y" * 100)
    lines.feed(b"z" * 1_000_000)
    lines.end_stream()
    lines.note("the end")
    full = "the log is full at 21 bytes: what the task writes from here on is dropped"
    assert text(spool) == f"{'x' * 15}{'y' * 5}\n{T}{full}\n{T}the end\n"


def test_the_bound_cuts_neither_characters_nor_colours(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a", max_bytes=2)
    spool.write("xäy")
    assert spool.read(0, 10) == b"x"
    spool = Spool(tmp_path / "b", max_bytes=5)
    spool.write("abc\x1b[31mred")
    assert spool.read(0, 10) == b"abc"


async def test_output_is_taken_from_a_pipe_to_its_end(tmp_path: Path) -> None:
    lines, spool = log(tmp_path, max_bytes=1 << 20)
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read, False)
    following = asyncio.create_task(lines.follow(read))
    for _ in range(3):
        os.write(write, b"line\n" * 10)
        await asyncio.sleep(0)
    os.close(write)
    await following
    assert text(spool) == "line\n" * 30


def test_the_packed_log_is_measured_uncompressed_and_always_the_same(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "log", max_bytes=100)
    spool.write("some text\n")
    packed = spool.pack()
    first = packed.path.read_bytes()
    assert gzip.decompress(first) == b"some text\n"
    assert (packed.size, packed.sha256) == (10, hashlib.sha256(b"some text\n").hexdigest())
    assert spool.pack().path.read_bytes() == first


class Receiver:
    """Takes a live log, or does what the next of `moods` says."""

    def __init__(self, *moods: Exception) -> None:
        self.moods = list(moods)
        self.data = b""
        self.refused = 0
        self.called = asyncio.Event()

    async def append(self, offset: int, data: bytes) -> int:
        if self.moods:
            raise self.moods.pop(0)
        assert offset == len(self.data)
        self.data += data
        self.called.set()
        return len(self.data)

    def refuse(self) -> None:
        self.refused += 1


async def test_what_grows_is_sent_in_order_and_again_after_an_outage(tmp_path: Path) -> None:
    spool, receiver = Spool(tmp_path / "log", max_bytes=1 << 24), Receiver(QueueUnavailableError("gone"))
    live = LiveLog(spool, receiver.append, receiver.refuse)
    running = asyncio.create_task(live.run())
    for part in ("one\n", "two\n", "x" * 2_000_000):
        spool.write(part)
        live.grown()
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while len(receiver.data) < spool.size:
            receiver.called.clear()
            await receiver.called.wait()
    assert receiver.data == spool.read(0, 1 << 24)
    running.cancel()


async def test_a_refusal_is_told_once_and_ends_it(tmp_path: Path) -> None:
    spool, receiver = Spool(tmp_path / "log", max_bytes=100), Receiver(ConflictError("over"))
    live = LiveLog(spool, receiver.append, receiver.refuse)
    spool.write("x")
    await asyncio.wait_for(live.run(), 20)
    assert receiver.refused == 1


async def test_a_live_log_that_takes_no_more_ends_quietly(tmp_path: Path) -> None:
    spool, receiver = Spool(tmp_path / "log", max_bytes=100), Receiver(TooLargeError("full"))
    spool.write("x")
    await asyncio.wait_for(LiveLog(spool, receiver.append, receiver.refuse).run(), 20)
    assert receiver.refused == 0
