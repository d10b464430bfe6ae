"""A worker killed at the worst moments: in mid-upload, in mid-unpack, between two renames. Nothing half-made counts (B5, B9)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import slugid
import taskcluster

from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, read_chain
from liftlock.domain.provenance.published import parse_published, trust_in
from liftlock.domain.provenance.statement import STATEMENT_NAME
from liftlock.ports.sandbox import MIB, DiskLimits, UnpackRequest
from liftlock_up import Up, up
from sandboxes import KINDS, make_directory, remove_directory, start_launcher

pytestmark = pytest.mark.process
CHAIN = {CHAIN_NAME, SIGNATURE_NAME, STATEMENT_NAME}
LARGE_BYTES = 128 * MIB


def definition() -> dict[str, Any]:
    """A task whose first artifact is small and whose second one takes a while to send."""
    now = datetime.now(UTC)
    files = ("first.bin", "large.bin", "last.bin")
    script = f"echo 1 >first.bin; truncate -s {LARGE_BYTES} large.bin; echo 3 >last.bin"
    return {
        "taskQueueId": "local/unprivileged",
        "schedulerId": "kills",
        "created": now.isoformat(),
        "deadline": (now + timedelta(hours=1)).isoformat(),
        "retries": 3,
        "payload": {
            "command": [["/bin/sh", "-ec", script]],
            "maxRunTime": 120,
            "artifacts": [{"name": f"public/{name}", "path": name, "type": "file"} for name in files],
        },
        "metadata": {
            "name": "n",
            "description": "d",
            "owner": "o@example.com",
            "source": "https://example.com",
        },
    }


def names(running: Up, task_id: str, run: int) -> set[str]:
    """The artifacts that a run has so far."""
    try:
        return {one["name"] for one in running.queue().listArtifacts(task_id, run)["artifacts"]}
    except taskcluster.TaskclusterRestFailure as error:
        if error.status_code == 404:
            return set()
        raise


def content(running: Up, task_id: str, name: str) -> bytes:
    with urllib.request.urlopen(running.queue().latestArtifact(task_id, name)["url"], timeout=30) as answer:
        data: bytes = answer.read()
        return data


@pytest.mark.xdist_group("kills")
def test_a_worker_killed_in_mid_upload_leaves_no_chain_and_its_retry_a_whole_one() -> None:
    with up("--workers", "1") as running:
        task_id = slugid.nice()
        running.queue().createTask(task_id, definition())
        deadline = time.monotonic() + 60
        while "public/first.bin" not in names(running, task_id, 0):
            assert time.monotonic() < deadline, running.log[-4000:]
            time.sleep(0.01)
        os.kill(
            next(pid for pid, said in running.processes().items() if "liftlock.processes.worker " in said),
            signal.SIGKILL,
        )
        while running.queue().status(task_id)["status"]["state"] in ("pending", "running"):
            assert time.monotonic() < deadline, running.log[-4000:]
            time.sleep(0.1)
        runs = running.queue().status(task_id)["status"]["runs"]
        assert [(one["state"], one["reasonResolved"]) for one in runs] == [
            ("exception", "worker-shutdown"),
            ("completed", "completed"),
        ]
        left = names(running, task_id, 0)
        assert "public/first.bin" in left
        assert "public/last.bin" not in left, "it was killed before the end of its uploads"
        assert not left & CHAIN, "an unfinished run has no chain"
        whole = names(running, task_id, 1)
        assert whole >= CHAIN
        with urllib.request.urlopen(f"{running.root_url}/api/provenance/v1/keys", timeout=10) as answer:
            pools = trust_in(parse_published(answer.read())).valid_pools
        chain = read_chain(
            content(running, task_id, CHAIN_NAME), content(running, task_id, SIGNATURE_NAME), pools
        )
        assert (chain.task_id, chain.run_id, chain.outcome) == (task_id, 1, "completed")
        assert set(chain.artifacts) == whole - CHAIN
        large = content(running, task_id, "public/large.bin")
        assert (len(large), hashlib.sha256(large).hexdigest()) == (
            LARGE_BYTES,
            chain.artifacts["public/large.bin"],
        )


def archive() -> bytes:
    """An archive that takes a while to unpack."""
    made = io.BytesIO()
    noise = random.Random(1).randbytes(4096)
    with tarfile.open(fileobj=made, mode="w") as tar:
        for number in range(8_000):
            member = tarfile.TarInfo(f"d{number % 100}/{number}")
            member.size = len(noise)
            tar.addfile(member, io.BytesIO(noise))
    return made.getvalue()


async def test_a_launcher_killed_in_mid_unpack_leaves_no_half_tree() -> None:
    """What has no final name is removed by the next launcher before it does anything else."""
    kind = KINDS[0]
    directory = make_directory(kind)
    launcher, settings = start_launcher(kind, directory, slots=1)
    sandbox = await BubblewrapSandbox.connect(launcher.channel)
    blob, trees = Path(settings.store_dir) / "archive", Path(settings.store_dir) / "trees"
    blob.write_bytes(archive())
    blob.chmod(0o444)
    scratch = await sandbox.new_scratch(0, DiskLimits(max_bytes=64 * MIB))
    unpacking = asyncio.ensure_future(
        sandbox.unpack(UnpackRequest((str(blob),), scratch, tree=".new-half", max_bytes=256 * MIB))
    )
    while not (trees / ".new-half/d0").exists():
        assert not unpacking.done(), await unpacking
        await asyncio.sleep(0.002)
    launcher.process.kill()
    await asyncio.gather(unpacking, return_exceptions=True)
    assert (trees / ".new-half").exists(), "it was killed in the middle"
    await sandbox.close()
    await asyncio.to_thread(launcher.process.wait, 30)
    again, _ = start_launcher(kind, directory, slots=1)
    sandbox = await BubblewrapSandbox.connect(again.channel)
    assert list(trees.iterdir()) == []
    await sandbox.close()
    await asyncio.to_thread(again.process.wait, 30)
    remove_directory(directory)


WRITER = """
import asyncio, os, pathlib, signal, sys
number, moment = int(sys.argv[2]), sys.argv[3]
real, done = os.rename, 0
def rename(source, target, *more, **options):
    global done
    done += 1
    if done == number and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target, *more, **options)
    if done == number:
        os.kill(os.getpid(), signal.SIGKILL)
