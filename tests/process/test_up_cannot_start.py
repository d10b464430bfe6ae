"""`liftlock up` that can't work says so in one sentence and ends; it neither repeats itself nor shows a password."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import taskcluster

from liftlock_up import LIFTLOCK, up

pytestmark = pytest.mark.process


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder that every user may pass."""
    with tempfile.TemporaryDirectory(prefix="liftlock-test-") as made:
        os.chmod(made, 0o711)
        yield Path(made)


def _up(state: Path, *arguments: str) -> tuple[int, str]:
    command = [LIFTLOCK, "up", "--state-dir", str(state), "--listen", "127.0.0.1:0", "--workers", "0"]
    done = subprocess.run([*command, *arguments], check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_a_postgresql_that_is_not_there_is_named_without_its_password(folder: Path) -> None:
    status, said = _up(folder / "state", "--database", "postgresql://nobody:geheim@127.0.0.1:1/x")
    assert status != 0
    assert "PostgreSQL at 127.0.0.1:1/x can't be used" in said
    assert "check that the server runs there" in said
    assert "geheim" not in said
    assert "Traceback" not in said
    assert said.count("can't be used") == 1


def test_a_damaged_database_is_named_with_what_to_do(folder: Path) -> None:
    state = folder / "state"
    (state / "control").mkdir(parents=True)
    (state / "control" / "liftlock.db").write_bytes(b"no database at all " * 500)
    status, said = _up(state)
    assert status != 0
    assert f"the database {state}/control/liftlock.db can't be used" in said
    assert "restore it from the backup" in said
    assert "Traceback" not in said
    assert said.count("can't be used") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its processes other users")
def test_a_directory_that_other_users_cannot_reach_is_refused_and_not_made(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    status, said = _up(closed / "state")
    assert status != 0
    assert f"can't pass {closed}" in said
    assert not (closed / "state").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could take it over")
def test_an_ordinary_users_state_directory_is_refused_to_root_and_stays_as_it_was(folder: Path) -> None:
    state = folder / "state"
    state.mkdir()
    for name, text in (("lock", ""), ("liftlock.env", "TASKCLUSTER_ACCESS_TOKEN=theirs\n")):
        (state / name).write_text(text)
        shutil.chown(state / name, 65534, 65534)
    shutil.chown(state, 65534, 65534)
    state.chmod(0o700)
    status, said = _up(state)
    assert status != 0
    assert "belongs to uid 65534" in said
    assert "Traceback" not in said
    assert sorted(each.name for each in state.iterdir()) == ["liftlock.env", "lock"]
    assert (state / "liftlock.env").read_text() == "TASKCLUSTER_ACCESS_TOKEN=theirs\n"
    assert (state / "liftlock.env").stat().st_uid == 65534
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_lost_key_file_is_not_replaced_while_something_stored_needs_it() -> None:
    with up("--workers", "0") as running:
        taskcluster.Secrets(running.options()).set(
            "s", {"secret": {"a": 1}, "expires": "2030-01-01T00:00:00Z"}
        )
        running.stop()
        keys = running.state_dir / "control" / "keys.json"
        kept = keys.rename(keys.with_name("put-aside"))
        status, said = _up(running.state_dir)
        assert status != 0
        assert f"the key file {keys} is absent" in said
        assert "restore the key file from the backup" in said
        assert not keys.exists()
        kept.rename(keys)
        running.start()
        assert taskcluster.Secrets(running.options()).get("s")["secret"] == {"a": 1}
