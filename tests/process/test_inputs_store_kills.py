"""The worker's store under many writers at a time, and killed in mid-write: whole files or none (B8)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.certified_signer import CertifiedSigner, produced
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.inputs.policy import parse_policy
from worker_world import world

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


def archive(content: bytes) -> bytes:
    """A tar with one file `x`."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        member = tarfile.TarInfo("x")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


async def test_trees_give_way_by_quota_but_never_under_a_running_task(tmp_path: Path) -> None:
    """Each tree alone is over the quota: what no run holds goes when the next one comes."""
    maker = "Qt3GMzT0Qq2rIcp0oYl9sA"
    contents = {f"public/{number}.tar": archive(os.urandom(100_000)) for number in range(3)}

    def reading(number: int, script: str) -> dict[str, object]:
        mount = {"path": "/inputs/t", "unpack": True}
        one = {"name": "t", "task": {"id": maker, "artifact": f"public/{number}.tar"}, "mount": mount}
        return {"command": ["sh", "-ec", script], "inputs": [one]}

    async with world(tmp_path, slots=2, policy=parse_policy("tree-bytes = 1000")) as worker:
        worker.queue.others = produced(CertifiedSigner(), maker, contents)
        wait = "echo up; for i in $(seq 200); do test -s /inputs/t/x || exit 3; sleep 0.02; done"
        running = worker.add(reading(0, wait))
        while b"up" not in worker.queue.live:  # noqa: ASYNC110 -- the fake has no event for it
            await asyncio.sleep(0.02)
        for number in (1, 2):
            assert (await worker.run(reading(number, "test -s /inputs/t/x")))[1] == "completed"
        assert len(list((worker.machine.store / "trees").iterdir())) == 2, (
            "that of the running task, and the last"
        )
        assert await worker.resolved(running) == "completed"
