"""What a task sees and how a sandbox ends, with the real bubblewrap, as root and as an ordinary user."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from liftlock.adapters.sandbox.client import BubblewrapSandbox
from liftlock.adapters.sandbox.preparing import run_to_end
from liftlock.adapters.sandbox.settings import LauncherSettings, Person
from liftlock.adapters.sandbox.spawn import spawn_launcher
from liftlock.errors import SandboxFailedError
from liftlock.ports.sandbox import MIB, Bind, DataFile, DiskLimits, ExitStatus, Listener, Scratch
from sandboxes import KINDS, SMALL_DISK, Machine, machine

pytestmark = pytest.mark.process


@pytest.fixture(params=KINDS)
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    async with machine(request.param) as made:
        yield made


async def test_a_task_finds_an_empty_home_and_exactly_its_environment(here: Machine) -> None:
    await here.scratch()
    output = await here.shell("pwd; id -un; ls -A; env | sort", env={"TASK_ID": "abc", "HOME": "/build"})
    expected = [
        "/build",
        "task",
        "HOME=/build",
        "LANG=C.UTF-8",
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "PWD=/build",
    ]
    assert output.split("\n") == [*expected, "TASK_ID=abc", ""]


async def test_python_and_git_work_in_a_sandbox(here: Machine) -> None:
    script = "git init -q r; cd r; git -c user.name=n -c user.email=e commit -q --allow-empty -m m; git log --format=%s"
    assert await here.shell(script) == "m\n"
    assert await here.python("import ssl, sqlite3, ctypes, json; print('ok')") == "ok\n"


async def test_pipelines_end_as_in_any_shell(here: Machine) -> None:
    """Python ignores SIGPIPE; a task must not inherit that."""
    assert await here.shell("yes | head -n 1") == "y\n"


async def test_the_isolation_level_says_what_there_is(here: Machine) -> None:
    level = here.sandbox.isolation
    if here.kind == "root":
        assert level.users == "separate"
        assert level.lines()[0] == "separate users: every slot has a uid of its own"
        assert level.why_not_untrusted() == ()
    else:
        assert level.lines()[0] == "single-user: processes share one uid"
        assert any("systemd-run --user --scope -p Delegate=yes" in line for line in level.missing)
        assert level.why_not_untrusted() != ()
    assert level.seccomp
    assert level.user_namespaces
    assert level.network == "closed"


async def test_the_exit_code_is_the_commands_own(here: Machine) -> None:
    _, status = await here.run("sh", "-c", "exit 7")
    assert (status.started, status.code, status.ok) == (True, 7, False)
    _, status = await here.run("sh", "-c", "kill -TERM $$")
    assert status.code == 128 + 15


async def test_a_command_that_is_not_found_fails_the_command_and_names_it_in_the_log(here: Machine) -> None:
    output, status = await here.run("no-such-program")
    assert status.started
    assert status.code == 1
    assert "no-such-program: No such file or directory" in output


async def test_standard_output_and_error_are_one_log_in_order(here: Machine) -> None:
    assert await here.shell("echo 1; echo 2 >&2; echo 3") == "1\n2\n3\n"


async def test_commands_of_one_scratch_find_what_earlier_ones_left(here: Machine) -> None:
    await here.shell("mkdir out; echo one > out/a; echo gone > /tmp/b")
    assert await here.shell("cat out/a; ls /tmp") == "one\n"


async def test_a_new_scratch_of_a_slot_is_empty(here: Machine) -> None:
    await here.shell("mkdir -p deep/er; echo x > deep/er/file; chmod 0 deep/er; chmod 0 deep")
    await here.scratch()
    assert await here.shell("ls -A") == ""


async def test_inputs_are_bound_read_only_and_data_files_exist_only_inside(here: Machine) -> None:
    here.put("blob", b"content")
    output = await here.shell(
        "cat /inputs/blob /inputs/inputs.json; ! touch /inputs/x 2>/dev/null; ! echo y 2>/dev/null > /inputs/blob",
        binds=(Bind(str(here.store / "blob"), "/inputs/blob"),),
        files=(DataFile("/inputs/inputs.json", b'{"inputs":[]}'),),
    )
    assert output == 'content{"inputs":[]}'
    assert (here.store / "blob").read_bytes() == b"content"


async def test_a_listener_inside_is_answered_from_outside(here: Machine) -> None:
    await here.scratch()
    code = "import socket; s=socket.create_connection(('127.0.0.1', 8080), 5); s.send(b'ping'); print(s.recv(9).decode())"
    running = await here.sandbox.start(
        here.spec("python3", "-I", "-c", code, listeners=(Listener(8080), Listener(80)))
    )
    assert [listener.getsockname() for listener in running.listeners] == [
        ("127.0.0.1", 8080),
        ("127.0.0.1", 80),
    ]
    loop = asyncio.get_running_loop()
    connection, _ = await asyncio.wait_for(loop.sock_accept(running.listeners[0]), 20)
    with connection:
        assert await loop.sock_recv(connection, 9) == b"ping"
        await loop.sock_sendall(connection, b"pong")
    output, status = await run_to_end(running, 20)
    assert status.ok
    assert output == "pong\n"


async def test_killing_ends_the_whole_tree_and_says_why(here: Machine) -> None:
    await here.scratch()
    running = await here.sandbox.start(
        here.spec("sh", "-c", "trap '' TERM INT; (setsid sleep 1000 &); sleep 1000")
    )
    await running.kill("maxRunTime exceeded")
    status = await running.wait()
    assert status.killed == "maxRunTime exceeded"
    assert not status.ok
    output, _ = await run_to_end(running, 5)  # the log ends: nobody holds it any more
    assert output == ""
    await running.kill("again")
    assert await running.wait() == status


async def test_two_slots_work_side_by_side(here: Machine) -> None:
    await here.scratch(0)
    await here.scratch(1)
    waiting = await here.sandbox.start(here.spec("sleep", "1000", slot=0))
    assert await here.shell("echo b", slot=1) == "b\n"
    await waiting.kill("enough")
    _, status = await run_to_end(waiting, 20)
    assert status.killed == "enough"


async def test_a_slot_runs_one_sandbox_at_a_time(here: Machine) -> None:
    await here.scratch()
    running = await here.sandbox.start(here.spec("sleep", "1000"))
    with pytest.raises(SandboxFailedError, match="busy"):
        await here.sandbox.start(here.spec("true"))
    with pytest.raises(SandboxFailedError, match="busy"):
        await here.sandbox.open_file(here.scratches[0], "x", max_bytes=1)
    await running.kill("enough")
    await run_to_end(running, 20)


@pytest.mark.parametrize(
    ("source", "destination", "words"),
    [
        ("/etc/shadow", "/inputs/x", "not in the store"),
        ("/", "/inputs/x", "not in the store"),
        ("{store}/../secret", "/inputs/x", "not a plain path"),
        ("{store}/absent", "/inputs/x", "No such file"),
        ("{store}/link", "/inputs/x", "cannot be shown"),
        ("{store}/blob", "/etc/passwd", "nothing can be placed"),
        ("{store}/blob", "/build/x", "nothing can be placed"),
        ("{store}/blob", "/proc/x", "nothing can be placed"),
        ("{store}/blob", "/inputs/../etc/x", "nothing can be placed"),
        ("{store}/blob", "relative", "nothing can be placed"),
    ],
)
async def test_the_launcher_binds_only_what_is_in_the_store_and_only_where_it_may(
    here: Machine, source: str, destination: str, words: str
) -> None:
    here.put("blob", b"x")
    (here.store.parent / "secret").write_text("secret")
    (here.store / "link").symlink_to("/etc/passwd")
    await here.scratch()
    bind = Bind(source.format(store=here.store), destination)
    with pytest.raises(SandboxFailedError, match=words):
        await here.sandbox.start(here.spec("true", binds=(bind,)))


async def test_the_launcher_refuses_a_slot_or_scratch_that_is_not_there(here: Machine) -> None:
    with pytest.raises(SandboxFailedError, match="no slot 7"):
        await here.sandbox.new_scratch(7, SMALL_DISK)
    await here.scratch()
    here.scratches[0] = Scratch(0, "../../etc")
    with pytest.raises(SandboxFailedError, match="does not hold the scratch"):
        await here.sandbox.start(here.spec("true"))


async def test_strings_that_the_kernel_can_not_take_are_refused_before_anything_starts(here: Machine) -> None:
    await here.scratch()
    for argv, env in ((("echo", "x" * (1 << 18)), {}), (("echo", "a\0b"), {}), (("echo",), {"A=B": "c"})):
        with pytest.raises(SandboxFailedError, match="not started"):
            await here.sandbox.start(here.spec(*argv, env=env))


async def test_files_come_back_from_a_scratch(here: Machine) -> None:
    await here.shell(
        "mkdir -p out/sub; echo -n abc > out/b; echo -n x > out/sub/c; ln -s b out/l; umask 077; echo k > out/private"
    )
    scratch = here.scratches[0]
    opened = await here.sandbox.open_file(scratch, "out/b", max_bytes=3)
    assert opened.size == 3  # type: ignore[union-attr]
    with os.fdopen(opened.fd, "rb") as file:  # type: ignore[union-attr]
        assert file.read() == b"abc"
    private = await here.sandbox.open_file(scratch, "out/private", max_bytes=9)
    with os.fdopen(private.fd, "rb") as file:  # type: ignore[union-attr]
        assert file.read() == b"k\n"
    found = await here.sandbox.list_files(scratch, "out", max_entries=10)
    assert [file.path for file in found] == ["out/b", "out/private", "out/sub/c"]  # type: ignore[union-attr]


async def test_what_was_used_is_told(here: Machine) -> None:
    _, status = await here.run("python3", "-c", "x = bytearray(64 << 20); sum(range(10**6))")
    if here.kind == "root":
        assert status.usage.memory_peak_bytes is not None
        assert status.usage.memory_peak_bytes > 64 * MIB
        assert status.usage.cpu_s is not None
    else:
        assert status.usage.memory_peak_bytes is None, "not measured is not zero"


async def test_a_tool_directory_is_shown_at_its_own_path_if_the_settings_name_it() -> None:
    for kind in KINDS:
        async with machine(kind, readable=("/usr/share/doc",)) as made:
            output = await made.shell("ls /opt/doc | wc -l", binds=(Bind("/usr/share/doc", "/opt/doc"),))
            assert int(output) > 10


async def test_a_scratch_of_which_the_worker_gives_up_is_gone(here: Machine) -> None:
    scratch = await here.scratch()
    running = await here.sandbox.start(here.spec("sleep", "1000"))
    await here.sandbox.remove_scratch(scratch)
    status = await running.wait()
    assert status.killed == "the slot is cleared"
    os.close(running.log_fd)
    with pytest.raises(SandboxFailedError, match="does not hold"):
        await here.sandbox.open_file(scratch, "x", max_bytes=1)


async def test_a_closed_sandbox_fails_what_still_waits(here: Machine) -> None:
    await here.scratch()
    running = await here.sandbox.start(here.spec("sleep", "1000"))
    waiting = asyncio.ensure_future(running.wait())
    await asyncio.sleep(0)
    await here.sandbox.close()
    with pytest.raises(SandboxFailedError, match="closed"):
        await waiting
    os.close(running.log_fd)


async def test_cancelling_a_start_leaves_nothing_behind(here: Machine) -> None:
    await here.scratch()
    starting = asyncio.ensure_future(here.sandbox.start(here.spec("sleep", "1000")))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    for _ in range(500):
        try:
            await here.sandbox.list_files(here.scratches[0], ".", max_entries=1)
            break
        except SandboxFailedError:
            await asyncio.sleep(0.02)
    assert await here.shell("echo free") == "free\n"


def test_a_status_is_ok_only_if_the_command_ran_and_said_so() -> None:
    assert ExitStatus(started=True, code=0).ok
    assert not ExitStatus(started=False, code=0).ok
    assert not ExitStatus(started=True, code=0, killed="time").ok
    assert not ExitStatus(started=True, code=0, out_of_disk=True).ok


async def test_a_scratch_larger_than_the_disk_is_cut_to_what_there_is(here: Machine) -> None:
    scratch = await here.sandbox.new_scratch(0, DiskLimits(max_bytes=1 << 50, max_entries=1000))
    assert MIB < scratch.max_bytes < 1 << 50


async def test_the_hosts_own_listeners_are_not_inherited(here: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        output = await here.shell("cat /proc/net/tcp | wc -l; ls /proc/self/fd | wc -l")
    assert output.split() == ["1", "4"]  # a heading; standard streams and the directory itself


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"slots": (Person(0, 1000),)}, "never started as root"),
        ({"slots": (Person(1000, 0),)}, "never started as root"),
        ({"store": Person(0, 0)}, "never started as root"),
        ({"slots": (Person(64501, 64501), Person(64501, 64501)), "separate": True}, "share one user"),
        ({"slots": (Person(64502, 64502),), "separate": True}, "share one user"),
    ],
)
async def test_a_launcher_with_root_or_shared_users_in_its_settings_does_not_start(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    one = Person(64502, 64502)
    settings = LauncherSettings("x", str(tmp_path / "scratch"), str(tmp_path / "store"), (one,), one, one)
    launcher = spawn_launcher(msgspec.structs.replace(settings, **change))
    with pytest.raises(SandboxFailedError, match=words):
        await BubblewrapSandbox.connect(launcher.channel)
    assert await asyncio.to_thread(launcher.process.wait, 30) == 1


async def test_an_image_replaces_the_hosts_system(here: Machine) -> None:
    """Its own `/usr` and top-level entries and its `/etc`, but for the names that are always generated."""
    root = here.store / "image"
    for directory in ("usr/bin", "etc", "opt", "var", "tmp"):
        (root / directory).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "opt" / "tool").write_text("tool")
    (root / "etc" / "os-release").write_text("NAME=image\n")
    (root / "etc" / "passwd").write_text("evil:x:0:0::/:/bin/sh\n")
    libraries = {
        word
        for line in _output("ldd", "/bin/sh", "/usr/bin/cat", "/usr/bin/id", "/usr/bin/ls").split("\n")
        for word in line.split()
        if word[0] == "/" and word[-1] != ":"
    }
    for path in {"/bin/sh", "/usr/bin/cat", "/usr/bin/id", "/usr/bin/ls"} | libraries:
        target = root / ("usr/bin" if "/bin/" in path else os.path.dirname(path)[1:]) / os.path.basename(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    await here.scratch()
    output = await here.shell(
        "cat /etc/os-release /opt/tool; id -un; ls /usr/bin; echo x > /build/y", root=str(root)
    )
    assert output == "NAME=image\ntooltask\ncat\nid\nls\nsh\n"
    with pytest.raises(SandboxFailedError, match="not in the store"):
        await here.sandbox.start(here.spec("true", root="/"))


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


async def test_a_strict_umask_of_whoever_starts_it_changes_nothing() -> None:
    before = os.umask(0o077)
    try:
        for kind in KINDS:
            async with machine(kind) as made:
                made.put("blob", b"x")
                output = await made.shell(
                    "cat /inputs/blob; touch y; stat -c %a y",
                    binds=(Bind(str(made.store / "blob"), "/inputs/blob"),),
                )
                assert output == "x644\n"
    finally:
        os.umask(before)


def test_as_root_a_closed_directory_is_reached_by_other_users_and_only_from_here(tmp_path: Path) -> None:
    directory = tmp_path / "closed" / "state"
    directory.mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    directory.chmod(0o711)
    (directory / "file").write_text("found")
    code = (
        "import os, sys\n"
        "from liftlock.adapters.sandbox.view import reachable_path\n"
        "path = reachable_path(sys.argv[1])\n"
        "if os.geteuid() == 0: os.setgid(61234); os.setuid(61234)\n"
        "print(path, open(path + '/file').read())"
    )
    said = [_output(sys.executable, "-c", code, str(directory)) for _ in range(2)]
    path, content = said[0].split()
    assert content == "found"
    assert said[0] == said[1]
    assert (path != str(directory)) == (os.geteuid() == 0)
    assert not Path(path, "file").exists() or os.geteuid() != 0
