"""What each process really has in memory once it is imported: what is not there can't be misused by whoever takes it over."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SHOW = "import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"


def modules_of(module: str) -> set[str]:
    """Return the names of all modules that importing `module` in a new interpreter loads."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(module=module)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def _loaded(module: str, *packages: str) -> list[str]:
    return sorted(
        name for name in modules_of(module) if any(name == p or name.startswith(f"{p}.") for p in packages)
    )


def test_the_worker_holds_no_database_driver_and_no_use_case() -> None:
    assert (
        _loaded("liftlock.processes.worker", "liftlock.services", "liftlock.adapters.sql", "apsw", "asyncpg")
        == []
    )


def test_the_witness_holds_no_database_driver_no_use_case_and_no_adapter_of_one() -> None:
    module = "liftlock.processes.audit_witness"
    assert (
        _loaded(module, "liftlock.services", "liftlock.adapters.sql", "liftlock.web", "apsw", "asyncpg") == []
    )


def test_the_control_plane_holds_no_sandbox() -> None:
    assert _loaded("liftlock.processes.control_plane", "liftlock.worker", "liftlock.adapters.sandbox") == []


def test_the_control_plane_imports_no_postgresql_driver_until_it_is_asked_to() -> None:
    assert _loaded("liftlock.processes.control_plane", "asyncpg") == []


def test_the_process_that_stays_root_holds_neither() -> None:
    held = _loaded(
        "liftlock.processes.up", "liftlock.services", "liftlock.web", "liftlock.worker", "apsw", "uvicorn"
    )
    assert held == []


def test_the_privileged_worker_holds_no_sandbox_no_database_no_use_case_and_no_server() -> None:
    held = _loaded(
        "liftlock.processes.privileged",
        *("liftlock.services", "liftlock.web", "liftlock.cli", "liftlock.worker", "liftlock.gate"),
        *("liftlock.adapters.sandbox", "liftlock.adapters.sql", "apsw", "asyncpg", "uvicorn", "starlette"),
        *("setuptools", "pip", "importlib.resources.simple", "runpy"),
    )
    assert held == []


def test_the_pushers_hook_holds_nothing_of_liftlock() -> None:
    """It is run from a copy in the repository: importing the package that it lies in here brings only that."""
    held = _loaded("liftlock.cli.post_receive_stub", "liftlock")
    assert held == ["liftlock", "liftlock.cli", "liftlock.cli.post_receive_stub"]


def test_the_gate_holds_no_http_client_and_nothing_that_runs_programs_of_ours() -> None:
    held = _loaded(
        "liftlock.processes.gated",
        *(
            "http",
            "httpx2",
            "httpcore2",
            "liftlock.services",
            "liftlock.web",
            "liftlock.cli",
            "liftlock.worker",
        ),
        *("liftlock.adapters.git", "liftlock.adapters.sql", "liftlock.adapters.sandbox"),
    )
    assert held == []


@pytest.mark.parametrize("stub", ["mercurial_hook", "pre_receive"])
def test_a_gates_stub_holds_nothing_of_liftlock(stub: str) -> None:
    held = _loaded(f"liftlock.gate.stubs.{stub}", "liftlock")
    assert held == ["liftlock", "liftlock.gate", "liftlock.gate.stubs", f"liftlock.gate.stubs.{stub}"]


@pytest.mark.parametrize("command", ["action", "push", "project", "hook", "access"])
def test_a_client_command_holds_nothing_of_the_server(command: str) -> None:
    held = _loaded(
        f"liftlock.cli.{command}",
        "liftlock.services",
        "liftlock.adapters",
        "liftlock.web",
        "liftlock.processes",
    )
    assert held == []
