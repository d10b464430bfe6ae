"""feedd as its unit starts it: another user than gated, with no call that the unit denies, and its figures."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time

import pytest
from test_gate_units import denied_calls, settings

from feed_world import feed_world

pytestmark = pytest.mark.process
LLGATE, LLFEED, PUSHER = 47_001, 47_002, 47_003


def test_feedds_unit_starts_feedd_as_its_own_user_with_options_that_exist() -> None:
    unit = settings("liftlock-feedd.service")
    words = shlex.split(unit["ExecStart"][0])
    assert words[1:4] == ["-P", "-m", "liftlock.processes.feedd"]
    helped = subprocess.run(
        [sys.executable, *words[1:4], "--help"], capture_output=True, text=True, check=True
    )
    assert set(re.findall(r"--\w+", " ".join(words[4:]))) <= set(re.findall(r"--\w+", helped.stdout))
    assert unit["User"] == ["llfeed"]
    assert unit["StateDirectoryMode"] == ["0700"]
    assert unit["SocketBindDeny"] == ["any"]


def read_as(user: int, *paths: object) -> list[bool]:
    """Tell of each path whether the user can read it."""
    script = "import sys\nfor p in sys.argv[1:]:\n    try: open(p, 'rb').read(1); print(1)\n    except OSError: print(0)"
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, paths)],
        user=user, group=user, extra_groups=[], capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    return [line == "1" for line in done.stdout.split()]


@pytest.mark.skipif(os.getuid() != 0, reason="runs feedd and gated as users of their own")
def test_feedd_runs_as_a_user_that_neither_pushers_nor_gated_share_anything_with() -> None:
    """A life of feedd: its list comes, nobody else reads its key, and no call of it is denied by the unit."""
    with feed_world(gate_user=LLGATE, feed_user=LLFEED) as world:
        bug = world.model.file(keywords=("sec-high",))
        trace, figures = world.gate.folder / "trace", world.state / "feedd.prom"
        strace = os.access("/usr/bin/strace", os.X_OK)
        world.start(
            "--metrics",
            str(figures),
            before=("/usr/bin/strace", "-D", "-f", "-o", str(trace)) if strace else (),
        )
        world.until(lambda: world.knows(bug))
        world.model.flag(world.model.attach(bug), "sec-approval", "+")
        world.until(lambda: not world.knows(bug))
        assert world.process is not None
        mine = [world.key, world.settings, world.state / "feed.db"]
        assert read_as(LLFEED, *mine) == [True] * 3
        for other in (PUSHER, LLGATE):
            assert read_as(other, *mine, f"/proc/{world.pid}/environ") == [False] * 4, other
        gates = [world.gate.policy, world.gate.state / "gate.db"]
        assert read_as(LLFEED, *gates) == [False] * 2, "feedd does not read what gated keeps"
        world.until(figures.exists)
        for _ in range(200):
            text = figures.read_text()
            if 'kind="snapshots",source="tracker"} 1.0' in text:
                break
            time.sleep(0.1)
        assert 'liftlock_feed_happenings_total{kind="snapshots",source="tracker"} 1.0' in text
        assert 'liftlock_feed_frozen{source="tracker"} 0.0' in text
        assert 'liftlock_feed_waiting_events{source="tracker"}' in text
        world.stop()
        if strace:
            traced = trace.read_text()
            assert {"connect", "fdatasync", "epoll_wait"} <= set(
                re.findall(r"^\d+ +(\w+)\(", traced, re.MULTILINE)
            )
            assert denied_calls(traced, "liftlock-feedd.service") == set()
            assert "PROT_WRITE|PROT_EXEC" not in traced
            assert not re.search(r"\b(bind|listen)\(", traced), "it never listens"
