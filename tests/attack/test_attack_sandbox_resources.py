"""A task that takes all it can get, or does not want to die: bounded, ended, and never at its neighbour's cost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from fnmatch import fnmatch
from pathlib import Path

import msgspec
import pytest

from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.sandbox.leftovers import hold
from liftlock.adapters.sandbox.preparing import run_to_end
from liftlock.ports.sandbox import MIB, DiskLimits
from sandboxes import (
    KEPT,
    KINDS,
    SMALL,
    SMALL_DISK,
    Machine,
    living,
    machine,
    make_directory,
    remove_directory,
    start_launcher,
)

pytestmark = pytest.mark.process
FORK_BOMB = (
    "import os, time\n"
    "made = 0\n"
    "for _ in range(2000):\n"
    "    try:\n"
    "        if os.fork() == 0: time.sleep(1000)\n"
    "        made += 1\n"
    "    except OSError: pass\n"
    f"print(made < 70, flush=True); time.sleep(1000)  # bomb of {os.getpid()}"
)


@pytest.fixture(params=KINDS)
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    async with machine(request.param) as made:
        await made.scratch(0)
        await made.scratch(1)
        yield made


async def _until(fd: int, words: bytes) -> None:
    """Wait until the log says `words`."""
    said = b""
    while words not in said:
        try:
            chunk = os.read(fd, 4096)
            assert chunk, said
            said += chunk
        except BlockingIOError:
            await asyncio.sleep(0.01)


async def test_attack_a_fork_bomb_is_bounded_while_the_sibling_works_on(here: Machine) -> None:
    running = await here.sandbox.start(here.spec("python3", "-c", FORK_BOMB))
    await _until(running.log_fd, b"True")
    assert await here.shell("for i in 1 2 3 4 5 6 7 8; do sh -c true & done; wait; echo ok", slot=1) == "ok\n"
    await running.kill("enough")
    _, status = await run_to_end(running, 30)
    assert status.killed == "enough"
    assert status.out_of_pids == (here.kind == "root")
    assert living(f"# bomb of {os.getpid()}") == []


async def test_attack_a_bomb_that_forks_faster_than_it_dies_is_ended(here: Machine) -> None:
    bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    running = await here.sandbox.start(here.spec("python3", "-c", bomb + f" # relentless {os.getpid()}"))
    await asyncio.sleep(0.3)
    await running.kill("enough")
    _, status = await run_to_end(running, 30)
    assert status.killed == "enough"
    assert living(f"# relentless {os.getpid()}") == []


async def test_attack_processes_are_bounded_by_a_resource_limit_as_well(here: Machine) -> None:
    """Where no cgroup counts them this is all there is; it counts this sandbox alone, not all of the user's."""
    code = (
        "import resource as r; print(r.getrlimit(r.RLIMIT_NPROC))\n"
        "try: r.setrlimit(r.RLIMIT_NPROC, (1000, 1000))\n"
        "except ValueError as error: print(error)"
    )
    assert await here.python(code) == "(66, 66)\nnot allowed to raise maximum limit\n"


async def test_attack_a_memory_bomb_ends_itself_while_the_sibling_works_on(here: Machine) -> None:
    sibling = await here.sandbox.start(
        here.spec("python3", "-c", "x = bytearray(100 << 20); import time; time.sleep(1000)", slot=1)
    )
    _, status = await here.run("python3", "-c", "x = []\nwhile True: x.append(bytearray(8 << 20))")
    assert status.code != 0
    assert status.out_of_memory == (here.kind == "root")
    await sibling.kill("enough")
    _, status = await run_to_end(sibling, 30)
    assert status.killed == "enough", "the sibling was alive until now"


async def test_attack_temporary_file_systems_are_bounded(here: Machine) -> None:
    for place in ("/tmp", "/run", "/dev/shm"):
        output, _ = await here.run(
            "sh", "-c", f"head -c 100M /dev/zero > {place}/fill; du -m {place}/fill | cut -f1"
        )
        assert "No space left on device" in output
        assert int(output.split()[-1]) <= 17


