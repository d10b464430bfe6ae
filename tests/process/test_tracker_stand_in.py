"""The small tracker of the demo and of the tests against what a real Bugzilla answered: every line of the recording."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bugzilla_walk import Walk, recording
from liftlock.processes.demo.tracker_answers import TrackerModel
from liftlock.processes.demo.tracker_server import KEYS, serving

pytestmark = pytest.mark.process
WALK = Path(__file__).parents[1] / "bugzilla_walk.py"


def test_every_line_of_the_recording_is_answered_as_a_real_bugzilla_answered_it() -> None:
    model = TrackerModel()
    with serving(model) as address:
        found = dict(Walk(address, KEYS).run())
    assert len(found) == len(recording()) == 24
    assert {note: differences for note, differences in found.items() if differences} == {}


def test_the_walk_finds_other_numbers_here_and_a_difference_where_there_is_one() -> None:
    """What runs against a live one: numbers are learnt as it goes, and it can fail."""
    model = TrackerModel()
    for _ in range(40):
        model.attach(model.file())
        model.tick()
    with serving(model) as address:
        environment = {
            "PATH": os.environ["PATH"],
            **{f"BUGZILLA_KEY_{who}": key for who, key in KEYS.items()},
        }
        command = [sys.executable, str(WALK), address]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("0 of 24 lines differ\n")
        model.bot_has_access = False
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "FAIL the bug as the bot\n    status: recorded 200, found 401" in done.stdout
        assert "FAIL the feed at its head\n    not tried: the extension is not installed there" in done.stdout
        environment.pop("BUGZILLA_KEY_BOT")
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (
            2,
            "expected an address, and API keys in BUGZILLA_KEY_BOT\n",
        )


def test_a_veto_undoes_the_change_and_no_row_tells_of_it() -> None:
    model = TrackerModel()
    bug = model.file(keywords=("sec-high",))
    patch = model.attach(bug, flags=[("sec-approval", "?")])
    head = model.head
    answered = model.answer(
        "SEC",
        "PUT",
        f"/rest/bug/attachment/{patch}",
        {},
        {"flags": [{"name": "approval-mozilla-beta", "status": "+"}]},
    )
    assert answered[0] == 400
    assert "So approval-mozilla-beta cannot be granted yet" in answered[1]["message"]
    assert model.head == head
    model.flag(patch, "sec-approval", "+")
    model.flag(patch, "approval-mozilla-beta", "+")
