"""A task that is run once more from its manifest: the same bytes are read, and what it makes is compared. Pure.

Source: docs/how-to/rerun-a-task.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from liftlock.domain.inputs.translation import native
from liftlock.errors import InputValidationError

State = Literal["same", "differs", "missing", "new"]


class Compared(msgspec.Struct, frozen=True):
    """One artifact: its sha256 as the chain of trust has it, and as it was made now."""

    name: str
    state: State
    was: str | None
    now: str | None


def pinned(payload: object, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload with every input fixed to what the manifest measured.

    Raises:
        InputValidationError: the payload is none, the manifest lacks an input of it, or the task calls the API: then
            a rerun would do once more what it did.
    """
    found = native(payload)
    if not isinstance(found, dict):
        raise InputValidationError("payload: expected an object")
    features = found.get("features")
    if isinstance(features, dict) and features.get("taskclusterProxy"):
        raise InputValidationError(
            "this task calls the API (features.taskclusterProxy): run again, it would do once more what it did"
        )
    measured = {one.get("name"): one for one in manifest.get("inputs", [])}
    network = manifest.get("network", {})
    answers = network.get("answers", []) if isinstance(network, dict) else []
    inputs = [_pinned(one, measured.get(one.get("name")), answers) for one in found.get("inputs", [])]
    return found | {"inputs": inputs}


def _pinned(
    one: dict[str, Any], measured: dict[str, Any] | None, answers: list[dict[str, Any]]
) -> dict[str, Any]:
    if measured is None:
        raise InputValidationError(
            f"the manifest does not have the input {one.get('name')!r}: it never started"
        )
    if "index-snapshot" in one:
        prefix = f"{one['name']}:"
        told = [
            {"path": each["path"].removeprefix(prefix), "sha256": each["sha256"]}
            for each in answers
            if each["path"].startswith(prefix)
        ]
        return one | {"index-snapshot": one["index-snapshot"] | {"answers": told}}
    if not ({"task", "index", "url"} & set(one)) or len(measured.get("files", [])) != 1:
        return one
    [file] = measured["files"]
    if "url" in one:
        return one | {"sha256": file["sha256"]}
    kept = {key: value for key, value in one.items() if key not in ("task", "index", "output")}
    made_by = measured["producer"]["taskId"]
    return kept | {"task": {"id": made_by, "artifact": file["name"], "sha256": file["sha256"]}}


def compared(was: Mapping[str, str], now: Mapping[str, str], *, without: frozenset[str]) -> list[Compared]:
    """Return each artifact but those of `without`, sorted by name; both are name → sha256."""
    found = []
    for name in sorted((set(was) | set(now)) - without):
        before, after = was.get(name), now.get(name)
        state: State = "same" if before == after else "differs"
        if before is None or after is None:
            state = "new" if before is None else "missing"
        found.append(Compared(name, state, before, after))
    return found
