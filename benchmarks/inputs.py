"""What verified inputs cost: verification while downloading, a cached tree, a sandbox with listeners, a second task.

`.venv/bin/python -m benchmarks.inputs` as root or as an ordinary user; prints one line a figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

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
ROUNDS = 25


async def main() -> None:
    """Measure and print everything."""
    with tempfile.TemporaryDirectory(prefix="liftlock-bench-", dir="/var/tmp") as folder:
        await verification(Path(folder))
    async with machine(KINDS[0]) as here:
        await launches(here)
        await tree(here)


async def verification(folder: Path) -> None:
    """Verifying while the bytes arrive, against one pass of `openssl dgst -sha256` over the same bytes.

    Both are best of five, one after the other in turn, so that a busy neighbour hits both.
    """
    content = os.urandom(MIB) * DOWNLOAD_MIB
    (folder / "file").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    store = FileInputStore(folder / "store", SystemEntropy())

    async def chunks() -> AsyncIterator[bytes]:
        with (folder / "file").open("rb") as source:
            while chunk := source.read(MIB):
                yield chunk

    async def stored() -> None:
        await store.add(chunks(), what="x", max_bytes=len(content), sha256=digest)

    with _file_server(folder / "file") as port:
        downloader = HttpDownloader(Addresses((f"127.0.0.1:{port}",)))
        url = f"http://127.0.0.1:{port}/file"

        async def fetched() -> None:
            async with downloader.open(url, max_bytes=len(content)) as opened:
                await store.add(opened.chunks, what="x", max_bytes=len(content), sha256=digest)

        async def thrown_away() -> None:
            async with downloader.open(url, max_bytes=len(content)) as opened:
                async for _ in opened.chunks:
                    pass

        figures: dict[str, list[tuple[float, float]]] = {}
        for _ in range(5):
            for name, act in (("from a file", stored), ("thrown away", thrown_away), ("over HTTP", fetched)):
                figures.setdefault(name, []).append(await _timed(act))
                await asyncio.to_thread(store.wait_for_disk)
            figures.setdefault("openssl", []).append(_openssl(folder / "file"))
            figures.setdefault("measured", []).append((_measured(content), 0.0))
            figures.setdefault("disk", []).append((_written(folder / "plain", content), 0.0))
        await downloader.close()
    least = {name: min(used for _, used in found) for name, found in figures.items()}
    _tell({name: min(found) for name, found in figures.items()}, least)


def _tell(best: dict[str, tuple[float, float]], least: dict[str, float]) -> None:
    openssl = best["openssl"][0]

    def ratio(name: str) -> None:
        say("  that / openssl (target 0.9)", openssl / best[name][0], "")

    say("openssl dgst -sha256", DOWNLOAD_MIB / openssl, "MiB/s")
    say(
        "measured chunk by chunk of 64 KiB, as while downloading", DOWNLOAD_MIB / best["measured"][0], "MiB/s"
    )
    ratio("measured")
    say(
        "into the store from a file, verified, ready for a task",
        DOWNLOAD_MIB / best["from a file"][0],
        "MiB/s",
    )
    ratio("from a file")
    say("over HTTP, from another process, thrown away", DOWNLOAD_MIB / best["thrown away"][0], "MiB/s")
    say("over HTTP, verified, in the store, ready for a task", DOWNLOAD_MIB / best["over HTTP"][0], "MiB/s")
    ratio("over HTTP")
    for name in ("thrown away", "over HTTP"):
        passes = least[name] / least["openssl"]
        say(f"  the worker's processor time, {name}, in openssl's for one pass", passes, "")
    say("written and fsynced by itself: what the disk takes", DOWNLOAD_MIB / best["disk"][0], "MiB/s")


@contextlib.contextmanager
def _file_server(path: Path) -> Iterator[int]:
    command = [sys.executable, str(Path(__file__).with_name("file_server.py")), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def _openssl(path: Path) -> tuple[float, float]:
    """Return the seconds that one pass took, and those of a processor."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["openssl", "dgst", "-sha256", str(path)], check=True, capture_output=True)
    passed, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime - used.ru_utime + after.ru_stime - used.ru_stime


def _written(path: Path, content: bytes) -> float:
    """The least that keeping the bytes can cost here: one write, one fsync."""
    began = time.perf_counter()
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


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
    """A launch with and without listeners, over a plain exec of the same program: median, and the least of all."""
    await here.scratch()
    doors = (Listener(3128), Listener(8074))
    times: dict[str, list[float]] = {"plain": [], "closed": [], "listening": []}
    for _ in range(ROUNDS):  # in turn, so that a busy neighbour hits all of them
        times["plain"].append(_exec())
        times["closed"].append((await _timed(lambda: here.run("true")))[0])
        times["listening"].append((await _timed(lambda: here.run("true", listeners=doors)))[0])
    for how, of in (("median", statistics.median), ("least", min)):
        plain, closed, listening = (of(found) * 1000 for found in times.values())
        say(f"plain exec, {how}", plain, "ms")
        say(f"  sandbox over it, {how}", closed - plain, "ms")
        say(f"  sandbox with seccomp and two listeners over it, {how} (target 20)", listening - plain, "ms")


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
    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        without = (await _timed(lambda: here.run("true")))[0]
        times.append((without, (await _timed(lambda: here.run("true", binds=binds)))[0]))
    without, placed = (statistics.median(column) for column in zip(*times, strict=True))
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


async def _timed(act: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Return seconds that passed, and seconds of this process's processors."""
    began, used = time.perf_counter(), time.process_time()
    await act()
    return time.perf_counter() - began, time.process_time() - used


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
        uvloop.run(main())
