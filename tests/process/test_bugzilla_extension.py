"""The extension for Bugzilla, by its own tests in Perl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

EXTENSION = Path(__file__).parents[2] / "packaging/bugzilla/GateFeed"
SCRIPTS = sorted(path.name for path in (EXTENSION / "t").glob("*.t"))
pytestmark = pytest.mark.process


def test_there_are_tests_of_the_feed_the_approval_and_the_recording() -> None:
    assert SCRIPTS == ["approval.t", "feed.t", "recording.t"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_extensions_own_tests_pass(script: str) -> None:
    done = subprocess.run(
        ["/usr/bin/perl", "-w", str(EXTENSION / "t" / script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not ok" not in done.stdout
    assert "# skip" not in done.stdout.lower(), "everything that the tests need is installed"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "module", ["Extension.pm", *(f"lib/{path.name}" for path in (EXTENSION / "lib").glob("*.pm"))]
)
def test_every_module_says_its_licence_and_is_strict(module: str) -> None:
    """It is copied into the tree of another program."""
    text = (EXTENSION / module).read_text()
    assert "Mozilla Public License, v. 2.0" in text
    assert "use strict;\nuse warnings;" in text
