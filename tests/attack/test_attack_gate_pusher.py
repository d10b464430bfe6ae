"""A pusher against the gate: reading its list, its policy and its environment, asking too much, stopping it for the others."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate_frames import ask, frame
from gate_world import CompiledGitPair, GateWorld, GitPair, MercurialPair, gate_world, record

GATE, PUSHER = 47_001, 47_002
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.getuid() != 0, reason="needs several users"),
]


@pytest.fixture
def world() -> Iterator[GateWorld]:
    with gate_world(gate_user=GATE) as made:
        made.set_policy("")
        made.start()
        yield made


def as_pusher(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command,
        user=PUSHER,
        group=PUSHER,
        extra_groups=[],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
        **options,
    )


def open_to_pusher(pair: GitPair | MercurialPair) -> None:
    """Give clone and repository to the pusher, as where people push over ssh with users of their own."""
    for folder in (pair.server, pair.clone, pair.world.home):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, PUSHER, PUSHER, follow_symlinks=False)


def push_frames(*messages: bytes, repository: bytes = b"widget", extra: bytes = b"") -> list[bytes]:
    hello = b"v=1\nhook=mercurial\nrepository=" + repository + extra
    texts = [b"m\nu\n0 0\n\n" + message for message in messages]
    pieces = [b"%040x changeset %d\n%s\n" % (n + 1, len(t), t) for n, t in enumerate(texts)]
    return [frame(b"H", hello), *(frame(b"C", piece) for piece in pieces), frame(b"E", b"%d" % len(texts))]


def test_the_pushing_user_reads_neither_state_nor_policy_nor_environment_nor_memory(world: GateWorld) -> None:
    """D3. Each of the same files is read by the gate's own user, so that the test can't pass by a wrong path."""
    world.fed(record(7))
    assert world.process is not None
    process = f"/proc/{world.process.pid}"
    secrets = [
        str(world.state / "gate.db"),
        str(world.policy),
        *(f"{process}/{name}" for name in ("environ", "mem", "maps", "fd/0", "auxv", "stack")),
    ]
    for path in secrets:
        found = as_pusher("head", "-c", "1", path)
        assert found.returncode != 0, f"{path} can be read"
        assert "Permission denied" in found.stderr, found.stderr
    assert as_pusher("ls", str(world.state)).returncode != 0
    for path in (secrets[0], secrets[1]):
        done = subprocess.run(["head", "-c", "1", path], user=GATE, capture_output=True, check=False)
        assert done.returncode == 0
    assert as_pusher("kill", "-0", str(world.process.pid)).returncode != 0


def test_the_pushing_user_can_neither_feed_nor_operate_the_gate(world: GateWorld) -> None:
    world.fed(record(7))
    for name, request in (
        ("operator.sock", '{"do":"explain","repository":"r","bug":7}'),
        ("operator.sock", '{"do":"override","bug":7,"reason":"please"}'),
        ("operator.sock", '{"do":"audit"}'),
        ("feed.sock", '{"type":"snapshot-begin","source":"tracker","epoch":"x","head":9}'),
    ):
        script = (
            "import contextlib,socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n"
            # Who is refused may find the other end closed already; what it answered can still be read.
            "with contextlib.suppress(BrokenPipeError): s.sendall(sys.argv[2].encode()+b'\\n')\n"
            "print(s.makefile().readline())"
        )
        done = as_pusher("/usr/bin/python3", "-SI", "-c", script, str(world.run / name), request)
        assert "unapproved" not in done.stdout
        assert "InsufficientScopes" in done.stdout or "may not feed" in done.stdout, done.stdout + done.stderr
    entries = world.ask("audit", limit=100)["ok"]["entries"]
    assert {f"uid {PUSHER}"} == {e["actor"] for e in entries if e["outcome"] == "turned-away"}
    assert world.ask("status")["ok"]["overrides"] == []


def test_the_pushing_user_cannot_put_another_socket_in_the_gates_place(world: GateWorld) -> None:
    world.stop()
    script = "import socket,sys,os;os.unlink(sys.argv[1])"
    assert as_pusher("/usr/bin/python3", "-c", script, str(world.run / "hook.sock")).returncode != 0
    script = "import socket,sys;socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    assert as_pusher("/usr/bin/python3", "-c", script, str(world.run / "other.sock")).returncode != 0


@pytest.mark.parametrize("pair_type", [GitPair, MercurialPair])
def test_a_push_by_another_user_is_decided_and_counted_for_that_user(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair]
) -> None:
    world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 7 - x")
    open_to_pusher(pair)
    done = pair.push(user=PUSHER, group=PUSHER, extra_groups=[])
    assert done.returncode != 0
    assert "names bug 7" in done.stdout + done.stderr
    assert world.ask("audit", kind="push")["ok"]["entries"][0]["details"]["uid"] == PUSHER


@pytest.mark.parametrize("pair_type", [GitPair, CompiledGitPair, MercurialPair])
def test_a_push_of_an_ordinary_bug_connects_to_nothing_but_the_gates_socket(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair]
) -> None:
    """D2: every connect() of the push and all its children, Mercurial's over ssh, seen by the kernel's tracer."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    world.fed(record(7))
    pair = pair_type(world)
    pair.commit("Bug 8 - ordinary")
    trace = world.folder / "trace"
    if isinstance(pair, GitPair):
        arguments = ["git", "push", str(pair.server), "HEAD:refs/heads/main"]
    else:
        arguments = ["hg", "push", "--ssh", str(pair.ssh), f"ssh://server/{pair.server}"]
    done = subprocess.run(
        ["strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace), *arguments],
        cwd=pair.clone,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(world.home),
            "HGRCPATH": str(world.home / "hgrc"),
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    connects = [line for line in trace.read_text().splitlines() if " connect(" in line]
    gates = [line for line in connects if str(world.run / "hook.sock") in line]
    assert len(gates) == 1
    # The C library may look for a daemon of names on the same machine; that is no network, and no more is allowed.
    others = [line for line in connects if line not in gates and "/var/run/nscd/socket" not in line]
    assert others == []


def test_gated_itself_makes_no_connection_and_starts_no_program(world: GateWorld) -> None:
    """D3: through a push, a rejection and an override."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    world.stop()
    trace = world.folder / "trace"
    trace.touch(mode=0o666)
    os.chown(trace, GATE, GATE)
    world.start("strace", "-D", "-f", "-e", "trace=connect,execve,fork,vfork,socket", "-o", str(trace))
    began = trace.read_text()
    world.fed(record(7))
    assert b"names bug 7" in ask(world.run / "hook.sock", *push_frames(b"Bug 7 - x"))
    world.ask("override", bug=7, reason="x")
    world.ask("status")
    since = trace.read_text()[len(began) :]
    assert [
        line for line in since.splitlines() if "connect(" in line or "execve(" in line or "fork(" in line
    ] == []
    assert "socket(AF_INET" not in since


def test_gated_is_denied_what_it_never_needs(world: GateWorld) -> None:
    """The kernel denies it even to code that was brought into gated: the filter is in force."""
    assert world.process is not None
    status = Path(f"/proc/{world.process.pid}/status").read_text()
    assert "Seccomp:\t2" in status
    assert f"Uid:\t{GATE}\t{GATE}\t{GATE}\t{GATE}" in status
    script = (
        "import os,socket,subprocess\n"
        "from liftlock.adapters.system.confinement import serve_only\n"
        "serve_only()\n"
        "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):\n"
        "    try: socket.socket(family, socket.SOCK_DGRAM); print('socket', family)\n"
        "    except OSError: pass\n"
        "try: socket.socket(socket.AF_UNIX).connect('/run/x'); print('connect')\n"
        "except PermissionError: pass\n"
        "try: os.execv('/bin/true', ['true'])\n"
        "except PermissionError: print('confined')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "confined\n", done.stderr


def test_enumerating_bugs_ends_at_the_daily_quota_with_a_generic_answer_and_an_alert(
    world: GateWorld,
) -> None:
    """The oracle "push Bug N, see" is inherent; it is bounded and loud. Waiting or reconnecting does not help."""
    world.set_policy("[limits]\nsensitive-hits-per-day = 5\n")
    world.fed(*(record(bug) for bug in range(1, 41)))
    shown = set()
    for bug in range(1, 21):
        answer = ask(world.run / "hook.sock", *push_frames(b"Bug %d - x" % bug))[6:].decode()
        if f"bug {bug}:" in answer:
            shown.add(bug)
        else:
            assert "ask an operator" in answer
            assert not any(character.isdigit() for character in answer)
    assert shown == {1, 2, 3, 4, 5}
    world.stop()
    world.start()
    assert b"bug 30" not in ask(world.run / "hook.sock", *push_frames(b"Bug 30 - x"))
    assert b"bug 3:" in ask(world.run / "hook.sock", *push_frames(b"Bug 3 - x")), "what is known is no news"
    outcomes = [entry["outcome"] for entry in world.ask("audit", kind="quota", limit=100)["ok"]["entries"]]
    assert outcomes.count("exceeded") == 16


def test_one_push_of_many_numbers_shows_three(world: GateWorld) -> None:
    world.fed(*(record(bug) for bug in range(1000, 1064)))
    frames = push_frames(*(b"Bug %d - x" % bug for bug in range(1000, 1015)))
    answer = ask(world.run / "hook.sock", *frames)[6:].decode()
    assert sum(f"bug {bug}:" in answer for bug in range(1000, 1064)) == 3
    assert "and 12 more" in answer


def test_a_pusher_cannot_pass_for_somebody_else(world: GateWorld) -> None:
    """A name in the hook's hello counts only from a host's own user that the policy names."""
    world.set_policy('[[adapter]]\nuser = "47002"\nvariable = "GL_USER"\n')
    world.fed(record(7))
    ask(world.run / "hook.sock", *push_frames(b"Bug 7 - x", extra=b"\nenv.GL_USER=boss"))
    assert world.ask("audit", kind="push")["ok"]["entries"][0]["actor"] == "uid 0"


def test_a_hosts_user_that_all_pushers_share_is_told_apart_by_its_adapter(world: GateWorld) -> None:
    world.set_policy(
        '[limits]\nsensitive-hits-per-day = 1\n[[adapter]]\nuser = "root"\nvariable = "GL_USER"\n'
    )
    world.fed(record(7), record(8))
    path = world.run / "hook.sock"
    assert b"bug 7:" in ask(path, *push_frames(b"Bug 7 - x", extra=b"\nenv.GL_USER=alice"))
    assert b"bug 8:" not in ask(path, *push_frames(b"Bug 8 - x", extra=b"\nenv.GL_USER=alice"))
    assert b"bug 8:" in ask(path, *push_frames(b"Bug 8 - x", extra=b"\nenv.GL_USER=bob"))
    actors = [entry["actor"] for entry in world.ask("audit", kind="push")["ok"]["entries"]]
    assert actors == ["GL_USER:bob", "GL_USER:alice", "GL_USER:alice"]


def test_silent_and_slow_connections_are_closed_and_do_not_stop_the_others(world: GateWorld) -> None:
    world.set_policy("[limits]\nconnections-per-user = 300\nconnections = 400\n")
    world.fed(record(7))
    path = world.run / "hook.sock"
    idle = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(200)]
    try:
        for connection in idle:
            connection.settimeout(20)
            connection.connect(str(path))
            connection.sendall(b"H\0\0")
        assert b"names bug 7" in ask(path, *push_frames(b"Bug 7 - x"))
        for connection in idle:
            assert connection.recv(1) == b"", "closed by gated"
    finally:
        for connection in idle:
            connection.close()


def test_one_user_cannot_take_all_connections(world: GateWorld) -> None:
    world.set_policy("[limits]\nconnections-per-user = 4\nconnections = 8\n")
    world.fed(record(7))
    path = world.run / "hook.sock"
    held = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(4)]
    try:
        for connection in held:
            connection.connect(str(path))
        assert b"too many pushes at the same time" in ask(path, *push_frames(b"Bug 7 - x"))
        script = (
            "import socket,sys;s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1]);"
            "s.sendall(bytes.fromhex(sys.argv[2]));print(s.makefile('rb').read())"
        )
        frames = b"".join(push_frames(b"Bug 7 - x")).hex()
        done = as_pusher("/usr/bin/python3", "-SI", "-c", script, str(path), frames)
        assert "names bug 7" in done.stdout, done.stderr
    finally:
        for connection in held:
            connection.close()


def test_malformed_questions_do_not_push_other_entries_out_of_the_audit_trail(world: GateWorld) -> None:
    world.fed(record(7))
    question = frame(b"H", b"v=1\nhook=git\nrepository=r") + frame(b"N", b"x")
    for _ in range(260):
        ask(world.run / "hook.sock", question)
    assert len(world.ask("audit", kind="push", limit=1_000)["ok"]["entries"]) == 200
    assert 'liftlock_gate_errors_total{kind="audit-dropped"} 60' in world.ask("metrics")["ok"]["text"]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"H\xff\xff\xff\xff",
        frame(b"H", b"no pairs"),
        frame(b"H", b"v=2\nhook=git\nrepository=r"),
        frame(b"H", b"v=1\nhook=svn\nrepository=r"),
        frame(b"H", b"v=1\nhook=git\nrepository=" + b"r" * 300),
        frame(b"E", b"0"),
        frame(b"H", b"v=1\nhook=git\nrepository=r") + frame(b"C", b"x" * 300),
        frame(b"H", b"v=1\nhook=git\nrepository=r") + frame(b"C", b"%040x commit 99999999999\n" % 1),
        frame(b"H", b"v=1\nhook=git\nrepository=r")
        + frame(b"C", b"%040x commit 10\nab" % 1)
        + frame(b"E", b""),
        frame(b"H", b"v=1\nhook=git\nrepository=r") + frame(b"N", b"x"),
        frame(b"H", b"v=1\nhook=git\nrepository=r") + frame(b"E", b"5"),
    ],
)
def test_malformed_questions_get_the_policys_answer_and_hurt_nobody(world: GateWorld, data: bytes) -> None:
    world.set_policy('[defaults]\nfail = "closed"\n')
    world.fed(record(7))
    answer = ask(world.run / "hook.sock", data)
    assert answer[:1] == b"V"
    assert answer[5:6] == b"R", "what can't be checked is rejected where the policy says closed"
    assert b"names bug 7" in ask(world.run / "hook.sock", *push_frames(b"Bug 7 - x"))


def test_a_repository_and_a_users_settings_do_not_reach_the_policy(world: GateWorld) -> None:
    """Policy is never read from the repository or the user's configuration; git runs with neither in the hook."""
    world.fed(record(7))
    pair = GitPair(world)
    pair.commit("Bug 7 - x")
    pair.run("config", "alias.rev-list", "!true", where=pair.server)
    (world.home / ".gitconfig").write_text('[alias]\n\trev-list = "!true"\n[log]\n\tshowSignature = true\n')
    environment = {
        "LIFTLOCK_GATE": "off",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "i18n.logOutputEncoding",
        "GIT_CONFIG_VALUE_0": "UTF-16",
        "PYTHONPATH": str(world.folder),
        "PYTHONSTARTUP": "/nonexistent",
    }
    (world.folder / "socket.py").write_text("raise SystemExit(0)\n")
    (world.folder / "select.py").write_text("raise SystemExit(0)\n")
    assert "names bug 7" in pair.push(env=environment).stderr


@pytest.mark.parametrize("pair_type", [GitPair, MercurialPair])
def test_what_a_repositorys_settings_start_when_root_audits_it_runs_as_its_owner(
    world: GateWorld, pair_type: type[GitPair] | type[MercurialPair]
) -> None:
    """git fetches what is missing by a program that the repository names; hg loads the extensions that it names."""
    world.fed(record(7))
    pair = pair_type(world, install=False)
    pair.commit("Bug 7 - x")
    assert pair.push().returncode == 0
    ran = pair.server / "ran"
    if isinstance(pair, GitPair):
        for name, value in (
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "far"),
            ("remote.far.url", str(pair.server)),
            ("remote.far.promisor", "true"),
            ("remote.far.uploadpack", f"id -u > {ran}; false"),
        ):
            pair.run("config", name, value, where=pair.server)
        (pair.server / "refs/heads/main").write_text("e" * 40 + "\n")
    else:
        extension = pair.server / "evil.py"
        extension.write_text(f"import os\nopen({str(ran)!r}, 'w').write(str(os.getuid()))\n")
        (pair.server / ".hg" / "hgrc").write_text(f"[extensions]\nevil = {extension}\n")
    open_to_pusher(pair)
    world.liftlock("replay", "widget", str(pair.server), "--audit")
    world.liftlock("replay", "widget", str(pair.server), "--range", "e" * 40)
    assert ran.read_text().strip() == str(PUSHER)


def test_a_made_up_repository_gives_no_fresh_quota_and_floods_no_trail() -> None:
    with gate_world() as world:
        world.set_policy("[limits]\nsensitive-hits-per-day = 2\n")
        world.start()
        world.fed(*[record(bug) for bug in range(1, 6)])
        answers = [
            ask(world.run / "hook.sock", *push_frames(b"Bug %d - x" % bug, repository=b"made-up-%d" % bug))
            for bug in range(1, 6)
        ]
        assert [b"too many of them" in answer for answer in answers] == [False, False, True, True, True]
        for turn in range(60):
            ask(world.run / "hook.sock", *push_frames(b"Bug 1 - x", repository=b"another-%d" % turn))
        entries = world.ask("audit", kind="push", limit=1000)["ok"]["entries"]
        assert sum(entry["repository"].startswith("another") for entry in entries) == 19
        assert 'errors_total{kind="audit-folded"} 41' in world.ask("metrics")["ok"]["text"]


STRANGERS = """
import socket, sys, time
held = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    try:
        one.connect(sys.argv[1])
        one.setblocking(False)
        one.send(b"x" * 16_000_000)
    except OSError:
        pass
    held.append(one)
print("connected", flush=True)
time.sleep(30)
"""


def resident_mib(world: GateWorld) -> int:
    assert world.process is not None
    status = Path(f"/proc/{world.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024


def test_strangers_neither_lock_operators_out_nor_fill_the_memory(world: GateWorld) -> None:
    world.fed(record(7))
    before = resident_mib(world)
    path = str(world.run / "operator.sock")
    command = [sys.executable, "-SI", "-c", STRANGERS, path, "60"]
    with subprocess.Popen(
        command, user=PUSHER, group=PUSHER, extra_groups=[], stdout=subprocess.PIPE
    ) as strangers:
        assert strangers.stdout is not None
        strangers.stdout.readline()
        try:
            assert world.ask("status")["ok"]["sources"]["tracker"]["known"]
            assert resident_mib(world) < before + 64
        finally:
            strangers.kill()
