"""The post-receive hook by itself: it leaves a ring, rings, and neither waits nor fails."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_source import commit, git, new_source
from liftlock.adapters.doorbells.drop_box import DropBox
from liftlock.adapters.system.clock import SystemClock
from liftlock.cli.post_receive import install, script
from liftlock.domain.pushes.push import Claim
from liftlock.ports.doorbells import Ring

pytestmark = pytest.mark.process

REV = "a" * 40


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(20)
        yield made


def _url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}/api/pushes/v1/doorbell/widget"


def _dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as made:
        return _url(made)


def _run(
    tmp_path: Path, url: str, drop_box: Path | None, lines: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    hook = tmp_path / "hook"
    hook.write_text(script(url, "widget", None if drop_box is None else str(drop_box)))
    hook.chmod(0o755)
    return subprocess.run(
        [str(hook)],
        input=lines,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _request(listening: socket.socket) -> tuple[str, object]:
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(20)
        received = b""
        while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < int(
            received.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        ):
            received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    return head.decode().splitlines()[0], json.loads(body)


def test_the_hook_ends_while_nobody_has_answered_its_ring(tmp_path: Path, listening: socket.socket) -> None:
    ended = _run(
        tmp_path, _url(listening), None, f"{'0' * 40} {REV} refs/heads/main\n", LIFTLOCK_PUSHER="sam"
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert _request(listening) == (
        "POST /api/pushes/v1/doorbell/widget HTTP/1.1",
        {"claims": [{"branch": "main", "revision": REV, "pusher": "sam"}]},
    )


async def test_a_ring_is_left_where_nobody_answers(tmp_path: Path) -> None:
    box = DropBox.make(tmp_path / "rings", SystemClock())
    lines = f"{REV} {'b' * 40} refs/heads/dev/x\n{REV} {'0' * 40} refs/heads/gone\n{REV} {REV} refs/tags/v1\nnonsense\n"
    ended = _run(tmp_path, _dead_url(), box.path, lines, GL_USER="robin", LOGNAME="git")
    assert (ended.returncode, ended.stderr) == (0, "")
    claim = Claim(branch="dev/x", revision="b" * 40, pusher="robin")
    assert await box.take() == [Ring(project="widget", claims=(claim,))]
    assert list(box.path.iterdir()) == []


def test_a_drop_box_that_is_gone_is_said_and_fails_no_push(tmp_path: Path, listening: socket.socket) -> None:
    ended = _run(tmp_path, _url(listening), tmp_path / "nowhere", f"{REV} {REV} refs/heads/main\n")
    assert ended.returncode == 0
    assert ended.stderr == "liftlock: the ring could not be left: No such file or directory\n"
    assert _request(listening)[0].startswith("POST ")


def test_without_names_in_the_environment_the_user_account_is_the_pusher(
    tmp_path: Path, listening: socket.socket
) -> None:
    _run(tmp_path, _url(listening), None, f"{REV} {REV} refs/heads/main\n")
    whoami = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    assert _request(listening)[1] == {"claims": [{"branch": "main", "revision": REV, "pusher": whoami}]}


def test_a_push_to_a_repository_with_the_hook_succeeds_though_nobody_answers(tmp_path: Path) -> None:
    work = new_source(tmp_path)
    install(tmp_path / "widget.git", _dead_url(), "widget", str(tmp_path / "nowhere"), force=False)
    revision = commit(work, "content")
    said = git(work, "push", "origin", "main")
    assert "liftlock: the ring could not be left" in said
    assert git(tmp_path / "widget.git", "rev-parse", "main") == revision


def test_the_hook_is_made_of_values_that_cannot_leave_their_quotes(tmp_path: Path) -> None:
    text = script("http://h/'\"\nimport os", "p", "/tmp/'; x")
    compile(text, "hook", "exec")
    assert "\nimport os\n" not in text.replace("\nimport os\nimport sys\n", "")
