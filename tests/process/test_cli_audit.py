"""`liftlock audit` against a control plane over real HTTP, and against files without any."""

from __future__ import annotations

import email
import email.policy
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import requests

from control_plane_server import ROOT, Served, serve
from liftlock.cli import main
from liftlock.cli.client import Api
from liftlock.cli.exit_codes import Exit
from liftlock.cli.profiles import load_profile

pytestmark = pytest.mark.process

LIMIT_S = 20.0
SWAP = (
    "UPDATE audit SET seq = CASE seq WHEN 0 THEN -1 ELSE -2 END WHERE seq IN (0, 2);"
    "UPDATE audit SET seq = CASE seq WHEN -1 THEN 2 ELSE 0 END WHERE seq < 0"
)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "control").mkdir()
    with serve(tmp_path / "control") as running:
        monkeypatch.setenv("TASKCLUSTER_ROOT_URL", running.root_url)
        monkeypatch.setenv("TASKCLUSTER_CLIENT_ID", ROOT.client_id)
        monkeypatch.setenv("TASKCLUSTER_ACCESS_TOKEN", ROOT.access_token)
        monkeypatch.delenv("TASKCLUSTER_CERTIFICATE", raising=False)
        yield running


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = Exit.OK) -> str:
    capsys.readouterr()
    ended = main.run(["audit", *arguments])
    said = capsys.readouterr()
    assert ended == status, said.out + said.err
    return said.out + said.err


def make_rows(names: list[str]) -> None:
    api = Api(load_profile(os.environ, None))
    for name in names:
        secret = {"secret": {"v": f"canary-{name}"}, "expires": "2099-01-01T00:00:00.000Z"}
        api.put("secrets", "secret", name, payload=secret)
    api.close()


def signed(served: Served, size: int) -> None:
    """Wait until a checkpoint covers `size` rows."""
    began = time.monotonic()
    while time.monotonic() - began < LIMIT_S:
        answer = requests.get(f"{served.root_url}/api/audit/v1/checkpoint", timeout=5)
        if answer.ok and answer.json()["size"] >= size:
            return
        time.sleep(0.05)
    raise AssertionError(f"no checkpoint of {size} rows")


def tamper(served: Served, statement: str) -> None:
    connection = apsw.Connection(str(served.directory / "liftlock.db"))
    connection.set_busy_timeout(5000)
    connection.execute(statement)
    connection.close()


def findings(told: str) -> list[tuple[str, int]]:
    return [(each["kind"], each["row"]) for each in json.loads(told)["findings"]]


