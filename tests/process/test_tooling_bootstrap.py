"""`scripts/bootstrap` on machines that lack things: what it installs, what it asks for, and that it then does nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = [
    "sh",
    "dirname",
    "cat",
    "id",
    "sha256sum",
    "cut",
    "mkdir",
    "cmp",
    "flock",
    "mktemp",
    "rm",
    "cp",
    "ln",
    "env",
    "git",
    "bsdtar",
    "bwrap",
    "basename",
    "date",
]


class Machine:
    """A checkout in a folder, with a PATH of its own: `bin` holds all programs that bootstrap can see."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.log.touch()
        self.bin.mkdir()
        (self.checkout / "examples/one/taskcluster").mkdir(parents=True)
        (self.checkout / "examples/one/taskcluster/requirements.txt").touch()
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts")
        for name in ("uv.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, self.checkout / name)
        for name in NEEDED:
            found = shutil.which(name)
            assert found, f"{name} is missing on this machine"
            (self.bin / name).symlink_to(found)
        self.program("scripts/wheelhouse", f"echo wheelhouse >>{self.log}; mkdir -p .cache/wheelhouse")
        self.program(
            ".cache/uv-venv/bin/uv",
            f'echo uv "$@" >>{self.log}; mkdir -p .venv/bin; ln -sf /usr/bin/python3 .venv/bin/python',
        )
        shutil.copy(self.checkout / "scripts/uv.txt", self.checkout / ".cache/uv-venv/installed.txt")

    def program(self, path: str, script: str) -> None:
        """Put a shell script at `path`: in `bin`, or in the checkout when it has a folder."""
        target = self.checkout / path if "/" in path else self.bin / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(f"#!/bin/sh\n{script}\n")
        target.chmod(0o755)

    def programs(self) -> list[str]:
        """Return the programs that the script looks for."""
        script = (self.checkout / "scripts/bootstrap").read_text()
        return re.findall(r"^ +program (\S+) ", script, re.MULTILINE)

    def bootstrap(self, group: str = "run") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "scripts/bootstrap", group],
            cwd=self.checkout,
            env={
                "PATH": str(self.bin),
                "HOME": str(self.checkout),
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_ordinary_user_without_sudo_is_told_the_exact_line_to_type(machine: Machine) -> None:
    machine.program("id", "echo 1000")
    machine.program("apt-get", "exit 99")
    done = machine.bootstrap()
    assert done.returncode == 1
    assert done.stderr == (
        "bootstrap: these packages are missing. Install them, then run the same command again:\n"
        "    sudo apt-get install mercurial\n"
    )
    assert machine.log.read_text() == ""


def test_root_installs_what_is_missing_and_a_second_run_does_nothing(machine: Machine) -> None:
    machine.program("id", "echo 0")
    machine.program(
        "apt-get",
        f'echo apt-get "$@" >>{machine.log}; case $1 in install) ln -s /bin/true {machine.bin}/hg ;; esac',
    )
    done = machine.bootstrap()
    assert done.returncode == 0, done.stderr
    said = machine.log.read_text().splitlines()
    assert said[:2] == ["apt-get update -q", "apt-get install -q -y --no-install-recommends mercurial"]
    assert said[2].startswith("uv sync --quiet --locked")
    assert "--no-dev" in said[2]
    assert said[3:] == ["wheelhouse"]

    again = machine.bootstrap()
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert machine.log.read_text().splitlines() == said


def test_a_password_free_sudo_is_used_and_no_other(machine: Machine) -> None:
    machine.program("id", "echo 1000")
    machine.program("sudo", f'echo sudo "$@" >>{machine.log}; exit 1')
    machine.program("apt-get", f"echo apt-get >>{machine.log}")
    done = machine.bootstrap()
    assert done.returncode == 1
    assert machine.log.read_text() == "sudo -n true\n"
    assert "sudo apt-get install mercurial" in done.stderr


def test_a_failed_installation_shows_what_the_tool_said(machine: Machine) -> None:
    machine.program("id", "echo 0")
    machine.program("apt-get", "echo 'E: no space left'; exit 100")
    done = machine.bootstrap()
    assert done.returncode == 1
    assert "E: no space left" in done.stderr
    assert "apt-get could not install: mercurial" in done.stderr


def test_a_changed_lock_file_makes_the_environment_anew(machine: Machine) -> None:
    machine.program("hg", "exit 0")
    assert machine.bootstrap().returncode == 0
    before = machine.log.read_text().count("uv sync")
    with (machine.checkout / "uv.lock").open("a") as lock:
        lock.write("# changed\n")
    assert machine.bootstrap().returncode == 0
    assert (before, machine.log.read_text().count("uv sync")) == (1, 2)


def test_running_leaves_an_environment_for_tests_as_it_is(machine: Machine) -> None:
    for program in machine.programs():
        if not (machine.bin / program).exists():
            machine.program(program, "exit 0")
    assert machine.bootstrap("test").returncode == 0
    said = machine.log.read_text()
    assert "--no-dev" not in said
    assert machine.bootstrap("run").returncode == 0
    assert machine.log.read_text() == said


def test_an_old_bubblewrap_is_refused(machine: Machine) -> None:
    machine.program("hg", "exit 0")
    machine.program("bwrap", "echo bubblewrap 0.6.1")
    done = machine.bootstrap()
    assert done.returncode == 1
    assert "bubblewrap 0.6.1 is too old: 0.8 or later is needed" in done.stderr
