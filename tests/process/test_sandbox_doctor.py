"""`liftlock doctor` on this machine, as root and as an ordinary user, and on one that lacks what is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from liftlock.adapters.sandbox import trial
from liftlock.processes.doctor import doctor
from sandboxes import KINDS, ORDINARY_UID

pytestmark = pytest.mark.process


def diagnose(kind: str, *options: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from liftlock.processes.doctor import doctor; doctor(sys.argv[1:])"
    other = (
        {"user": ORDINARY_UID, "group": ORDINARY_UID, "extra_groups": []}
        if kind == "ordinary" and os.geteuid() == 0
        else {}
    )
    return subprocess.run(
        [sys.executable, "-c", code, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"]},
        **other,
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_says_what_there_is_and_how_to_get_what_is_missing(kind: str) -> None:
    said = diagnose(kind)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "ok      bubblewrap          bubblewrap 0." in said.stdout
    assert "ok      sandbox             a program was run in one" in said.stdout
    if kind == "root":
        assert "missing" not in said.stdout
        assert said.stdout.endswith("\ntasks can be run here\n")
    else:
        assert "missing user per slot       users: run as root" in said.stdout
        assert "systemd-run --user --scope -p Delegate=yes" in said.stdout
        assert "refuses to: no cgroup limit on memory" in said.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_speaks_json(kind: str) -> None:
    said = json.loads(diagnose(kind, "--json").stdout)
    assert said["possible"] is True
    assert said["untrusted"] is (kind == "root")
    assert said["isolation"]["users"] == ("separate" if kind == "root" else "single-user")
    assert {"name", "ok", "needed", "detail"} == set(said["findings"][0])


def test_without_bubblewrap_the_doctor_says_so_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trial, "SEARCH", str(tmp_path))
    said = CliRunner().invoke(doctor)
    assert said.exit_code == 1
    assert (
        "missing bubblewrap          bubblewrap is not installed: apt-get install bubblewrap" in said.output
    )
    assert "no task can be run here" in said.output


@pytest.mark.parametrize(
    ("script", "mode", "words"),
    [
        ("echo bubblewrap 0.7.1", 0o755, "0.8 or later is needed"),
        ("echo bubblewrap 0.8.0", 0o4755, "setuid root"),
        ("false", 0o755, "broken"),
    ],
)
def test_an_unfit_bubblewrap_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, mode: int, words: str
) -> None:
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(mode)
    monkeypatch.setattr(trial, "SEARCH", str(tmp_path))
    said = CliRunner().invoke(doctor, ["--json"])
    assert said.exit_code == 1
    finding = json.loads(said.output)["findings"][0]
    assert finding["ok"] is False
    assert words in finding["detail"]


def test_where_the_kernel_refuses_namespaces_the_doctor_repeats_bubblewraps_words_and_fails() -> None:
    """In a user namespace that allows no further ones: what a locked-down container is like."""
    code = (
        "import os; from pathlib import Path\n"
        "from liftlock.adapters.sandbox.syscalls import CLONE_NEWUSER, unshare\n"
        "uid, gid = os.getuid(), os.getgid(); unshare(CLONE_NEWUSER)\n"
        "Path('/proc/self/setgroups').write_text('deny')\n"
        "Path('/proc/self/uid_map').write_text(f'{uid} {uid} 1'); Path('/proc/self/gid_map').write_text(f'{gid} {gid} 1')\n"
        "Path('/proc/sys/user/max_user_namespaces').write_text('0')\n"
        "from liftlock.processes.doctor import doctor; doctor([])"
    )
    uid = ORDINARY_UID if os.geteuid() == 0 else os.geteuid()
    other = {"user": uid, "group": uid, "extra_groups": []} if os.geteuid() == 0 else {}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/", **other
    )  # type: ignore[call-overload]
    assert said.returncode == 1, said.stderr
    assert "missing sandbox             bubblewrap could not make the namespaces: bwrap: " in said.stdout
    assert "user.max_user_namespaces above 0" in said.stdout
