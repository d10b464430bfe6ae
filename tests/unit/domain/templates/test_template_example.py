"""The example project's own `.taskcluster.yml` renders as by the json-e package, for everything that starts it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsone
import pytest
import yaml

from liftlock.domain.templates.fuel import DEFAULT_FUEL, Fuel
from liftlock.domain.templates.template import compile_template
from liftlock.errors import TemplateRefusedError

FILE = Path(__file__).parents[4] / "examples" / "widget" / ".taskcluster.yml"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXT: dict[str, Any] = {
    "now": "2026-03-01T12:00:00.000Z",
    "push": {
        "owner": "robin@example.org",
        "pushlog_id": 7,
        "pushdate": 1_772_366_400,
        "revision": "a" * 40,
        "base_revision": "b" * 40,
        "branch": "main",
        "base_branch": "main",
    },
    "repository": {
        "url": "https://github.com/liftlock-demo/widget",
        "project": "widget",
        "level": "3",
    },
    "ownTaskId": "AAAAAAAAQAAAAAAAAAAAAQ",
    "taskId": None,
    "input": {"times": 2},
    "action": {
        "name": "retrigger",
        "title": "Retrigger",
        "description": "…",
        "taskGroupId": "AAAAAAAAQAAAAAAAAAAAAg",
        "symbol": "rt",
        "cb_name": "retrigger",
        "repo_scope": "assume:repo:github.com/liftlock-demo/widget:action:generic",
        "action_perm": "generic",
    },
    "cron": {"job_name": "nightly"},
}


@pytest.mark.parametrize("tasks_for", ["github-push", "action", "cron", "something-else"])
def test_the_examples_file_renders_as_by_the_reference(tasks_for: str) -> None:
    template = yaml.safe_load(FILE.read_text())
    context = CONTEXT | {"tasks_for": tasks_for}
    rendered = compile_template(template).render(context, now=NOW)
    assert rendered == jsone.render(template, context)
    assert len(rendered["tasks"]) == (0 if tasks_for == "something-else" else 1)


def test_a_real_file_takes_a_small_part_of_the_fuel() -> None:
    template = compile_template(yaml.safe_load(FILE.read_text()))
    context = CONTEXT | {"tasks_for": "action"}
    template.render(context, Fuel(steps=1_000, chars=10_000), now=NOW)
    with pytest.raises(TemplateRefusedError):
        template.render(context, Fuel(steps=50, chars=10_000), now=NOW)
    assert DEFAULT_FUEL.steps >= 100 * 1_000
