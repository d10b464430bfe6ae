"""Plug-in of pytest for checks of a configuration: the fixture `configuration`, and the shipped checks as tests.

Use: pytest -p liftlock.cli.config_pytest --configuration FOLDER FOLDER/checks

Source: docs/how-to/write-a-check.md
"""

from __future__ import annotations

from pathlib import Path

import pytest

from liftlock.cli.config_files import read_files
from liftlock.domain.configuration.folder import read_folder
from liftlock.domain.configuration.generate import generate
from liftlock.domain.configuration.whole import Whole

OPTION = "--configuration"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the folder."""
    parser.addoption(OPTION, metavar="FOLDER", help="The folder of configuration that is checked.")


@pytest.fixture(scope="session")
def configuration(request: pytest.FixtureRequest) -> Whole:
    """The files and the whole that they make; see `domain.configuration.whole`."""
    folder = request.config.getoption(OPTION)
    if not folder:
        pytest.fail(f"{OPTION} FOLDER: missing", pytrace=False)
    said = read_folder(read_files(Path(folder)))
    return Whole(said, generate(said))
