"""A hostile task writes to its log: B6 of the worker's side, D of nobody. What people and tools read must stay true."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest

from fakes.fake_queue_client import lease
from worker_world import MIB, WORKER_SECRET, world

pytestmark = pytest.mark.process

SGR = re.compile(r"\x1b\[[0-9;]{0,32}m")


def python(program: str) -> list[str]:
    return ["python3", "-I", "-u", "-c", program]


async def test_terminal_sequences_never_reach_the_log(tmp_path: Path) -> None:
    program = (
        "import sys; w = sys.stdout.buffer.write;"
        "w(b'\\x1b]0;owned\\x07\\x1b]52;c;ZXZpbA==\\x07\\x1b[2J\\x1b[1A\\x1b[31mred\\x1b[0m\\x9b2J\\x1b]8;;http://evil\\x1b\\\\x\\r\\x08\\n')"
    )
    async with world(tmp_path) as worker:
        run, outcome = await worker.run({"command": python(program)})
        assert outcome == "completed"
        shown = worker.log(run)
        assert "\x1b[31mred\x1b[0m" in shown
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", SGR.sub("", shown))
        assert "owned" not in shown
        assert "evil" not in shown


async def test_lines_of_the_worker_can_not_be_forged(tmp_path: Path) -> None:
    program = """
import sys, time
line = b"[liftlock 2026-01-01T00:00:00.000Z] the run ends as completed\\n"
for start in (b"", b"x\\r", b"\\x1b[0m", b"  ", b"\\x08", b"x\\xe2\\x80\\xa8"):
    for part in (start, line[:5], line[5:]):
        sys.stdout.buffer.write(part); sys.stdout.buffer.flush(); time.sleep(0.02)
sys.exit(1)
"""
    async with world(tmp_path) as worker:
        run, _ = await worker.run({"command": python(program)})
        own = [
            line
            for line in SGR.sub("", worker.queue.log_of(run)).split("\n")
            if line.startswith("[liftlock ") and "] command 1 of 1: " not in line
        ]
        assert not [line for line in own if "2026-01-01T00" in line]
        assert [line for line in own if "the run ends as" in line] == [own[-1]]
        assert own[-1].endswith("the run ends as failed")


async def test_a_secret_is_masked_though_it_is_written_in_pieces(tmp_path: Path) -> None:
    program = """
import os, sys, time, base64
secret = os.environ["KEY"]
for part in ("<", secret[:7], secret[7:], "> <", secret, "> <", base64.b64encode(secret.encode()).decode(), ">\\n"):
    sys.stdout.write(part); sys.stdout.flush(); time.sleep(0.3)
"""
    async with world(tmp_path) as worker:
        payload = {"command": python(program), "env": {"KEY": "hunter2-and-more"}, "maskedEnv": ["KEY"]}
        run, outcome = await worker.run(payload)
        assert (outcome, worker.log(run)) == ("completed", "<[hidden]> <[hidden]> <[hidden]>\n")
        assert b"hunter2" not in worker.queue.live, "the live log showed half of a secret"


async def test_credentials_of_run_and_worker_are_masked(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        worker.queue.next_lease = lambda: lease(token="secret-of-the-claim")
        run, _ = await worker.shell(f"echo secret-of-the-claim; echo {WORKER_SECRET}")
        content = worker.queue.log_of(run)
        assert "secret-of-the-claim" not in content
        assert WORKER_SECRET not in content
        assert worker.log(run) == "[hidden]\n[hidden]\n"


async def test_a_flood_without_line_ends_takes_neither_memory_nor_disk(tmp_path: Path) -> None:
    async with world(tmp_path, max_log_bytes=2 * MIB) as worker:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        run, outcome = await worker.shell("head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo 'done' >&2")
        assert outcome == "completed"
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < 64 * 1024, f"the worker grew by {grown_kib} KiB"
        content = worker.queue.log_of(run)
        assert 2 * MIB <= len(content) < 2 * MIB + 4096
        assert "the log is full at" in content
        assert content.endswith("the run ends as completed\n")


async def test_a_name_that_a_task_chose_can_not_break_out_of_a_line_of_the_worker(tmp_path: Path) -> None:
    name = "x\n[liftlock 2026-01-01T00:00:00.000Z] forged"
    async with world(tmp_path) as worker:
        artifacts = [{"name": "public/d", "path": "d", "type": "directory"}]
        run, outcome = await worker.run(
            {
                "command": ["sh", "-ec", 'mkdir d; echo >"d/$NAME"'],
                "env": {"NAME": name},
                "artifacts": artifacts,
            }
        )
        assert outcome == "failed"
        assert "\n[liftlock 2026-01-01T00" not in worker.queue.log_of(run)


async def test_a_character_split_over_two_writes_is_one_character(tmp_path: Path) -> None:
    script = r"printf '\303'; sleep 0.3; printf '\244\360\237'; sleep 0.3; printf '\230\200 \303'"
    async with world(tmp_path) as worker:
        run, outcome = await worker.shell(script)
        assert outcome == "completed"
        assert worker.log(run).splitlines()[0] == "ä😀 \N{REPLACEMENT CHARACTER}"
