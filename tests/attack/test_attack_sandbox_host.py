"""What a hostile task tries against the host and the kernel, in the real sandbox, as root and as an ordinary user."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from sandboxes import KINDS, Machine, living, machine

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

SYSCALL = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def attempt(act):
    try:
        act()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
"""
"""x86-64 numbers are used where the call has no wrapper; the tests that use them say so."""


@pytest_asyncio.fixture(params=KINDS, scope="module", loop_scope="module")
async def here(request: pytest.FixtureRequest) -> AsyncIterator[Machine]:
    async with machine(request.param) as made:
        await made.scratch(0)
        await made.scratch(1)
        yield made


async def test_attack_files_of_the_host_can_not_be_seen(here: Machine) -> None:
    credentials = here.directory / "liftlock.env"
    credentials.write_text("TASKCLUSTER_ACCESS_TOKEN=secret")
    key = here.put("key.pem", b"private")
    paths = [
        "/home", "/root", "/work", "/var", "/srv", "/opt", "/boot", "/media", "/mnt", "/sys", "/host", "/newroot", "/oldroot",
        "/etc/shadow", "/etc/ssh", "/etc/ssl/private", "/etc/pip.conf", "/etc/gitconfig", "/run/liftlock", "/run/dbus",
        "/var/run/docker.sock", str(Path.cwd()), str(here.directory), str(credentials), key, str(here.store),
        here.settings.scratch_dir, os.environ.get("HOME", "/root") + "/.ssh",
    ]  # fmt: skip
    code = "import os, sys; print([path for path in sys.argv[1:] if os.path.lexists(path)])"
    assert await here.python(code, *paths) == "[]\n"
    assert (await here.shell("ls -A /")).split() == [
        "bin", "build", "dev", "etc", "inputs", "lib", "lib64", "proc", "run", "sbin", "tmp", "usr",
    ]  # fmt: skip


async def test_attack_etc_names_no_user_key_or_address_of_the_host(here: Machine) -> None:
    listed = await here.shell("ls -A /etc; cat /etc/passwd /etc/hosts /etc/resolv.conf; hostname")
    assert "postgres" not in listed
    assert socket.gethostname() not in listed.split()
    assert "ca-certificates.crt" in await here.shell("ls /etc/ssl/certs")


async def test_attack_another_slots_scratch_can_not_be_reached(here: Machine) -> None:
    await here.shell("echo secret > /build/other", slot=1)
    script = "find / -name other -not -path '/usr/*' -not -path '/proc/*' 2>/dev/null || true; ls /build/../.. | grep -c other || true"
    assert await here.shell(script, slot=0) == "0\n"


async def test_attack_process_one_shows_nothing_of_the_host(here: Machine) -> None:
    code = (
        "import os; print(sorted(open('/proc/1/environ').read().split('\\0')[:-1]));"
        "print(open('/proc/1/cmdline').read().split('\\0')[:4]);"
        "print(os.path.samestat(os.stat('/proc/1/root/.'), os.stat('/')));"
        "print(sorted(os.readlink(f'/proc/1/fd/{n}').split(':')[0] for n in os.listdir('/proc/1/fd')));"
        "print(os.path.exists('/proc/1/root/home'), os.path.exists('/proc/1/cwd/home'))"
    )
    os.environ["LIFTLOCK_TEST_SECRET"] = "leak"
    lines = (await here.python(code, env={"ONLY": "this"})).splitlines()
    assert lines[0] == "[]", "PID 1 is bubblewrap's own, and has no environment"
    assert eval(lines[1])[0] == "/usr/bin/bwrap"
    assert eval(lines[1])[1] == "--args", "mounts and paths are not on the command line"
    assert lines[2] == "True"
    assert lines[3] == str(["/dev/null", "anon_inode", "pipe", "pipe"])
    assert lines[4] == "False False"


