"""Templates are compiled when they are first shown; that each of them can be is known before."""

from __future__ import annotations

import pytest

from liftlock.web.pages import rendering

NAMES = rendering._ENVIRONMENT.list_templates()


def test_there_are_templates() -> None:
    assert "problem.html" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_template_can_be_compiled(name: str) -> None:
    assert rendering._ENVIRONMENT.get_template(name).name == name
