"""The shipped checks as tests: pytest -p liftlock.cli.config_pytest --configuration FOLDER --pyargs liftlock.cli.config_checks"""

from __future__ import annotations

import pytest

from liftlock.domain.configuration.checks import CHECKS
from liftlock.domain.configuration.whole import Whole


@pytest.mark.parametrize("name", CHECKS)
def test_configuration(name: str, configuration: Whole) -> None:
    """The check called `name` finds nothing wrong."""
    found = "\n".join(map(str, CHECKS[name](configuration)))
    if found:
        pytest.fail(found, pytrace=False)