async def test_attack_a_tasks_environment_does_not_reach_the_loader_of_a_program_outside(
    here: Machine,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        env = {
            "LD_PRELOAD": "/nonexistent-preload.so",
            "LD_AUDIT": "/nonexistent-audit.so",
            "LD_DEBUG": "files",
            "LD_DEBUG_OUTPUT": f"{folder}/loader",
            "LD_LIBRARY_PATH": f"{folder}/lib",
            "GCONV_PATH": folder,
        }
        output, status = await here.run("/bin/true", env=env)
        assert status.ok, f"{status}: {output}"
        assert os.listdir(folder) == [], "a program outside wrote what the task's environment asked for"
    for complaint in ("cannot be preloaded", "cannot be loaded as audit interface"):
        assert output.count(complaint) == 1, "the command's loader says it once; a second one was outside"


async def test_attack_processes_of_the_host_can_not_be_seen_or_signalled(here: Machine) -> None:
    code = (
        "import os; pids=[int(n) for n in os.listdir('/proc') if n.isdigit()]; print(len(pids), max(pids) < 50);"
        f"print([pid for pid in ({os.getpid()}, {here.launcher.process.pid}) if pid > 50 and os.path.exists(f'/proc/{{pid}}')])"
    )
    assert await here.python(code) == "2 True\n[]\n"
    assert here.launcher.process.poll() is None


async def test_attack_kernel_settings_can_not_be_written(here: Machine) -> None:
    """core_pattern runs a program as root on the host when anything crashes."""
    code = SYSCALL + (
        "paths=['/proc/sys/kernel/core_pattern','/proc/sysrq-trigger','/proc/sys/kernel/modprobe','/proc/sys/vm/overcommit_memory',"
        "'/proc/sys/kernel/hostname','/proc/sys/net/ipv4/ip_forward','/proc/sys/fs/binfmt_misc/register','/proc/kcore','/proc/kmsg',"
        "'/dev/kmsg','/dev/mem','/proc/sys/kernel/yama/ptrace_scope','/proc/irq/0/smp_affinity','/proc/1/oom_score_adj']\n"
        "def write(path):\n"
        "    with open(path, 'r+b', 0) as file: file.write(file.read(64) or b'0')\n"
        "print([path for path in paths if os.path.lexists(path) and attempt(lambda: write(path)) == 'done'])"
    )
    before = _text("/proc/sys/kernel/core_pattern")
    output = await here.python(code)
    assert output in ("[]\n", "['/proc/1/oom_score_adj']\n"), "a score may be raised, for oneself"
    assert _text("/proc/sys/kernel/core_pattern") == before


async def test_attack_the_kernel_log_can_not_be_read(here: Machine) -> None:
    code = (
        SYSCALL
        + "print(attempt(lambda: open('/dev/kmsg')), libc.klogctl(3, ctypes.create_string_buffer(100), 100))"
    )
    assert await here.python(code) == "ENOENT -1\n"


async def test_attack_ptrace_and_other_peoples_memory_are_refused(here: Machine) -> None:
    code = SYSCALL + (
        "print(libc.ptrace(0, 0, 0, 0), errno.errorcode[ctypes.get_errno()]);"
        "buffer = ctypes.create_string_buffer(16)\n"
        "print(libc.process_vm_readv(1, None, 0, None, 0, 0), errno.errorcode[ctypes.get_errno()])"
    )
    assert await here.python(code) == "-1 EPERM\n-1 EPERM\n"


async def test_attack_no_keys_can_be_typed_into_a_terminal(here: Machine) -> None:
    """TIOCSTI, also with the upper half of the request set, which the kernel ignores and filters may not."""
    code = SYSCALL + (
        "import pty; leader, follower = pty.openpty()\n"
        "for request in (0x5412, 0x5412 | 1 << 32, 0x541C, 0x541D):\n"
        "    print(call(16, follower, request, ctypes.c_char_p(b'x')))\n"
        "print(attempt(lambda: open('/dev/tty')))"
    )
    assert await here.python(code) == "EPERM\nEPERM\nEPERM\nEPERM\nENXIO\n"


async def test_attack_abstract_sockets_of_the_host_can_not_be_reached(here: Machine) -> None:
    name = f"\0liftlock-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen()
        code = (
            SYSCALL
            + "import socket; print(attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + sys.argv[1])))"
        )
        assert await here.python(code, name[1:]) == "ECONNREFUSED\n"


async def test_attack_the_hosts_loopback_can_not_be_reached(here: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        port = str(listening.getsockname()[1])
        code = SYSCALL + (
            "import socket\n"
            "for host in ('127.0.0.1', '127.0.0.2', '0.0.0.0', 'localhost'):\n"
            "    print(attempt(lambda: socket.create_connection((host, int(sys.argv[1])), 5)))"
        )
        assert await here.python(code, port) == "ECONNREFUSED\n" * 4
        with pytest.raises(BlockingIOError):
            listening.accept()


async def test_attack_there_is_no_way_out_of_the_network(here: Machine) -> None:
    code = SYSCALL + (
        "import socket\n"
        "for host in ('192.0.2.1', '169.254.169.254', '10.0.0.1'):\n"
        "    print(attempt(lambda: socket.create_connection((host, 80), 5)))\n"
        "print(attempt(lambda: socket.create_connection(('2001:db8::1', 80), 5)))\n"
        "print([name for _, name in socket.if_nameindex()])"
    )
    lines = (await here.python(code)).splitlines()
    assert lines[:3] == ["ENETUNREACH"] * 3
    assert lines[3] in ("ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT")
    assert lines[4] == "['lo']"


async def test_attack_names_are_not_resolved(here: Machine) -> None:
    code = (
        "import socket\ntry: print(socket.getaddrinfo('files.example', 80))\n"
        "except socket.gaierror as error: print('refused')"
    )
    assert await here.python(code) == "refused\n"


async def test_attack_only_four_families_of_sockets_exist(here: Machine) -> None:
    """A vsock reaches the hypervisor in spite of a closed network; AF_ALG and AF_PACKET are raw kernel interfaces."""
    code = SYSCALL + (
        "import socket\n"
        "kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)\n"
        "print([family for family in range(0, 300) if family not in (1, 2, 10, 16) and\n"
        "  {attempt(lambda: socket.socket(family, kind)) for kind in kinds} != {'EAFNOSUPPORT'}])\n"
        "print(attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)))\n"
        "print(call(41, 40 | 1 << 32, 1, 0))"
    )
    assert await here.python(code) == "[]\nEPERM\nEAFNOSUPPORT\n"


async def test_attack_namespaces_can_not_be_nested(here: Machine) -> None:
    code = SYSCALL + (
        "for flag in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):\n"
        "    print(attempt(lambda: libc.unshare(flag) == 0 or (_ for _ in ()).throw(OSError(ctypes.get_errno(), ''))),\n"
        "          call(56, flag | 17, 0, 0, 0, 0), end=' ')\n"
        "print(call(435, ctypes.create_string_buffer(88), 88))"
    )
    assert await here.python(code) == "EPERM EPERM " * 8 + "ENOSYS\n"
    for program in ("unshare -r true", "bwrap --ro-bind / / true", "setpriv --reuid 0 true"):
        output, status = await here.run("sh", "-c", program)
        assert status.code != 0, f"{program}: {output}"


async def test_attack_nothing_can_be_mounted_or_entered(here: Machine) -> None:
    code = SYSCALL + (
        "print(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), errno.errorcode[ctypes.get_errno()])\n"
        "print(libc.umount2(b'/build', 2), errno.errorcode[ctypes.get_errno()])\n"
        "print(attempt(lambda: os.chroot('/tmp')))\n"
        "descriptor = os.open('/proc/1/ns/mnt', os.O_RDONLY)\n"
        "print(libc.setns(descriptor, 0), errno.errorcode[ctypes.get_errno()])\n"
        "print([call(n, 0, 0, 0, 0, 0) for n in (155, 428, 429, 430, 431, 432, 433, 442, 467)])"
    )
    assert await here.python(code) == "-1 EPERM\n-1 EPERM\nEPERM\n-1 EPERM\n" + str(["EPERM"] * 9) + "\n"


async def test_attack_risky_system_calls_are_refused(here: Machine) -> None:
    """io_uring, keys, BPF, perf, userfaultfd, handles, modules, kexec, swap, clocks (x86-64 numbers)."""
    numbers = {
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "add_key": 248, "request_key": 249,
        "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246,
        "kexec_file_load": 320, "swapon": 167, "reboot": 169, "acct": 163, "quotactl": 179, "settimeofday": 164,
        "clock_settime": 227, "adjtimex": 159, "iopl": 172, "ioperm": 173, "kcmp": 312, "pidfd_getfd": 438,
        "process_madvise": 440, "fanotify_init": 300, "vhangup": 153, "syslog": 103, "modify_ldt": 154,
    }  # fmt: skip
    code = SYSCALL + "print({int(n): call(int(n), 0, 0, 0, 0, 0) for n in sys.argv[1:]})"
    answered = eval(await here.python(code, *map(str, numbers.values())))
    assert {name: answered[number] for name, number in numbers.items() if answered[number] != "EPERM"} == {}


async def test_attack_foreign_calling_conventions_are_killed(here: Machine) -> None:
    """The x32 twin of a refused call must not get past the filter."""
    _, status = await here.run("python3", "-c", SYSCALL + "call(0x40000000 | 39)")
    assert status.code == 128 + 31  # SIGSYS


async def test_attack_setuid_bits_can_not_be_made(here: Machine) -> None:
    code = SYSCALL + (
        "open('file', 'w').close(); directory = os.open('.', os.O_RDONLY); descriptor = os.open('file', os.O_RDWR)\n"
        "for bit in (0o4755, 0o2755, 0o6755):\n"
        "    print(attempt(lambda: os.chmod('file', bit)), attempt(lambda: os.fchmod(descriptor, bit)),\n"
        "          attempt(lambda: os.chmod('file', bit, dir_fd=directory)), call(452, directory, ctypes.c_char_p(b'file'), bit, 0),\n"
        "          attempt(lambda: os.open('made', os.O_CREAT | os.O_WRONLY, bit)), call(85, ctypes.c_char_p(b'made'), bit),\n"
        "          call(2, ctypes.c_char_p(b'made'), os.O_CREAT, bit), attempt(lambda: os.mknod('made', bit | 0o100000)))\n"
        "print(os.path.exists('made'), call(437, directory, ctypes.c_char_p(b'made'), ctypes.create_string_buffer(24), 24))"
    )
    assert await here.python(code) == ("EPERM " * 8)[:-1].join(["", "\n"]) * 3 + "False ENOSYS\n"


async def test_attack_setuid_programs_give_no_rights(here: Machine) -> None:
    status = await here.shell(
        "grep -E '^(NoNewPrivs|Seccomp|Cap(Inh|Prm|Eff|Bnd|Amb))' /proc/self/status | tr -d '\\t' | tr '\\n' ' '"
    )
    none = "0" * 16
    assert status.startswith(
        f"CapInh:{none} CapPrm:{none} CapEff:{none} CapBnd:{none} CapAmb:{none} NoNewPrivs:1 Seccomp:2"
    )
    mounts = (await here.shell("cat /proc/self/mounts")).splitlines()
    assert [line for line in mounts if "nosuid" not in line.split()[3].split(",")] == []
    assert await here.shell("cp /usr/bin/id id; chmod 755 id; ./id -u") == "1000\n"


async def test_attack_process_one_is_filtered_too(here: Machine) -> None:
    """Else a task could write its code into it and call what it is refused itself."""
    script = "grep -E '^(NoNewPrivs|Seccomp|CapEff|CapPrm)' /proc/1/status | tr -d '\\t' | tr '\\n' ' '"
    none = "0" * 16
    assert (await here.shell(script)).startswith(f"CapPrm:{none} CapEff:{none} NoNewPrivs:1 Seccomp:2")


async def test_attack_devices_can_not_be_made_and_only_harmless_ones_exist(here: Machine) -> None:
    code = SYSCALL + (
        "import stat\n"
        "print(attempt(lambda: os.mknod('mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1))),\n"
        "      attempt(lambda: os.mknod('/tmp/disk', 0o600 | stat.S_IFBLK, os.makedev(254, 0))))\n"
        "print(sorted(os.listdir('/dev')))"
    )
    expected = [
        "core",
        "fd",
        "full",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
    ]
    assert await here.python(code) == f"EPERM EPERM\n{expected}\n"


async def test_attack_the_system_can_not_be_written(here: Machine) -> None:
    code = SYSCALL + (
        "for path in ('/x', '/usr/x', '/etc/x', '/inputs/x', '/dev/x', '/usr/bin/sh', '/etc/passwd', '/proc/x'):\n"
        "    print(attempt(lambda: open(path, 'a')), end=' ')\n"
        "print(attempt(lambda: os.chmod('/etc/passwd', 0o666)), attempt(lambda: os.rename('/etc', '/cte')))"
    )
    assert await here.python(code) == "EROFS EROFS EROFS EROFS EROFS EACCES EACCES ENOENT EROFS EROFS\n"


async def test_attack_killing_everything_ends_only_the_own_sandbox(here: Machine) -> None:
    sibling = await here.sandbox.start(here.spec("sleep", "1000", slot=1))
    _, status = await here.run("python3", "-c", "import os; os.kill(-1, 9)")
    assert status.started
    assert here.launcher.process.poll() is None
    await sibling.kill("done")
    assert (await sibling.wait()).killed == "done", "the sibling was alive until now"
    os.close(sibling.log_fd)


async def test_attack_a_sandbox_never_runs_as_root(here: Machine) -> None:
    forever = f"1000.{os.getpid()}"
    running = await here.sandbox.start(here.spec("sleep", forever))
    owners: set[str] = set()
    for pid in living(f"sleep\x00{forever}"):
        status = _text(f"/proc/{pid}/status")
        owners |= {line for line in status.splitlines() if line.startswith(("Uid:", "Gid:"))}
    await running.kill("enough")
    await running.wait()
    os.close(running.log_fd)
    expected = here.settings.slots[0].uid
    assert expected != 0
    assert any(line.split() == ["Uid:", *[str(expected)] * 4] for line in owners)
    assert not any("0" in line.split()[1:] for line in owners)


async def test_attack_a_launcher_that_is_taken_over_has_few_rights_and_no_network(here: Machine) -> None:
    status = _text(f"/proc/{here.launcher.process.pid}/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["NoNewPrivs"] == "1"
    if here.kind == "root":
        kept = 0b10_0000_0000_0000_1110_1111  # chown, dac_*, fowner, kill, setgid, setuid, sys_admin
        assert int(facts["CapEff"], 16) & ~kept == 0
        assert int(facts["CapBnd"], 16) & ~kept == 0
        assert [
            line.split(":")[0].strip()
            for line in _text(f"/proc/{here.launcher.process.pid}/net/dev").splitlines()[2:]
        ] == ["lo"]
        assert "liftlock" not in _text("/proc/self/mounts"), "what it mounts is not seen outside"
    else:
        assert int(facts["CapEff"], 16) == 0


async def test_attack_the_controlling_cgroup_can_not_be_seen_or_changed(here: Machine) -> None:
    assert (
        await here.shell("cut -d: -f3 /proc/self/cgroup | sort -u; ls /sys 2>/dev/null | wc -l") == "/\n0\n"
    )


def _text(path: str) -> str:
    return Path(path).read_text()