async def test_attack_a_full_disk_stops_the_task_and_not_the_sibling(here: Machine) -> None:
    output, status = await here.run(
        "sh", "-ec", "for i in 1 2 3 4 5 6; do head -c 50M /dev/zero > fill$i; done; sleep 1000"
    )
    assert status.out_of_disk
    assert not status.ok
    if here.kind == "root":
        assert "No space left on device" in output
        assert status.usage.disk_bytes is not None
        assert status.usage.disk_bytes <= SMALL_DISK.max_bytes * 1.1
    else:
        assert status.killed is not None
        assert "disk limit" in status.killed
    assert await here.shell("head -c 10M /dev/zero > mine; wc -c < mine", slot=1) == f"{10 * MIB}\n"
    await here.scratch(0)
    assert await here.shell("echo free > x; cat x") == "free\n"


async def test_attack_running_out_of_inodes_stops_the_task_and_not_the_sibling(here: Machine) -> None:
    code = (
        "import time\nfor i in range(20000): open(str(i), 'x').close()\nprint('all made'); time.sleep(1000)"
    )
    output, status = await here.run("python3", "-c", code)
    assert status.out_of_disk
    if here.kind == "root":
        assert "No space left on device" in output
    else:
        assert status.killed is not None
    assert await here.shell("touch a b c; ls", slot=1) == "a\nb\nc\n"


async def test_attack_files_hidden_in_closed_or_deep_directories_count_too() -> None:
    """Where a scratch is measured, and not bounded by a file system of its own."""
    closed = (
        "import os, time\n"
        "os.mkdir('c'); open('c/fill', 'wb').write(bytes(90 << 20)); os.chmod('c', 0); time.sleep(1000)"
    )
    deep = "import os, time\nfor _ in range(1500): os.mkdir('deeper'); os.chdir('deeper')\ntime.sleep(1000)"
    async with machine("ordinary") as here:
        for code in (closed, deep):
            await here.scratch(0)
            _, status = await here.run("python3", "-c", code)
            assert status.out_of_disk
        await here.scratch(0)
        assert await here.shell("ls") == ""


async def test_attack_a_file_larger_than_the_limit_can_not_be_written(here: Machine) -> None:
    limits = msgspec.structs.replace(SMALL, file_bytes=MIB)
    output, status = await here.run("sh", "-c", "head -c 2M /dev/zero > big; wc -c < big", limits=limits)
    assert int(output.split()[-1]) == MIB
    assert status.started


async def test_attack_a_daemon_dies_with_its_task(here: Machine) -> None:
    code = (
        "import os, signal, sys, time\n"
        "for number in range(1, 32):\n"
        "    if number not in (9, 19): signal.signal(number, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        time.sleep(1000)  # daemon of {os.getpid()}\n"
        "    os._exit(0)\n"
        "print('forked')"
    )
    output, status = await here.run("python3", "-c", code)
    assert status.ok
    assert output == "forked\n"
    assert living(f"# daemon of {os.getpid()}") == []


async def test_attack_a_full_log_pipe_does_not_hold_up_the_end(here: Machine) -> None:
    running = await here.sandbox.start(here.spec("sh", "-c", "yes; # endless log"))
    await asyncio.sleep(0.2)
    await running.kill("too much")
    status = await asyncio.wait_for(running.wait(), 30)
    assert status.killed == "too much"
    os.close(running.log_fd)


