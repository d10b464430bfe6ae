"""Claims on disk."""

from __future__ import annotations

import stat
from pathlib import Path

from fakes.fake_queue_client import lease
from liftlock.ports.queue_client import RunKey
from liftlock.worker.journal import Journal

RUN = RunKey("AAAAAAAAQ2qAAAAAAAAAAA", 3)


def test_a_claim_is_kept_readable_for_its_owner_alone_until_it_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "claims")
    journal.record(RUN, lease(token="one"))
    journal.record(RUN, lease(token="two"))
    [entry] = Journal(tmp_path / "claims").entries()
    assert (entry.run, entry.credentials.access_token) == (RUN, "two")
    [file] = (tmp_path / "claims").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "claims").stat().st_mode) == 0o700
    journal.forget(RUN)
    journal.forget(RUN)
    assert journal.entries() == ()


def test_what_a_crash_left_half_written_does_not_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.record(RUN, lease())
    (tmp_path / "x-1.new").write_text('{"task_id"')
    (tmp_path / "x-2.claim").write_text("")
    assert [entry.run for entry in journal.entries()] == [RUN]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{RUN.task_id}-3.claim"]
