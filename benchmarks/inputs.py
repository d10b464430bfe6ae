"""What verified inputs cost: verification while downloading, a cached tree, a sandbox with listeners, a second task.

`.venv/bin/python -m benchmarks.inputs` as root or as an ordinary user; prints one line a figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from hostile_server import hostile_server
from liftlock.adapters.downloads.addresses import Addresses
from liftlock.adapters.downloads.client import HttpDownloader
from liftlock.adapters.store_files.measuring import Measuring
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.ports.sandbox import Bind, Listener
from sandboxes import KINDS, Machine, machine

MIB = 1 << 20
DOWNLOAD_MIB = 256
TREE_MIB = 1024
ROUNDS = 15


async def main() -> None:
    """Measure and print everything."""
    with tempfile.TemporaryDirectory(prefix="liftlock-bench-", dir="/var/tmp") as folder:
        await verification(Path(folder))
    async with machine(KINDS[0]) as here:
        await launches(here)
        await tree(here)


async def verification(folder: Path) -> None:
    """Verifying while the bytes arrive, against one pass of `openssl dgst -sha256` over the same bytes."""
    content = os.urandom(MIB) * DOWNLOAD_MIB
    (folder / "file").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    openssl = min(_openssl(folder / "file") for _ in range(3))
    store = FileInputStore(folder / "store", SystemEntropy())

    async def chunks() -> AsyncIterator[bytes]:
        with (folder / "file").open("rb") as source:
            while chunk := source.read(1 << 18):
                yield chunk

    stored = await _best(lambda: store.add(chunks(), what="x", max_bytes=len(content), sha256=digest))
    async with hostile_server() as server:
        url = server.file("/file", content)
        downloader = HttpDownloader(Addresses((server.place,)))

        async def download() -> None:
            async with downloader.open(url, max_bytes=len(content)) as opened:
                await store.add(opened.chunks, what="x", max_bytes=len(content), sha256=digest)

        fetched = await _best(download)
        await downloader.close()
    say("openssl dgst -sha256", DOWNLOAD_MIB / openssl, "MiB/s")
    measured = min(_measured(content) for _ in range(3))
    say("measured chunk by chunk of 64 KiB, as while downloading", DOWNLOAD_MIB / measured, "MiB/s")
    say("that / openssl (target 0.9)", openssl / measured, "")
    say(
        "written and fsynced without being measured",
        DOWNLOAD_MIB / _written(folder / "plain", content),
        "MiB/s",
    )
    say("into the store from a file, verified, fsynced", DOWNLOAD_MIB / stored, "MiB/s")
    say("that / openssl, which writes nothing (target 0.9)", openssl / stored, "")
    say("over HTTP (server in the same process), verified, fsynced", DOWNLOAD_MIB / fetched, "MiB/s")
    say("that / openssl, which writes nothing and has no network", openssl / fetched, "")


def _openssl(path: Path) -> float:
    began = time.perf_counter()
    subprocess.run(["openssl", "dgst", "-sha256", str(path)], check=True, capture_output=True)
    return time.perf_counter() - began


def _written(path: Path, content: bytes) -> float:
    """The least that keeping the bytes can cost here: one write, one fsync."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        times.append(time.perf_counter() - began)
    return min(times)


def _measured(content: bytes) -> float:
    measuring = Measuring("x", len(content), long=False)
    view = memoryview(content)
    began = time.perf_counter()
    for start in range(0, len(content), 1 << 16):
        chunk = bytes(view[start : start + (1 << 16)])
        measuring.count(len(chunk))
        measuring.hash(chunk)
    measuring.check(sha256=None, sha512=None, size=len(content))
    return time.perf_counter() - began


async def launches(here: Machine) -> None:
    """A launch with and without listeners, over a plain exec of the same program."""
    await here.scratch()
    plain = statistics.median([_exec() for _ in range(ROUNDS)])
    closed = await _median(lambda: here.run("true"))
    doors = (Listener(3128), Listener(8074))
    listening = await _median(lambda: here.run("true", listeners=doors))
    say("plain exec", plain * 1000, "ms")
    say("sandbox over plain exec", (closed - plain) * 1000, "ms")
    say(
        "sandbox with seccomp and two listeners over plain exec (target 20)", (listening - plain) * 1000, "ms"
    )


def _exec() -> float:
    began = time.perf_counter()
    subprocess.run(["/usr/bin/true"], check=True)
    return time.perf_counter() - began


async def tree(here: Machine) -> None:
    """A tree of 1 GiB in the store, placed by a bind; and what a task with it costs over one with none."""
    made = here.store / "trees" / "bench"
    made.mkdir(mode=0o755)
    for number in range(256):
        (made / f"f{number}").write_bytes(bytes(TREE_MIB * MIB // 256))
    binds = (Bind(str(made), "/inputs/tree"),)
    without = await _median(lambda: here.run("true"))
    placed = await _median(lambda: here.run("true", binds=binds))
    say("a cached tree of 1 GiB placed (target 10)", (placed - without) * 1000, "ms")
    store = FileInputStore(here.store, SystemEntropy())

    async def once() -> AsyncIterator[bytes]:
        yield b"x" * MIB

    blob = await store.add(once(), what="x", max_bytes=2 * MIB)
    looked = await _median(lambda: store.verified(blob.sha256))
    say("a stored file found again, not touched since", looked * 1000, "ms")
    say(
        "a second task with the same inputs over one with none (target 50)",
        (placed - without + looked) * 1000,
        "ms",
    )


async def _best(act: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        await act()
        times.append(time.perf_counter() - began)
    return min(times)


async def _median(act: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await act()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def say(what: str, value: float, unit: str) -> None:
    """Print one figure."""
    print(f"{what:<72} {value:10.2f} {unit}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
