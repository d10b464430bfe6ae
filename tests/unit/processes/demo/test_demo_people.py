"""What people's commands said, as the demo reads it."""

from __future__ import annotations

import pytest

from liftlock.processes.demo.people import Ended
from liftlock.processes.demo.report import DifferenceError


def test_a_command_that_wrote_no_json_is_a_difference_with_its_status_and_what_it_said() -> None:
    ended = Ended("liftlock task verify", 2, "", "Error: No such option: -x\n")
    with pytest.raises(DifferenceError) as caught:
        _ = ended.json
    assert str(caught.value) == (
        "liftlock task verify: expected JSON, and it ended with 2: Error: No such option: -x"
    )


def test_what_was_written_as_json_is_read() -> None:
    assert Ended("liftlock", 0, '{"a": 1}\n', "progress").json == {"a": 1}
