"""`.ci/run` and `make check` run every part and fail if any part fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("broken", "status"),
    [("", 0), ("check", 1), ("test", 1), ("demo", 1)],
    ids=["none", "check", "test", "demo"],
)
def test_ci_runs_every_part_and_fails_if_any_part_fails(tmp_path: Path, broken: str, status: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    _program(tmp_path / "bin" / "make", f'echo "made $1"; [ "$1" != "{broken}" ]')
    _program(tmp_path / "bin" / "id", '[ "$1" = -un ] && echo somebody || echo 1000')
    done = _run(".ci/run", tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("made")] == [
        "made check",
        "made test",
        "made demo",
    ]
    assert ("CI passed" in done.stdout) is (status == 0)


TOOLS = [".venv/bin/ruff", ".venv/bin/mypy", ".venv/bin/lint-imports", ".venv/bin/python", ".venv/bin/pytest"]


@pytest.mark.parametrize("broken", ["", *TOOLS, ".cache/uv-venv/bin/uv"])
def test_check_runs_every_step_and_fails_if_any_step_fails(tmp_path: Path, broken: str) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".ci").mkdir()
    for script in ("scripts/check", "scripts/bootstrap", ".ci/run"):
        shutil.copy(ROOT / script, tmp_path / script)
    for tool in (*TOOLS, ".cache/uv-venv/bin/uv"):
        _program(
            tmp_path / tool,
            f'echo "{tool} $*" >>calls; [ "{tool}" != "{broken}" ] || {{ echo it broke; exit 3; }}',
        )
    done = _run("scripts/check", tmp_path)
    assert done.returncode == (1 if broken else 0), done.stdout + done.stderr
    called = {line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()}
    assert called == {*TOOLS, ".cache/uv-venv/bin/uv"}
    assert ("FAIL" in done.stdout, "it broke" in done.stdout) == (bool(broken), bool(broken))
