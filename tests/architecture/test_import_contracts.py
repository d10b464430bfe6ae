"""The import contracts of pyproject.toml catch what they are there for: each is shown a violation planted in a copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# (contract id, planted module, its text, what the report must say about it)
PLANTED = [
    ("layers", "values/planted_up.py", "import liftlock.ports", "liftlock.values.planted_up"),
    (
        "layers",
        "domain/scopes/planted_port.py",
        "import liftlock.ports.clock",
        "liftlock.domain.scopes.planted_port",
    ),
    (
        "layers",
        "services/planted_adapter.py",
        "import liftlock.adapters.sql",
        "liftlock.services.planted_adapter",
    ),
    (
        "layers",
        "adapters/planted_service.py",
        "import liftlock.services",
        "liftlock.adapters.planted_service",
    ),
    ("layers", "web/planted_process.py", "import liftlock.processes", "liftlock.web.planted_process"),
    ("layers", "worker/planted_cli.py", "import liftlock.cli", "liftlock.worker.planted_cli"),
    ("layers", "utils/__init__.py", "", "liftlock.utils"),
    (
        "processes-choose-adapters",
        "web/planted_sql.py",
        "import liftlock.adapters.sql",
        "liftlock.web.planted_sql",
    ),
    (
        "processes-choose-adapters",
        "worker/planted_sql.py",
        "import liftlock.adapters",
        "liftlock.worker.planted_sql",
    ),
    (
        "outside-the-control-plane",
        "cli/planted_use.py",
        "import liftlock.services",
        "liftlock.cli.planted_use",
    ),
    (
        "outside-the-control-plane",
        "worker/planted_driver.py",
        "import asyncpg",
        "liftlock.worker.planted_driver",
    ),
    ("one-database-adapter", "services/planted_sqlite.py", "import apsw", "liftlock.services.planted_sqlite"),
    ("pure", "domain/tasks/planted_clock.py", "import time", "liftlock.domain.tasks.planted_clock"),
    ("pure", "domain/tasks/planted_net.py", "from socket import socket", "liftlock.domain.tasks.planted_net"),
    ("pure", "values/planted_os.py", "import os.path", "liftlock.values.planted_os"),
    ("worker-process", "processes/worker.py", "import liftlock.adapters.sql", "liftlock.processes.worker"),
    ("control-plane-process", "processes/wiring.py", "import liftlock.worker", "liftlock.processes.wiring"),
    (
        "supervisor-process",
        "processes/supervisor.py",
        "import liftlock.services",
        "liftlock.processes.supervisor",
    ),
    (
        "pushers-hook",
        "cli/post_receive_stub.py",
        "import liftlock.values.ids",
        "liftlock.cli.post_receive_stub",
    ),
    ("pushers-hook", "gate/stubs/pre_receive.py", "import msgspec", "liftlock.gate.stubs.pre_receive"),
    ("gate-process", "gate/desk.py", "import subprocess", "liftlock.gate.desk"),
    ("gate-process", "processes/gated.py", "import httpx2", "liftlock.processes.gated"),
    (
        "privileged-process",
        "privileged/worker.py",
        "import liftlock.adapters.sandbox.spawn",
        "liftlock.privileged.worker",
    ),
    (
        "privileged-process",
        "processes/privileged.py",
        "import liftlock.services",
        "liftlock.processes.privileged",
    ),
    (
        "domain-nouns",
        "domain/scopes/planted_tasks.py",
        "import liftlock.domain.tasks",
        "scopes.planted_tasks",
    ),
    ("domain-nouns", "domain/misc/__init__.py", "", "liftlock.domain.misc"),
    ("no-cycles", "services/planted_a.py", "import liftlock.services.planted_b", "planted_a"),
    ("no-cycles", "services/planted_b.py", "import liftlock.services.planted_a", "planted_b"),
]


def _lint(source: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            str(Path(sys.executable).parent / "lint-imports"),
            "--no-cache",
            "--config",
            str(ROOT / "pyproject.toml"),
        ],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(source), "NO_COLOR": "1", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def planted_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says about a copy of the package in which every violation of PLANTED stands."""
    source = tmp_path_factory.mktemp("planted")
    package = source / "liftlock"
    shutil.copytree(ROOT / "src" / "liftlock", package, ignore=shutil.ignore_patterns("__pycache__"))
    for _, module, text, _ in PLANTED:
        (package / module).parent.mkdir(exist_ok=True)
        with (package / module).open("a") as planted:  # some are planted in a module that exists
            planted.write(f"\n{text}\n")
        (package / module).parent.joinpath("__init__.py").touch()
    found = _lint(source)
    assert found.returncode == 1, found.stdout + found.stderr
    return found.stdout


def _names() -> dict[str, str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {contract["id"]: contract["name"] for contract in contracts}


def _section(report: str, name: str) -> str:
    """Return what the report says about the broken contract `name`: from its heading to the next contract's."""
    _, _, details = report.partition("Broken contracts")
    heading = f"{name}\n{'-' * len(name)}\n"
    assert heading in details, f"the contract {name!r} is not broken:\n{report}"
    text = details.partition(heading)[2]
    others = [f"{other}\n{'-' * len(other)}\n" for other in _names().values()]
    return min((text.partition(other)[0] for other in others), key=len)


@pytest.mark.parametrize(
    ("contract", "module", "text", "named"), PLANTED, ids=[f"{p[0]}-{p[1]}" for p in PLANTED]
)
def test_a_planted_violation_is_caught_and_named(
    planted_report: str, contract: str, module: str, text: str, named: str
) -> None:
    assert named in _section(planted_report, _names()[contract])


def test_every_contract_is_shown_a_violation() -> None:
    assert {planted[0] for planted in PLANTED} == set(_names())
