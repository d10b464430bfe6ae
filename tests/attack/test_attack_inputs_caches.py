"""Writable caches: what a lower level, another pool, slot or run left in one never gets further than it may (B7)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.certified_signer import KnownPools
from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.domain.inputs.policy import STRICTEST, parse_policy
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, SignedChain, read_chain
from liftlock.domain.provenance.producers import proven_level
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import MIB, CacheBind, CacheRequest
from provenance_world import BUILD, ChainWorld, reds
from sandboxes import KINDS, Machine, machine, make_directory, remove_directory, start_launcher
from worker_world import World, world

pytestmark = pytest.mark.process
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LOWER = parse_policy("[caches]\nlower-levels = true")
SCOPE = ["worker:cache:deps"]
WRITE, READ = "echo mine > /build/c/x", "cat /build/c/x || echo nothing"


@pytest.fixture(params=KINDS)
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    async with machine(request.param) as made:
        await made.scratch(0)
        yield made


async def cached(here: Machine, script: str, *, slot: int = 0, key: str = "k", **more: Any) -> str:
    """Run a script in a fresh scratch that has the cache at /build/c; return what it printed."""
    scratch = await here.scratch(slot)
    await here.sandbox.open_cache(CacheRequest(scratch, key, NOW, max_bytes=16 * MIB, **more))
    return await here.shell(script, slot=slot, caches=(CacheBind(key, "/build/c"),))


async def test_a_cache_outlives_the_run_and_belongs_to_one_slot(here: Machine) -> None:
    await cached(here, WRITE)
    assert await cached(here, READ) == "mine\n"
    assert "mine" not in await cached(here, READ, slot=1), "another slot's user sees it"
    assert "mine" not in await cached(here, READ, key="k2")


async def test_a_cache_that_was_made_before_the_purge_is_made_anew(here: Machine) -> None:
    await cached(here, WRITE)
    assert await cached(here, READ, not_before=NOW - timedelta(seconds=1)) == "mine\n"
    assert "mine" not in await cached(here, READ, not_before=NOW), "made at that instant: purged"


async def test_a_cache_is_open_once(here: Machine) -> None:
    scratch = await here.scratch(0)
    await here.sandbox.open_cache(CacheRequest(scratch, "k", NOW))
    with pytest.raises(SandboxFailedError, match="the cache 'k' is open already"):
        await here.sandbox.open_cache(CacheRequest(scratch, "k", NOW))


@pytest.mark.parametrize("key", ["", "../x", "a/b", "K", "-a", "k" * 81, "."])
async def test_a_key_that_is_none_names_no_file(here: Machine, key: str) -> None:
    with pytest.raises(SandboxFailedError, match="cannot be the key of a cache"):
        await here.sandbox.open_cache(CacheRequest(here.scratches[0], key, NOW))


async def test_a_cache_that_is_not_open_is_not_shown(here: Machine) -> None:
    with pytest.raises(SandboxFailedError, match="the cache 'other' is not open"):
        await here.run("true", caches=(CacheBind("other", "/build/c"),))


@pytest.mark.parametrize("place", ["/usr/x", "/etc/x", "/build", "/", "/build/../etc", "/proc/x"])
async def test_a_cache_lies_nowhere_but_where_it_may(here: Machine, place: str) -> None:
    await here.sandbox.open_cache(CacheRequest(here.scratches[0], "k", NOW))
    with pytest.raises(SandboxFailedError, match="nothing can be placed at"):
        await here.run("true", caches=(CacheBind("k", place),))


@pytest.mark.parametrize(
    "trap", ["ln -s /etc /build/c", "mkdir /build/d; ln -s d /build/c", "mkfifo /build/c"]
)
async def test_a_link_where_the_next_command_has_its_cache_leads_nowhere(here: Machine, trap: str) -> None:
    await here.shell(trap)
    await here.sandbox.open_cache(CacheRequest(here.scratches[0], "k", NOW))
    with pytest.raises(SandboxFailedError, match="a cache cannot be placed at '/build/c'"):
        await here.run("true", caches=(CacheBind("k", "/build/c"),))


async def test_filling_a_cache_ends_at_its_bound_and_nothing_else_is_full(here: Machine) -> None:
    fill = "head -c 100M /dev/zero > /build/c/big; sleep 3"
    scratch = await here.scratch(0)
    await here.sandbox.open_cache(CacheRequest(scratch, "k", NOW, max_bytes=16 * MIB))
    _, status = await here.run("sh", "-ec", fill, caches=(CacheBind("k", "/build/c"),))
    assert not status.ok
    assert "big" not in await cached(here, "ls /build/c") or here.sandbox.isolation.disk == "filesystem"


async def test_setuid_files_and_devices_in_a_cache_are_dead(here: Machine) -> None:
    await cached(
        here, "cp /bin/true /build/c/x; chmod 4755 /build/c/x || true; mknod /build/c/d c 1 3 || true"
    )
    said = await cached(here, "test -u /build/c/x && echo setuid; test -c /build/c/d && echo device; true")
    assert said == ""


async def test_the_least_lately_used_caches_give_way(here: Machine) -> None:
    for number in range(3):
        await cached(here, "head -c 4M /dev/urandom > /build/c/x", key=f"k{number}")
    await here.scratch(0)
    await cached(here, "true", key="k3", store_bytes=10 * MIB)
    await here.scratch(0)
    assert kept(here.settings.scratch_dir) == ["k1", "k2", "k3"]


KILLED = """
import asyncio, os, socket, sys
from datetime import UTC, datetime
from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.sandbox.preparing import run_to_end
from liftlock.ports.sandbox import *
async def main():
    sandbox = await BubblewrapSandbox.connect(socket.socket(fileno=int(sys.argv[1])))
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    for key, script in (("idle", "echo whole > c/x"), ("open", "echo torn > c/x; echo up; sleep 1000")):
        scratch = await sandbox.new_scratch(0, DiskLimits(64 * MIB, 1000))
        await sandbox.open_cache(CacheRequest(scratch, key, now, max_bytes=16 * MIB))
        bind = CacheBind(key, "/build/c")
        running = await sandbox.start(SandboxSpec(scratch, ("sh", "-ec", script), caches=(bind,)))
        if key == "idle":
            await run_to_end(running, 60)
    os.set_blocking(running.log_fd, True)
    os.read(running.log_fd, 100)
    print("up", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


def start_worker(channel: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", KILLED, str(channel)]
    return subprocess.Popen(command, pass_fds=(channel,), stdout=subprocess.PIPE)


@pytest.mark.parametrize("killed", ["worker", "launcher", "both"])
@pytest.mark.parametrize("kind", KINDS)
async def test_after_kill_9_a_cache_is_whole_or_gone(kind: str, killed: str) -> None:
    """What was closed is kept. What was open is kept only if the launcher lived to close it."""
    directory = make_directory(kind)
    launcher, settings = start_launcher(kind, directory)
    channel = launcher.channel.fileno()
    worker = start_worker(channel)
    launcher.channel.close()
    assert worker.stdout is not None
    assert await asyncio.to_thread(worker.stdout.readline) == b"up\n"
    if killed in ("launcher", "both"):
        launcher.process.kill()
    if killed in ("worker", "both"):
        worker.kill()
    await asyncio.to_thread(launcher.process.wait, 30)
    again, after = start_launcher(kind, directory)
    sandbox = await BubblewrapSandbox.connect(again.channel)
    here = Machine(kind, sandbox, again, directory, after)
    if after.slots[0] == settings.slots[0]:
        assert kept(settings.scratch_dir) == (["idle", "open"] if killed == "worker" else ["idle"])
        assert await cached(here, "cat /build/c/x", key="idle") == "whole\n"
        assert ("torn" in await cached(here, "cat /build/c/x || true", key="open")) is (killed == "worker")
    else:  # another program of this machine took the slot's user meanwhile
        assert kept(settings.scratch_dir) == []
    await sandbox.close()
    assert not [name for name in os.listdir(f"{settings.scratch_dir}/caches") if name.endswith(".used")]
    worker.kill()
    worker.stdout.close()
    for process in (worker, launcher.process, again.process):
        await asyncio.to_thread(process.wait, 30)
    remove_directory(directory)


def kept(scratch_dir: str) -> list[str]:
    """The keys of the caches that are on disk, closed."""
    names = os.listdir(f"{scratch_dir}/caches")
    return sorted(name.split("-")[2] for name in names if name.startswith("c") and not name.endswith(".used"))


def wanted(level: int | None = None, path: str = "/build/c") -> dict[str, Any]:
    return {"caches": [{"name": "deps", "mount": path, **({} if level is None else {"level": level})}]}


async def task(
    worker: World, script: str, *, level: int, cache: int | None = None, scopes: list[str] = SCOPE
) -> tuple[str, str, SignedChain | None]:
    """Run a task of `level`; return how it ended, its log, and its chain."""
    payload = {"command": ["sh", "-ec", script], **wanted(cache)}
    run, outcome = await worker.run(payload, schedulerId=f"demo-level-{level}", scopes=scopes)
    chain = None
    if (run, CHAIN_NAME) in worker.queue.artifacts:
        content, signature = (worker.queue.artifacts[run, name] for name in (CHAIN_NAME, SIGNATURE_NAME))
        chain = read_chain(content, signature, KnownPools().trust.pools)
    return outcome, worker.queue.log_of(run), chain


async def test_a_cache_is_shared_by_tasks_of_one_level_and_by_no_others(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        await task(worker, WRITE, level=1)
        assert "mine" in (await task(worker, READ, level=1))[1]
        _, log, chain = await task(worker, READ, level=3)
        assert "nothing" in log
        assert "mine" not in log
        assert chain is not None
        assert [(cache.name, cache.level) for cache in chain.caches] == [("deps", 3)]
        assert proven_level(chain) == 3


async def test_a_level_3_task_with_a_level_1_cache_is_refused_unless_the_pool_permits_it(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as worker:
        outcome, log, _ = await task(worker, "echo ran", level=3, cache=1)
        assert outcome == "malformed-payload"
        assert "does not let a task of level 3 use a cache of level 1" in log


async def test_what_a_level_3_task_makes_with_a_level_1_cache_is_of_level_1(tmp_path: Path) -> None:
    async with world(tmp_path, policy=LOWER) as worker:
        await task(worker, WRITE, level=1)
        outcome, log, chain = await task(worker, READ, level=3, cache=1)
        assert outcome == "completed"
        assert "mine" in log
        assert chain is not None
        assert (chain.level, proven_level(chain)) == (1, 1)


def world_with_cache(level: int) -> ChainWorld:
    """A sound level-3 world whose build had a cache of `level`, and a worker that did not lower its own level for it."""
    made = ChainWorld()
    cache = {"name": "deps", "mount": "/build/c", "level": level, "pool": "local/unprivileged"}
    made.tasks[BUILD]["payload"]["caches"] = wanted()["caches"]
    made.generated[BUILD]["task"]["payload"]["caches"] = wanted()["caches"]
    manifest = {"inputs": made.inputs[BUILD], "caches": [cache]}
    made.more[BUILD] = {"manifest": manifest}
    return made


def test_an_artifact_built_from_a_level_1_cache_is_red_in_a_level_3_chain_although_every_signature_is_valid() -> (
    None
):
    assert reds(world_with_cache(3).walk()) == []
    [red] = reds(world_with_cache(1).walk())
    assert f"task {BUILD} is of level 1 (it used the cache deps of level 1)" in red
    assert red.endswith("(every signature is valid)")


def test_a_cache_that_the_chain_hides_is_red() -> None:
    hidden = world_with_cache(3)
    hidden.more[BUILD]["manifest"]["caches"] = []
    assert any("a cache that the chain of trust does not name" in red for red in reds(hidden.walk()))


def test_a_cache_of_another_pool_is_red() -> None:
    foreign = world_with_cache(3)
    foreign.more[BUILD]["manifest"]["caches"][0]["pool"] = "other/pool"
    assert any("the cache 'deps' is of pool other/pool" in red for red in reds(foreign.walk()))


async def test_a_task_without_the_scope_gets_no_cache(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        outcome, log, _ = await task(worker, "echo ran", level=1, scopes=["worker:cache:other"])
        assert outcome == "malformed-payload"
        assert "needs the scope worker:cache:deps" in log


async def test_a_purge_request_reaches_the_next_task(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        await task(worker, WRITE, level=1)
        worker.queue.purges = {"deps": datetime.now(UTC) + timedelta(seconds=1)}
        _, log, _ = await task(worker, READ, level=1)
        assert "nothing" in log
        assert "mine" not in log


async def test_an_exit_code_that_purges_removes_the_cache(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        script = {
            "command": ["sh", "-ec", f"{WRITE}; exit 7"],
            "onExitStatus": {"purgeCaches": [7]},
            **wanted(),
        }
        run, outcome = await worker.run(script, scopes=SCOPE)
        assert outcome == "failed"
        assert "the caches of this task are removed" in worker.queue.log_of(run)
        assert "nothing" in (await task(worker, READ, level=1))[1]


async def test_a_run_with_a_cache_is_never_sealed(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        run, _ = await worker.run({"command": ["true"], **wanted()}, scopes=SCOPE)
        manifest = json.loads(worker.queue.artifacts[run, "public/inputs.json"])
        assert manifest["network"]["sealing"] == "recorded"
        assert manifest["caches"][0]["writable"] is True
    async with world(tmp_path, policy=parse_policy('[network]\nrequire = "sealed"')) as worker:
        run, outcome = await worker.run({"command": ["true"], **wanted()}, scopes=SCOPE)
        assert outcome == "malformed-payload"
        assert "the pool requires runs that are sealed" in worker.queue.log_of(run)


def test_the_strictest_policy_keeps_levels_apart() -> None:
    assert STRICTEST.caches.lower_levels is False
