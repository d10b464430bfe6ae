"""The worker's store under many writers at a time, and killed in mid-write: whole files or none (B8)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy

pytestmark = pytest.mark.process

WRITER = """
import asyncio, sys
from pathlib import Path
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy

async def chunks(number):
    for _ in range(64):
        yield bytes((number % 251,)) * 4096
        await asyncio.sleep(0)

async def main():
    store = FileInputStore(Path(sys.argv[1]), SystemEntropy())
    number = 0
    print("ready", flush=True)
    while True:
        await asyncio.gather(*[store.add(chunks(number + n), what="x", max_bytes=1 << 20) for n in range(4)])
        number += 4

asyncio.run(main())
"""


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]
        await asyncio.sleep(0)


async def test_the_same_bytes_from_many_runs_at_a_time_are_one_blob(tmp_path: Path) -> None:
    store = FileInputStore(tmp_path, SystemEntropy())
    content = os.urandom(200_000)
    blobs = await asyncio.gather(
        *[store.add(chunks(content), what="x", max_bytes=1 << 20) for _ in range(20)]
    )
    assert len({blob.path for blob in blobs}) == 1
    assert [path.name for path in (tmp_path / "blobs/sha256").iterdir()] == [
        hashlib.sha256(content).hexdigest()
    ]
    assert await store.verified(blobs[0].sha256) == blobs[0]


def test_a_worker_killed_in_mid_write_leaves_whole_blobs_and_nothing_else(tmp_path: Path) -> None:
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-P", "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            while not any((tmp_path / "incoming").iterdir()):
                assert writer.poll() is None
            writer.send_signal(signal.SIGKILL)
        for blob in (tmp_path / "blobs/sha256").iterdir():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    FileInputStore(tmp_path, SystemEntropy())
    assert list((tmp_path / "incoming").iterdir()) == []