WORKER = """
import asyncio, os, socket, sys, msgspec
from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.ports.sandbox import *
async def main():
    sandbox = await BubblewrapSandbox.connect(socket.socket(fileno=int(sys.argv[1])))
    scratch = await sandbox.new_scratch(0, DiskLimits(64 * MIB, 1000))
    code = "import os,time\\nopen('x','w').write('left')\\nif os.fork()==0: os.setsid()\\nprint('up',flush=True)\\ntime.sleep(1000) #" + sys.argv[2]
    running = await sandbox.start(SandboxSpec(scratch, ("python3", "-c", code)))
    os.set_blocking(running.log_fd, True)
    os.read(running.log_fd, 100)
    print("up", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


def _start_worker(channel: int, marker: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, str(channel), marker]
    return subprocess.Popen(command, pass_fds=(channel,), stdout=subprocess.PIPE)


def _cgroups(pattern: str) -> list[str]:
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if fnmatch(path, f"*/{pattern}")]


@pytest.mark.parametrize("killed", ["worker", "launcher", "both"])
@pytest.mark.parametrize("kind", KINDS)
async def test_attack_a_killed_worker_or_launcher_leaves_no_orphan(kind: str, killed: str) -> None:
    """After the next start on the same directory has connected, nothing of the old sandbox is left."""
    directory = make_directory(kind)
    marker = f"orphan-{os.getpid()}-{kind}-{killed}"
    launcher, settings = start_launcher(kind, directory)
    channel = launcher.channel.fileno()
    worker = _start_worker(channel, marker)
    launcher.channel.close()
    assert worker.stdout is not None
    assert await asyncio.to_thread(worker.stdout.readline) == b"up\n"
    assert len([pid for pid in living(marker) if pid != worker.pid]) >= 2
    if killed in ("worker", "both"):
        worker.kill()
    if killed in ("launcher", "both"):
        launcher.process.kill()
    again, settings = start_launcher(kind, directory)
    sandbox = await BubblewrapSandbox.connect(again.channel)
    assert [pid for pid in living(marker) if pid != worker.pid] == []
    assert [name for name in os.listdir(settings.scratch_dir) if name not in KEPT] == []
    assert os.listdir(f"{settings.scratch_dir}/pids") == []
    assert _cgroups(f"liftlock-{settings.identity}/*") == []
    await sandbox.close()
    assert _cgroups(f"liftlock-{settings.identity}") == []
    worker.kill()
    worker.stdout.close()
    for process in (worker, launcher.process, again.process):
        await asyncio.to_thread(process.wait, 30)
    remove_directory(directory)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_launcher_on_the_same_directory_waits_until_the_first_is_gone(kind: str) -> None:
    async with machine(kind) as first:
        second, _ = start_launcher(kind, first.directory)
        connecting = asyncio.ensure_future(BubblewrapSandbox.connect(second.channel))
        assert await first.shell("sleep 0.5; echo mine") == "mine\n"
        assert not connecting.done()
        await first.sandbox.close()
        sandbox = await connecting
        await sandbox.close()
        await asyncio.to_thread(second.process.wait, 30)


def test_a_directory_is_held_by_one_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("liftlock.adapters.sandbox.leftovers.LOCK_WITHIN_S", 0.1)
    held = hold(str(tmp_path))
    began = time.monotonic()
    with pytest.raises(Exception, match="in use by another launcher"):
        hold(str(tmp_path))
    assert time.monotonic() - began < 10
    os.close(held)
    os.close(hold(str(tmp_path)))


async def test_attack_signals_to_the_launcher_do_not_end_it(here: Machine) -> None:
    """Its worker decides; a Ctrl-C at the terminal goes to all."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        here.launcher.process.send_signal(number)
    assert await here.shell("echo alive") == "alive\n"


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
async def test_soak_a_million_files_are_stopped_and_removed(kind: str) -> None:
    async with machine(kind) as made:
        await made.scratch(0, DiskLimits(max_bytes=4 << 30, max_entries=1_200_000))
        code = "for i in range(1000):\n  import os; os.mkdir(str(i))\n  for j in range(1000): open(f'{i}/{j}', 'x').close()"
        _, status = await made.run("python3", "-c", code, timeout_s=900)
        assert status.ok
        await made.scratch(0)
        assert await made.shell("ls") == ""
