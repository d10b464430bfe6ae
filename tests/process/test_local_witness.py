"""`liftlock up` brings a witness of its own: the control plane can't rewrite what it kept, and it notices a log made anew."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
import requests
import taskcluster

from liftlock_up import Up, up

pytestmark = pytest.mark.process

LIMIT_S = 60.0
ANEW = (
    "UPDATE audit SET actor = 'people/eve', seq = NULL; DELETE FROM audit_tile; DELETE FROM audit_checkpoint;"
    "UPDATE audit_tree SET size = 0"
)
"""What somebody does who holds the database; the control plane itself signs the result."""


def until(condition: Callable[[], bool], what: str) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < LIMIT_S, what
        time.sleep(0.1)


def write_row(running: Up, name: str) -> None:
    secrets = taskcluster.Secrets(running.options())
    secrets.set(name, {"secret": {}, "expires": "2099-01-01T00:00:00.000Z"})


def test_the_witness_keeps_checkpoints_apart_and_says_when_the_log_was_made_anew() -> None:
    with up("--workers", "0") as running:
        kept = running.state_dir / "witness" / "checkpoints"
        write_row(running, "one")
        until(kept.exists, "nothing was witnessed")
        if os.geteuid() == 0:
            assert pwd.getpwuid(kept.stat().st_uid).pw_name == "liftlock-witness"
            refused = _as("liftlock-control", f"echo x >> {kept}")
            assert refused.returncode != 0
            assert b"ermission denied" in refused.stderr
        size = int(kept.read_text().split("\n")[1])
        _execute(running.state_dir / "control" / "liftlock.db", ANEW)
        write_row(running, "two")
        until(lambda: _signed(running) > size, "the log made anew was not signed")
        until(lambda: "the audit log is not what was witnessed" in running.log, "the witness said nothing")
        assert "liftlock: sign in to the pages: liftlock access sign-in-link" in running.log
        assert "/sign-in/link/" not in running.log, "nobody watched, so no link was made"


def _as(user: str, command: str) -> subprocess.CompletedProcess[bytes]:
    entry = pwd.getpwnam(user)
    return subprocess.run(
        ["sh", "-c", command],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        capture_output=True,
        check=False,
    )


def _execute(path: Path, statements: str) -> None:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.execute(statements).fetchall()
    connection.close()


def _signed(running: Up) -> int:
    answer = requests.get(f"{running.root_url}/api/audit/v1/checkpoint", timeout=10)
    return int(answer.json()["size"]) if answer.ok else 0
