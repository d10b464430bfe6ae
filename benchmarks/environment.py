"""What figures depend on: versions, processor, disk, and what else the machine was doing."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import apsw

PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "jsonschema-rs", "apsw", "asyncpg")


def sqlite() -> str:
    """Return the version of SQLite."""
    return apsw.sqlite_lib_version()


def fsync_us() -> float:
    """Return the median microseconds of appending 16 KiB to a file and waiting until the disk has them."""
    samples = []
    with tempfile.TemporaryFile() as file:
        for _ in range(60):
            began = time.perf_counter()
            os.write(file.fileno(), bytes(16384))
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - began) * 1e6)
    return statistics.median(samples)


def loop_us() -> float:
    """Return the least processor time, in microseconds, of a loop of 1,000 steps: how fast the core is now."""
    samples = []
    for _ in range(200):
        began, total = time.thread_time(), 0
        for number in range(1000):
            total += number * number & 7
        samples.append((time.thread_time() - began) * 1e6)
    return min(samples)


def print_facts(write: Callable[[str], object]) -> None:
    """Print what the figures depend on."""
    cores = len(os.sched_getaffinity(0))
    write(f"{platform.system()} {platform.release()}, {platform.machine()}, {cores} cores, {_processor()}\n")
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    write(f"Python {platform.python_version()}, {packages}\n")
    write(f"SQLite {sqlite()}: WAL, synchronous=FULL. PostgreSQL: fsync and synchronous_commit on\n")
    write(
        f"an append of 16 KiB with fdatasync takes {fsync_us():.0f} µs; a loop of 1,000 steps {loop_us():.0f} µs\n"
    )
    write(f"processes that ran or waited for a core in the last minute: {os.getloadavg()[0]:.1f}\n")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"
