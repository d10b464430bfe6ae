"""The units for gated and its audit: what they start exists, and what they deny is what gated does without."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gate_world import GitPair, gate_world, record

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
pytestmark = pytest.mark.process


def settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (UNITS / name).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_gateds_unit_starts_gated_as_its_own_user_with_options_that_exist() -> None:
    unit = settings("liftlock-gated.service")
    words = shlex.split(unit["ExecStart"][0])
    assert words[1:4] == ["-P", "-m", "liftlock.processes.gated"]
    helped = subprocess.run(
        [sys.executable, *words[1:4], "--help"], capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"--\w+", " ".join(words[4:]))) <= set(re.findall(r"--\w+", helped.stdout))
    assert unit["User"] == ["llgate"]
    assert unit["StateDirectoryMode"] == ["0700"]
    assert unit["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert unit["ExecStartPost"] == ["+-/usr/bin/systemctl start --no-block liftlock-gate-audit.service"], (
        "each start is followed by an audit of what came while it was down"
    )
    assert settings("liftlock-gate-audit.timer")["OnUnitInactiveSec"] == ["10min"]


def test_the_audits_unit_goes_through_all_repositories_and_fails_if_something_slipped_by(
    tmp_path: Path,
) -> None:
    """Its shell line, with our own paths in place of the system's."""
    words = shlex.split(settings("liftlock-gate-audit.service")["ExecStart"][0])
    assert words[:2] == ["/bin/sh", "-c"]
    with gate_world() as world:
        world.start()
        world.fed(record(7))
        pairs = [GitPair(world, name, install=False) for name in ("one", "two")]
        listed = tmp_path / "list"
        listed.write_text("".join(f"{pair.server.stem} {pair.server}\n" for pair in pairs) + "\n")
        liftlock = f"{Path(sys.executable).parent / 'liftlock'} gate replay --run {world.run}"
        line = words[2].replace("/opt/liftlock/.venv/bin/liftlock gate replay", liftlock)
        line = line.replace("/etc/liftlock/gate-audit.list", str(listed))

        def audit() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["/bin/sh", "-c", line], capture_output=True, text=True, check=False, env=dict(os.environ)
            )

        assert audit().returncode == 0
        for pair in pairs:
            pair.commit("Bug 7 - past the gate")
            assert pair.push().returncode == 0
        done = audit()
        assert done.returncode == 1
        assert done.stdout.count("1 of 1 new commits slipped through") == 2


@pytest.mark.skipif(os.getuid() != 0, reason="runs gated as another user")
def test_gated_needs_no_call_that_its_unit_denies() -> None:
    """Every system call of a life of gated as llgate would live it, against the groups that the unit allows."""
    strace, analyze = "/usr/bin/strace", "/usr/bin/systemd-analyze"
    if not (os.access(strace, os.X_OK) and os.access(analyze, os.X_OK)):
        pytest.skip("needs strace and systemd-analyze")
    with gate_world(gate_user=47_001) as world:
        trace = world.folder / "trace"
        trace.touch()
        os.chown(trace, 47_001, 47_001)
        world.start(strace, "-D", "-f", "-o", str(trace))
        world.fed(record(7))
        pair = GitPair(world)
        pair.commit("Bug 7 - x")
        assert pair.push().returncode == 1
        world.ask("override", bug=7, reason="x")
        world.set_policy("")
        world.stop()
        text = trace.read_text()
    called = set(re.findall(r"^\d+ +(\w+)\(", text, re.MULTILINE))
    assert {"accept4", "epoll_wait", "fdatasync"} <= called, "the trace is not of a life"
    assert denied_calls(text, "liftlock-gated.service") == set()
    assert "PROT_WRITE|PROT_EXEC" not in text


def denied_calls(trace: str, unit: str) -> set[str]:
    """Return the system calls of a trace that a unit does not allow."""
    analyze = "/usr/bin/systemd-analyze"
    if not os.access(analyze, os.X_OK):
        pytest.skip("needs systemd-analyze")
    called = set(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))
    allowed, denied = set[str](), set[str]()
    for value in settings(unit)["SystemCallFilter"]:
        for word in value.removeprefix("~").split():
            group = _calls(word, analyze) if word.startswith("@") else {word}
            (denied if value.startswith("~") else allowed).update(group)
    return called - (allowed - denied)


def _calls(group: str, analyze: str) -> set[str]:
    shown = subprocess.run([analyze, "syscall-filter", group], capture_output=True, text=True, check=True)
    found = set[str]()
    for line in shown.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= _calls(word, analyze)
        elif word and not word.startswith("#"):
            found.add(word)
    return found