def test_a_row_is_pending_then_sequenced_within_a_second_and_holds_no_secret(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    make_rows(["a"])
    began = time.monotonic()
    while "pending" in (told := run(capsys, "tail")):
        assert time.monotonic() - began < LIMIT_S
        time.sleep(0.02)
    assert " static/liftlock/root secrets.set secret/a changed through * " in told
    [row] = json.loads(run(capsys, "tail", "--json", "--subject", "secret/"))
    assert row["seq"] == 0
    assert row["authority"]["needed"] == ["secrets:set:a"]
    assert row["authority"]["through"] == ["*"]
    assert "canary" not in json.dumps(row)
    assert json.loads(run(capsys, "tail", "--json", "--actor", "nobody")) == []


def test_the_log_is_verified_online_and_its_export_offline(
    served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_rows(["a", "b", "c"])
    signed(served, 3)
    assert "ok: 3 rows, 3 of them under a signed checkpoint" in run(capsys, "verify")
    export = tmp_path / "export.jsonl"
    run(capsys, "export", str(export))
    key = run(capsys, "key").strip()
    inclusion, consistency = tmp_path / "row.json", tmp_path / "grown.json"
    run(capsys, "proof", "1", "-o", str(inclusion))
    make_rows(["d"])
    signed(served, 4)
    run(capsys, "proof", "--consistent", "3", "4", "-o", str(consistency))
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_text(run(capsys, "checkpoint", "--size", "3"))

    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", "http://127.0.0.1:9")
    offline = ("--key", key)
    assert "ok: 3 rows" in run(
        capsys, "verify", "--file", str(export), "--checkpoint", str(checkpoint), *offline
    )
    assert "ok: row 1 is in the log of 3 rows" in run(capsys, "verify", "--proof", str(inclusion), *offline)
    told = run(capsys, "verify", "--proof", str(consistency), "--checkpoint", str(checkpoint), *offline,
               status=Exit.VERIFICATION_FAILED)  # fmt: skip
    assert "the checkpoint of size 4 is not among the witness's" in told
    assert "ok: the first 3 of 4 rows are as they were" in run(capsys, "verify", "--proof", str(consistency))

    text = export.read_text()
    export.write_text(text.replace("secret/b", "secret/x"))
    told = run(capsys, "verify", "--json", "--file", str(export), *offline, status=Exit.VERIFICATION_FAILED)
    assert '"kind": "edited"' in told
    lines = text.splitlines(keepends=True)
    export.write_text("".join(lines[:2] + lines[3:]))
    told = run(capsys, "verify", "--file", str(export), *offline, status=Exit.VERIFICATION_FAILED)
    assert "removed: row 1 was removed" in told
    export.write_text("".join([*lines[:2], lines[3], lines[2]]))
    assert "place 1 stands after place 2" in run(capsys, "verify", "--file", str(export), status=Exit.USAGE)
    inclusion.write_text(inclusion.read_text().replace("secret/b", "secret/x"))
    told = run(capsys, "verify", "--proof", str(inclusion), status=Exit.VERIFICATION_FAILED)
    assert "not proven: row 1 is in the log of 3 rows" in told


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit SET actor = 'people/eve' WHERE seq = 1", [("edited", 1)]),
        ("DELETE FROM audit WHERE seq = 2", [("removed", 2)]),
        ("UPDATE audit SET details = 'no JSON' WHERE seq = 0", [("edited", 0)]),
        (SWAP, [("reordered", 0), ("reordered", 2)]),
    ],
)  # fmt: skip
def test_what_is_done_to_a_row_in_the_database_is_named(
    served: Served, capsys: pytest.CaptureFixture[str], statement: str, found: list[tuple[str, int]]
) -> None:
    make_rows(["a", "b", "c"])
    signed(served, 3)
    tamper(served, statement)
    run(capsys, "tail")
    said = run(capsys, "verify", "--json", status=Exit.VERIFICATION_FAILED)
    assert findings(said[: said.rindex("}") + 1]) == found


