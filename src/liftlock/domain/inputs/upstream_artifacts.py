"""`upstreamArtifacts`, as script workers' payloads have them: each path is an input, at `cot/<taskId>/<path>`. Pure.

Source: docs/reference/inputs.md#upstream-artifacts
"""

from __future__ import annotations

from typing import Any

from liftlock.domain.inputs.fields import Fields, list_of, text
from liftlock.domain.inputs.places import BUILD, is_plain
from liftlock.values.ids import is_task_id

DIRECTORY = f"{BUILD}/cot"
MAX_GROUPS = 100
MAX_PATHS = 200


def expanded(payload: object) -> object:
    """Return a payload with its upstream artifacts as inputs; one that has none passes as it is.

    Raises:
        InputValidationError: they have another form than `[{taskId, taskType, paths, formats, locale}]`.
    """
    if not isinstance(payload, dict) or "upstreamArtifacts" not in payload:
        return payload
    found = dict(payload)
    groups = list_of(_group, most=MAX_GROUPS)(found.pop("upstreamArtifacts"), "payload.upstreamArtifacts")
    inputs = found.get("inputs", [])
    wanted = [one for index, group in enumerate(groups) for one in _inputs(index, *group)]
    found["inputs"] = [*inputs, *wanted] if isinstance(inputs, list) else inputs
    return found


def _group(value: object, path: str) -> tuple[str, tuple[str, ...]]:
    """Read one task's artifacts. Its type, formats and locale are for the task itself, which finds them in its definition."""
    fields = Fields(value, path)
    task_id = fields.take("taskId", text(expected="a taskId", fits=is_task_id))
    word = text(most=255)
    fields.take("taskType", word)
    paths = fields.take(
        "paths",
        list_of(
            text(expected="an artifact's name of plain parts", most=1024, fits=is_plain),
            least=1,
            most=MAX_PATHS,
        ),
    )
    fields.get("formats", list_of(word, most=50), ())
    fields.get("locale", word, None)
    fields.done()
    return task_id, paths


def _inputs(index: int, task_id: str, paths: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {
            "name": f"upstream-{index}-{number}",
            "task": {"id": task_id, "artifact": path},
            "unpack": {"to": f"{DIRECTORY}/{task_id}/{path}", "archive": False},
        }
        for number, path in enumerate(paths)
    ]
