"""A hostile task chooses what the worker uploads: nothing but its own regular files ever leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker_world import world

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("ln -s /etc/passwd out", "invalid-resource-on-worker"),
        ("ln -s /proc/self/root/etc/shadow out", "invalid-resource-on-worker"),
        ("ln -s ../../../../etc/passwd out", "invalid-resource-on-worker"),
        ("mkfifo out", "invalid-resource-on-worker"),
        ("mkdir out", "invalid-resource-on-worker"),
        (
            "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"out\")'",
            "invalid-resource-on-worker",
        ),
        ("truncate -s 40M out", "too-large-file-on-worker"),
    ],
)
async def test_what_is_no_file_of_the_task_is_refused(tmp_path: Path, script: str, reason: str) -> None:
    async with world(tmp_path) as worker:
        artifacts = [{"name": "public/out", "path": "out", "type": "file"}]
        run, outcome = await worker.shell(script, artifacts=artifacts)
        assert outcome == "failed"
        assert worker.queue.errors[run, "public/out"][0] == reason
        assert (run, "public/out") not in worker.queue.artifacts


async def test_links_in_a_directory_are_left_out_and_no_link_leads_to_one(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        script = "mkdir -p d real; echo ok >d/file; echo no >real/x; ln -s /etc d/etc; ln -s /etc/passwd d/passwd; ln -s real link"
        artifacts = [
            {"name": "public/d", "path": "d", "type": "directory"},
            {"name": "public/l", "path": "link", "type": "directory"},
            {"name": "public/x", "path": "link/x", "type": "file"},
        ]
        run, outcome = await worker.shell(script, artifacts=artifacts)
        assert outcome == "failed"
        sent = {
            name
            for _, name in worker.queue.artifacts
            if not name.startswith(
                ("public/logs", "public/inputs", "public/chain-of-trust", "public/provenance")
            )
        }
        assert sent == {"public/d/file"}
        assert set(worker.queue.errors) == {(run, "public/l"), (run, "public/x")}


async def test_the_workers_own_artifacts_can_not_be_replaced_through_a_directory(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        script = "mkdir -p d/logs; echo forged | tee d/inputs.json d/logs/live.log d/logs/live_backing.log d/ok >/dev/null"
        artifacts = [{"name": "public", "path": "d", "type": "directory"}]
        run, outcome = await worker.shell(script, artifacts=artifacts)
        assert outcome == "failed"
        assert worker.queue.artifacts[run, "public/ok"] == b"forged\n"
        assert b"forged" not in worker.queue.artifacts[run, "public/inputs.json"]
        assert "forged" not in worker.log(run)
        assert worker.queue.log_of(run).count("this name is the worker's own") == 3


async def test_a_daemon_that_outlives_its_command_is_dead_before_anything_is_read(tmp_path: Path) -> None:
    """It would swap the file between measuring and sending."""
    program = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            for target in ("/etc/passwd", "a"):
                try: os.unlink("out")
                except OSError: pass
                os.symlink(target, "out")
    os._exit(0)
open("a", "w").write("a"); time.sleep(0.2)
"""
    async with world(tmp_path) as worker:
        artifacts = [
            {"name": "public/a", "path": "a", "type": "file"},
            {"name": "public/out", "path": "out", "type": "file"},
        ]
        run, outcome = await worker.run({"command": ["python3", "-c", program], "artifacts": artifacts})
        assert outcome == "failed"
        assert worker.queue.artifacts[run, "public/a"] == b"a"
        assert (run, "public/out") not in worker.queue.artifacts


LONG = "/".join(["public", *["y" * 200] * 4])
BAD_NAMES = [
    "../x",
    "/x",
    "a//b",
    "public/../x",
    "public/./x",
    "a/",
    "",
    " x",
    "a\nb",
    "a\x1b[2J",
    "ä",
    "x" * 1025,
    "a\0",
]


async def test_bad_names_of_artifacts_end_the_task_before_it_starts(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        for name in BAD_NAMES:
            one = {"name": name, "path": "x", "type": "file"}
            run, outcome = await worker.shell("echo ran", artifacts=[one])
            assert outcome == "malformed-payload", name
            assert "payload.artifacts[0].name: expected " in worker.queue.log_of(run)
            assert worker.log(run) == ""


async def test_files_with_bad_names_in_a_directory_are_not_uploaded(tmp_path: Path) -> None:
    program = (
        "import os; os.mkdir('d'); open('d/good', 'w').close()\n"
        "for name in (b'new\\nline', b'\\x1b[2J', b'\\xff', 'ä'.encode(), b'x' * 250): open(b'd/' + name, 'w').close()"
    )
    async with world(tmp_path) as worker:
        artifacts = [{"name": LONG, "path": "d", "type": "directory"}]
        run, outcome = await worker.run({"command": ["python3", "-c", program], "artifacts": artifacts})
        assert outcome == "failed"
        sent = [name for made, name in worker.queue.artifacts if made == run and "yyy" in name]
        assert sent == [f"{LONG}/good"]
        assert (
            worker.queue.log_of(run).count("expected a name of at most 1024 printable ASCII characters") == 4
        )