def test_a_witness_keeps_checkpoints_and_refuses_a_log_that_was_rewritten(
    served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_rows(["a", "b"])
    signed(served, 2)
    kept = tmp_path / "witness"
    assert "witnessed: 2 rows" in run(capsys, "witness", str(kept))
    make_rows(["c"])
    signed(served, 3)
    assert "witnessed: 3 rows" in run(capsys, "witness", str(kept))
    assert "witnessed: 3 rows" in run(capsys, "witness", str(kept))
    options = ("--checkpoint", str(kept / "checkpoints"), "--key", str(kept / "key"))
    assert "ok: 3 rows" in run(capsys, "verify", *options)
    # Who holds the database and its key makes a log anew that agrees with itself.
    tamper(served, "UPDATE audit SET actor = 'people/eve', seq = NULL; DELETE FROM audit_tile;"
                   "DELETE FROM audit_checkpoint; UPDATE audit_tree SET size = 0")  # fmt: skip
    signed(served, 3)
    assert "ok: 3 rows" in run(capsys, "verify")
    told = run(capsys, "verify", *options, status=Exit.VERIFICATION_FAILED)
    assert "rewritten: rows 0 to 1 are not those that the checkpoint of size 2 was signed over" in told
    make_rows(["d"])
    signed(served, 4)
    told = run(capsys, "witness", str(kept), status=Exit.VERIFICATION_FAILED)
    assert "the first 3 rows are not those that were witnessed" in told
    (kept / "key").write_text((kept / "key").read_text().replace("127.0.0.1", "127.0.0.2"))
    told = run(capsys, "witness", str(kept), status=Exit.VERIFICATION_FAILED)
    assert "BadCheckpoint" in told


def test_a_witness_sends_its_checkpoints_to_a_git_remote_and_gets_them_back_from_there(
    served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept, remote = tmp_path / "witness", tmp_path / "remote.git"
    git = ["git", f"--git-dir={remote}"]
    subprocess.run(["git", "init", "--quiet", "--bare", remote], check=True)
    subprocess.run([*git, "config", "receive.denyNonFastForwards", "true"], check=True)
    options = ("--git", str(remote))
    make_rows(["a"])
    signed(served, 1)
    assert f"pushed to {remote}, liftlock-witness" in run(capsys, "witness", str(kept), *options)
    assert "pushed" not in run(capsys, "witness", str(kept), *options), "there is nothing new"
    make_rows(["b"])
    signed(served, 2)
    assert "pushed" in run(capsys, "witness", str(kept), *options)
    shown = subprocess.run(
        [*git, "show", "liftlock-witness:checkpoints"], check=True, capture_output=True
    ).stdout
    assert shown == (kept / "checkpoints").read_bytes()
    count = subprocess.run([*git, "rev-list", "--count", "liftlock-witness"], check=True, capture_output=True)
    assert count.stdout == b"2\n"
    (tmp_path / "from-git").write_bytes(shown)
    assert "ok: 2 rows" in run(capsys, "verify", "--checkpoint", str(tmp_path / "from-git"))
    shutil.rmtree(kept)
    make_rows(["c"])
    signed(served, 3)
    assert "witnessed: 3 rows" in run(capsys, "witness", str(kept), *options)
    assert (kept / "checkpoints").read_bytes().startswith(shown), "it went on from what was sent"
    newest = (kept / "checkpoints").read_text().strip("\n").split("\n\n")[-2:]
    (kept / "checkpoints").write_text("\n\n".join(newest) + "\n\n")
    told = run(capsys, "witness", str(kept), *options, status=Exit.VERIFICATION_FAILED)
    assert "it holds checkpoints that are not those kept in" in told
    told = run(capsys, "witness", str(tmp_path / "other"), "--git", str(tmp_path / "no"), status=Exit.USAGE)
    assert "ls-remote" in told


def test_a_witness_mails_its_newest_checkpoint_so_often(
    served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kept, box = tmp_path / "witness", tmp_path / "box"
    program = tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\necho "$@" >{box}.to\ncat >{box}\n')
    program.chmod(0o755)
    options = ("--mail", "auditors@example.org", "--sendmail", str(program))
    make_rows(["a"])
    signed(served, 1)
    assert "mailed to auditors@example.org" in run(capsys, "witness", str(kept), *options)
    assert Path(f"{box}.to").read_text() == "-i -- auditors@example.org\n"
    message = email.message_from_bytes(box.read_bytes(), policy=email.policy.default)
    assert message["Subject"].endswith(": 1 rows")
    [attached] = message.iter_attachments()
    (tmp_path / "checkpoint.txt").write_bytes(attached.get_content().encode())
    assert "ok: 1 rows" in run(capsys, "verify", "--checkpoint", str(tmp_path / "checkpoint.txt"))
    make_rows(["b"])
    signed(served, 2)
    assert "mailed" not in run(capsys, "witness", str(kept), *options), "not before a day is over"
    assert "mailed" in run(capsys, "witness", str(kept), *options, "--mail-every", "0")
    assert "mailed" not in run(capsys, "witness", str(kept), *options, "--mail-every", "0"), "nothing new"
    program.write_text("#!/bin/sh\necho no route >&2; exit 75\n")
    make_rows(["c"])
    signed(served, 3)
    told = run(capsys, "witness", str(kept), *options, "--mail-every", "0", status=Exit.USAGE)
    assert "exit status 75: no route" in told
    assert (kept / "checkpoints").read_text().count("\n\n") == 6, "it was kept all the same"


def test_rows_need_a_scope_and_hashes_do_not(served: Served) -> None:
    for path in ("rows", "entries/0", "inclusion/0"):
        assert requests.get(f"{served.root_url}/api/audit/v1/{path}", timeout=5).status_code == 403
    make_rows(["a"])
    signed(served, 1)
    for path in ("key", "checkpoint", "checkpoints", "consistency/0/1"):
        answer: Any = requests.get(f"{served.root_url}/api/audit/v1/{path}", timeout=5)
        assert answer.status_code == 200, answer.text
        assert "secret" not in answer.text
    answer = requests.get(f"{served.root_url}/api/audit/v1/consistency/x/1", timeout=5)
    assert answer.status_code == 400
    assert "path argument old: expected a number from 0" in answer.json()["message"]
    assert requests.get(f"{served.root_url}/api/audit/v1/consistency/0/2", timeout=5).status_code == 404
