"""Written vectors, run through our evaluator and through the json-e package."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsone
import pytest

from liftlock.domain.templates.template import compile_template
from liftlock.errors import TemplateRefusedError

_FILE = json.loads((Path(__file__).parents[3] / "vectors" / "templates.json").read_text())
NOW = datetime(2020, 2, 28, 12, tzinfo=UTC)


def _id(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", _FILE["vectors"], ids=_id)
def test_a_template_renders_as_written_down(vector: dict[str, Any]) -> None:
    if "error" in vector:
        with pytest.raises(TemplateRefusedError, match=r"^template"):
            compile_template(vector["template"]).render(_FILE["context"], now=NOW)
        return
    rendered = compile_template(vector["template"]).render(_FILE["context"], now=NOW)
    assert json.dumps(rendered, sort_keys=True) == json.dumps(vector["result"], sort_keys=True)


@pytest.mark.parametrize("vector", [v for v in _FILE["vectors"] if "only" not in v], ids=_id)
def test_the_reference_renders_as_written_down(vector: dict[str, Any]) -> None:
    if "error" in vector:
        # The package lets Python's own errors through where it forgets a check.
        with pytest.raises(
            (jsone.JSONTemplateError, TypeError, ValueError, ArithmeticError, AttributeError, StopIteration)
        ):
            jsone.render(vector["template"], _FILE["context"])
        return
    assert jsone.render(vector["template"], _FILE["context"]) == vector["result"]


def test_every_operator_and_builtin_of_the_reference_has_a_vector() -> None:
    text = json.dumps(_FILE["vectors"])
    package = __import__("sys").modules["jsone.render"]
    names = [*package.operators, *(f"{name}(" for name in jsone.builtins.build())]
    assert len(names) > 30
    assert [name for name in names if name not in text] == []