os.rename = rename
from liftlock.adapters.store_files.store import FileInputStore
from liftlock.adapters.system.entropy import SystemEntropy
async def chunks():
    yield b"content"
async def main():
    store = FileInputStore(pathlib.Path(sys.argv[1]), SystemEntropy())
    await store.add(chunks(), what="x", max_bytes=100, sha512=sys.argv[4])
    name = store.new_tree_name()
    made = pathlib.Path(sys.argv[1]) / "trees" / name
    made.mkdir()
    for each in ("one", "two"):
        (made / each).write_text("whole")
    store.commit_tree(name, "d" * 64, "run", 10)
    print("all done")
asyncio.run(main())
"""
RENAMES = 4
"""Of the blob, of its sha512, of the tree's size, of the tree."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, RENAMES + 1))
async def test_a_worker_killed_at_a_rename_leaves_whole_entries_or_none(
    tmp_path: Path, number: int, moment: str
) -> None:
    sha512 = hashlib.sha512(b"content").hexdigest()
    command = [sys.executable, "-P", "-c", WRITER, str(tmp_path), str(number), moment, sha512]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed
    store = FileInputStore(tmp_path, SystemEntropy())
    sha256 = hashlib.sha256(b"content").hexdigest()
    blob = await store.verified(sha256)
    assert (blob is not None) == ((number, moment) != (1, "before"))
    known = await store.known_by_sha512(sha512)
    assert known in (None, sha256)
    assert list((tmp_path / "incoming").iterdir()) == []
    tree = store.tree("d" * 64, "run")
    assert (tree is not None) == ((number, moment) == (RENAMES, "after"))
    if tree is not None:
        assert sorted(os.listdir(tree)) == ["one", "two"]
    again = await store.add(_once(), what="x", max_bytes=100, sha512=sha512)
    assert await store.verified(again.sha256) == again


def test_that_is_all_the_renames_that_there_are(tmp_path: Path) -> None:
    """Without this, a rename that is added later would not be tried."""
    command = [sys.executable, "-P", "-c", WRITER, str(tmp_path), str(RENAMES + 1), "before", "0" * 128]
    command[-1] = hashlib.sha512(b"content").hexdigest()
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout == "all done\n"


async def _once():  # type: ignore[no-untyped-def]
    yield b"content"
