"""A million rows are verified in seconds."""

from __future__ import annotations

import time

import pytest

from liftlock.domain.audit.entry import Row, leaf_of
from liftlock.domain.audit.note import Checkpoint
from liftlock.domain.audit.tree import Frontier
from liftlock.domain.audit.verification import Sequenced, verify

ROWS = 1_000_000
MOST_CPU_S = 20.0
"""About four times what it takes on an idle machine."""


@pytest.mark.soak
def test_a_million_rows_are_verified_in_seconds() -> None:
    frontier, log = Frontier(), []
    for number in range(ROWS):
        row = Row(
            number, number, "people/ada", "queue.createTask", f"task/{number}", "changed", '{"a":1}', "{}"
        )
        log.append(Sequenced(number, leaf_of(row), row))
        frontier.append(log[-1].leaf)
    began = time.process_time()
    report = verify(log, [Checkpoint("log", ROWS, frontier.root())])
    assert (report.ok, report.rows, report.covered) == (True, ROWS, ROWS)
    assert time.process_time() - began < MOST_CPU_S
