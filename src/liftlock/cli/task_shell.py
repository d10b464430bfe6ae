"""`liftlock task shell`: the terminal of an interactive task, here (A12)."""

from __future__ import annotations

import base64
import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from typing import Any, Final

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import AnsweredError, TimedOutError, UsageError
from liftlock.cli.output import Output
from liftlock.domain.tasks.interactive import TERMINAL, is_interactive
from liftlock.errors import LiftlockError

DETACH: Final = b"\x1d"
"""Ctrl-]"""
_CHUNK: Final = 4096
_POLL_S: Final = 0.5


@click.command()
@click.argument("task_id", metavar="TASK")
@api_command
def shell(api: Api, out: Output, task_id: str) -> int:
    """Type into the shell of an interactive task, such as one that the action create-loaner made.

    Ctrl-] leaves; the shell goes on until it ends, its time is up, or nobody has typed for a while. Everything that it shows
    is recorded with the task.
    """
    run = _running(api, out, task_id)
    out.progress(f"{task_id}: attached; Ctrl-] leaves, and everything shown is recorded")
    session = _Session(api, task_id, run)
    reader = threading.Thread(target=session.show, daemon=True)
    reader.start()
    try:
        with _raw_terminal(session):
            session.type_all()
        if not session.left:
            reader.join()
    finally:
        session.over.set()
    if session.failure is not None:
        raise session.failure
    return Exit.OK


def _running(api: Api, out: Output, task_id: str) -> str:
    """Return the number of the task's running run, waiting until it has one; raises UsageError if it never will."""
    if not is_interactive(api.get("queue", "task", task_id)["payload"]):
        raise UsageError(f"task {task_id} has no shell: its payload does not ask for features.shell")
    said = ""
    while True:
        status = api.get("queue", "task", task_id, "status")["status"]
        if status["state"] == "running":
            return str(status["runs"][-1]["runId"])
        if status["state"] not in ("unscheduled", "pending"):
            raise UsageError(f"task {task_id} is {status['state']}: its shell has ended")
        if status["state"] != said:
            said = status["state"]
            out.progress(f"{task_id}: {said}")
        time.sleep(_POLL_S)


class _Session:
    """One attachment: shows in a thread of its own what is typed in another. `left`: this person has gone."""

    def __init__(self, api: Api, task_id: str, run: str) -> None:
        self._api = api
        self._route = ("queue", "task", task_id, "runs", run)
        self._task_id = task_id
        self._size: tuple[int, int] | None = None
        self.over = threading.Event()
        self.left = False
        self.failure: LiftlockError | None = None

    def show(self) -> None:
        """Write everything that the terminal shows, from its beginning until its end, to stdout."""
        api, offset = Api(self._api.profile), 0
        try:
            while not self.over.is_set():
                with contextlib.suppress(TimedOutError):
                    for chunk in _shown(api, self._route, offset):
                        offset += len(chunk)
                        os.write(1, chunk)
                    status = api.get("queue", "task", self._task_id, "status")["status"]
                    if status["state"] != "running":
                        _show_rest(api, self._task_id, offset)
                        return
                    time.sleep(_POLL_S)
        except LiftlockError as error:
            self.failure = error
        finally:
            self.over.set()
            api.close()

    def resized(self) -> None:
        """Have the size of this terminal told with the next piece."""
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(0)
            self._size = (size.columns, size.lines)

    def type_all(self) -> None:
        """Send what is typed here until the end of it, or of the shell."""
        if self._size is not None:
            self._send(b"")
        while not self.over.is_set():
            if not select.select([0], [], [], _POLL_S)[0]:
                if self._size is not None:
                    self._send(b"")
                continue
            data = os.read(0, _CHUNK)
            if not data:
                return
            if DETACH in data and os.isatty(0):
                self.left = True
                return
            self._send(data)

    def _send(self, data: bytes) -> None:
        payload: dict[str, Any] = {"data": base64.b64encode(data).decode()}
        if self._size is not None:
            payload["size"] = {"columns": self._size[0], "rows": self._size[1]}
            self._size = None
        try:
            self._api.post(*self._route, "shell-input", payload=payload)
        except AnsweredError as error:
            if error.answered_code != "RequestConflict":
                raise
            self.over.set()  # the shell has ended meanwhile


def _shown(api: Api, route: tuple[str, ...], offset: int) -> Iterator[bytes]:
    query = {"offset": str(offset), "follow": "1"}
    try:
        with api.stream(*route, "live-log", TERMINAL, query=query) as chunks:
            yield from chunks
    except AnsweredError as error:
        if error.answered_code != "ResourceNotFound":
            raise


def _show_rest(api: Api, task_id: str, offset: int) -> None:
    """Write what the record has beyond what was shown live."""
    with contextlib.suppress(AnsweredError):
        os.write(1, api.artifact(task_id, TERMINAL)[offset:])


@contextlib.contextmanager
def _raw_terminal(session: _Session) -> Iterator[None]:
    """Let every key reach the shell, if somebody types here; the terminal is as it was in the end."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(0)
    session.resized()
    kept = signal.signal(signal.SIGWINCH, lambda *_: session.resized())
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, kept)
