"""Every line of a process is JSON, of libraries too, and strangers can't make it say much."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

from liftlock.processes.journal import SPARED_S, Sparing

NOISY = """
import logging
from liftlock.processes.journal import configure_logging
configure_logging("control-plane")
noisy = logging.getLogger("uvicorn.error")
for _ in range(50):
    noisy.warning("Invalid HTTP request received.")
noisy.warning("No supported WebSocket library detected. Please use pip install 'uvicorn[standard]'")
noisy.info("not worth a line")
try:
    1 / 0
except ZeroDivisionError:
    noisy.exception("an %s failed", "application")
"""


def _lines(program: str) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_what_libraries_log_is_json_and_sparing() -> None:
    warning, error = _lines(NOISY)
    assert warning["event"] == "Invalid HTTP request received."
    assert (warning["level"], warning["logger"], warning["process"]) == (
        "warning",
        "uvicorn.error",
        "control-plane",
    )
    assert warning["timestamp"].endswith("Z")
    assert (error["event"], error["level"]) == ("an application failed", "error")
    assert "ZeroDivisionError" in error["exception"]


def _record(text: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("uvicorn.error", level, __file__, 1, text, (), None)


def test_a_repeated_warning_comes_once_in_a_while_and_says_how_often() -> None:
    instant = 100.0
    sparing = Sparing(lambda: instant)
    assert sparing.filter(_record("bad request"))
    assert not any(sparing.filter(_record("bad request")) for _ in range(7))
    assert sparing.filter(_record("another"))
    instant += SPARED_S
    late = _record("bad request")
    assert sparing.filter(late)
    assert late.again == 7  # type: ignore[attr-defined]


def test_errors_are_never_spared() -> None:
    sparing = Sparing(lambda: 0.0)
    assert all(sparing.filter(_record("bad", logging.ERROR)) for _ in range(9))
