"""The first start on a terminal shows a link that signs in once; later starts do not, and have providers."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fakes.identity_provider_stand_in import SECRET, provider
from liftlock_up import LIFTLOCK
from login_world import PERSON, sign_in_file
from pages_world import token_in

pytestmark = pytest.mark.process
ASK = "liftlock: sign in to the pages: liftlock access sign-in-link static/liftlock/root"


@contextlib.contextmanager
def started(state: Path, port: int, *arguments: str) -> Iterator[str]:
    """Start it on a terminal of its own; yield what it said until it was ready, and end it."""
    ours, theirs = pty.openpty()
    command = [LIFTLOCK, "up", "--state-dir", str(state), "--listen", f"127.0.0.1:{port}", "--workers", "0"]
    running = subprocess.Popen([*command, *arguments], stdout=theirs, stderr=theirs, stdin=theirs)
    os.close(theirs)
    said, deadline = "", time.monotonic() + 60
    try:
        while "sign in to the pages" not in said or not said.endswith("\n"):
            assert time.monotonic() < deadline, said
            if select.select([ours], [], [], 1)[0]:
                said += os.read(ours, 65536).decode()
        yield said
    finally:
        running.send_signal(signal.SIGTERM)
        while running.poll() is None:
            with contextlib.suppress(OSError):  # the terminal's other end is gone
                if select.select([ours], [], [], 0.05)[0]:
                    os.read(ours, 65536)
        os.close(ours)


def test_the_first_start_on_a_terminal_shows_a_link_that_signs_in_once() -> None:
    with tempfile.TemporaryDirectory(prefix="liftlock-test-") as folder, socket.socket() as probe:
        os.chmod(folder, 0o711)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        state = Path(folder) / "state"
        with started(state, port) as said, httpx2.Client(trust_env=False) as http:
            found = re.search(r"sign in to the pages, once, within 30 minutes: (http://\S+)", said)
            assert found is not None, said
            data = {"form_token": token_in(http.get(found[1]).text)}
            origin = {"origin": f"http://127.0.0.1:{port}"}
            assert http.post(found[1], data=data, headers=origin).status_code == 303
            assert "static/liftlock/root" in http.get(f"http://127.0.0.1:{port}/account").text
            assert http.get(found[1]).status_code == 401, "it was used"
        with provider() as corp, httpx2.Client(trust_env=False, follow_redirects=True) as http:
            file = Path(folder) / "sign-in.toml"
            file.write_text(sign_in_file(corp, corp))
            (Path(folder) / "provider-secret").write_text(SECRET)
            with started(state, port, "--login", str(file)) as said:
                assert ASK in said
                assert "sign-in/link" not in said
                page = http.get(f"http://127.0.0.1:{port}/sign-in/with/corp?next=/account")
                assert (page.status_code, PERSON in page.text) == (200, True), page.text
