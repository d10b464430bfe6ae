"""The operator's own checks: tests in the configuration's folder `checks`, run by pytest in a process of their own.

They are code of whoever may change the folder: run them where such code may run.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from liftlock.cli.config_files import CHECKS
from liftlock.cli.failures import UsageError
from liftlock.domain.configuration.reading import Place, Problem

LIMIT_S = 600.0
NO_TESTS = 5
"""What pytest ends with if it found no test."""


def own_checks(folder: Path) -> list[Problem] | None:
    """Return what the folder's own checks find; None if it has none.

    Raises:
        UsageError: pytest is not installed, or does not end in time.
    """
    checks = folder / CHECKS
    if not checks.is_dir():
        return None
    if importlib.util.find_spec("pytest") is None:
        raise UsageError(f"{checks}: checks of your own need pytest: install liftlock[checks]")
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "liftlock.cli.config_pytest",
            "--configuration",
            str(folder.absolute()),
        ),
        *("-p", "no:cacheprovider", "-q", "--no-header", "--tb=short", "--rootdir", str(checks.absolute())),
        *("-c", "/dev/null", str(checks.absolute())),
    ]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=LIMIT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{checks}: the checks did not end within {LIMIT_S:.0f} s") from error
    if ended.returncode in {0, NO_TESTS}:
        return []
    return [Problem(Place(CHECKS), f"own checks fail:\n{ended.stdout}{ended.stderr}".rstrip())]
