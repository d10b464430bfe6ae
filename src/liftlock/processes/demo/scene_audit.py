"""The audit log: verified, witnessed, and then somebody edits a row in the database (E5)."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from liftlock.cli.exit_codes import Exit
from liftlock.processes.demo.report import DifferenceError, expect, expect_equal
from liftlock.processes.demo.stage import Stage

RELEASE_ROW = "secrets.get"
_EDIT = """\
import sqlite3, sys
path, actor, row = sys.argv[1], sys.argv[2], int(sys.argv[3])
with sqlite3.connect(path, timeout=20) as database:
    database.execute("UPDATE audit SET actor = ? WHERE id = ?", (actor, row))
"""
"""What somebody does who can write to the database's file."""


def play(stage: Stage) -> None:
    """Verify, edit, verify, and put things right again."""
    stage.say(
        "\nEverything that used privilege is in the audit log. The operator verifies it, and keeps a witness:"
    )
    with stage.report.check("audit"):
        _verify(stage)
    stage.say("\nThen somebody with access to the database's file changes who read the release key:")
    with stage.report.check("audit-edited"):
        _edit(stage)


def _verify(stage: Stage) -> None:
    kept = stage.folder / "witness"
    stage.root.liftlock("audit", "witness", str(kept))
    options = ("--checkpoint", str(kept / "checkpoints"), "--key", str(kept / "key"))
    told = stage.root.liftlock("audit", "verify", *options)
    stage.quote(told.stdout)
    expect_equal("the exit status", told.status, int(Exit.OK))
    export = stage.folder / "audit.jsonl"
    stage.root.liftlock("audit", "export", str(export))
    told = stage.root.liftlock("audit", "verify", "--file", str(export), *options)
    expect_equal("the exit status without the server", told.status, int(Exit.OK))


def _edit(stage: Stage) -> None:
    row = _release_row(stage)
    try:
        _write(stage, "people/somebody-else", row["id"])
        told = stage.root.liftlock("audit", "verify")
        stage.quote(told.stdout)
        expect_equal("the exit status", told.status, int(Exit.VERIFICATION_FAILED))
        expect(
            f"edited: row {row['seq']} (id {row['id']}: people/somebody-else" in told.stdout,
            f"it does not name the row {row['seq']}: {told.text}",
        )
    finally:
        _write(stage, row["actor"], row["id"])
    told = stage.root.liftlock("audit", "verify")
    expect_equal("the exit status once it is as it was", told.status, int(Exit.OK))


def _release_row(stage: Stage) -> dict[str, Any]:
    told = stage.root.liftlock("audit", "tail", "--action", RELEASE_ROW, "--json")
    rows = [row for row in told.json if row["seq"] is not None]
    if not rows:
        raise DifferenceError(f"no row of {RELEASE_ROW} has a place in the log: {told.text}")
    return dict(rows[-1])


def _write(stage: Stage, actor: str, row: int) -> None:
    database = stage.server.state_dir / "control" / "liftlock.db"
    command = [sys.executable, "-I", "-c", _EDIT, str(database), actor, str(row)]
    subprocess.run(command, check=True, timeout=60)
