"""Piping: a task declares outputs by name, and another reads one of them from the dependency with a label. Pure.

A label is the name in a task's metadata, which is what generators of graphs put there.

Source: docs/reference/inputs.md#piping
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from liftlock.domain.inputs.fields import text, wrong
from liftlock.domain.inputs.places import is_plain

MAX_OUTPUTS = 200
OUTPUT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
_SHOWN = 10
"""Labels and outputs that a message lists."""


class Pipe(msgspec.Struct, frozen=True):
    """An input that is the output called `output` of the dependency called `label`; `at`: its path, for messages."""

    label: str
    output: str
    at: str


class Outputs(msgspec.Struct, frozen=True):
    """What a task makes: `declared` is output → artifact."""

    label: str
    declared: dict[str, str]


def outputs(value: object, path: str) -> dict[str, str]:
    """Read `payload.outputs`: names to artifacts."""
    if not isinstance(value, dict) or len(value) > MAX_OUTPUTS:
        wrong(path, f"an object of at most {MAX_OUTPUTS} names, each with an artifact", value)
    read = text(expected="an artifact's name of plain parts", most=1024, fits=is_plain)
    for name in value:
        if not isinstance(name, str) or OUTPUT.match(name) is None:
            wrong(path, "names of [A-Za-z0-9_.-], at most 64 characters", name)
    return {name: read(artifact, f"{path}.{name}") for name, artifact in value.items()}


def check_made(declared: Mapping[str, str], made: Sequence[tuple[str, bool]], path: str) -> None:
    """Raise InputValidationError at an output that is no artifact of `made`, (name, whether it is a directory) each."""
    for name, artifact in declared.items():
        is_made = any(
            artifact == known or (whole and artifact.startswith(f"{known}/")) for known, whole in made
        )
        if not is_made:
            known = ", ".join(sorted(known for known, _ in made)) or "it has none"
            wrong(f"{path}.{name}", f"an artifact of this task, or a file in one ({known[:500]})", artifact)


def pipes_of(payload: object) -> tuple[Pipe, ...]:
    """Return the piped inputs of a payload of any worker; what is malformed is left to who reads the whole."""
    inputs = payload.get("inputs") if isinstance(payload, dict) else None
    found = []
    for index, one in enumerate(inputs if isinstance(inputs, list) else []):
        task = one.get("task") if isinstance(one, dict) else None
        if isinstance(task, dict) and "label" in task:
            at = f"payload.inputs[{index}]"
            found.append(Pipe(str(task["label"]), str(one.get("output")), at))
    return tuple(found)


def outputs_of(definition: Mapping[str, Any]) -> Outputs:
    """Return what a task's definition says that it makes; nothing if it says so in no readable form."""
    metadata, payload = definition.get("metadata"), definition.get("payload")
    label = metadata.get("name") if isinstance(metadata, dict) else None
    declared = payload.get("outputs") if isinstance(payload, dict) else None
    if not isinstance(declared, dict):
        declared = {}
    return Outputs(str(label), {name: one for name, one in declared.items() if isinstance(one, str)})


def check_pipes(pipes: Sequence[Pipe], dependencies: Sequence[Outputs]) -> list[str]:
    """Return why `pipes` do not hold together with a task's `dependencies`, one text for each that does not."""
    problems = []
    for pipe in pipes:
        named = [one for one in dependencies if one.label == pipe.label]
        if len(named) != 1:
            labels = _listed(sorted(one.label for one in dependencies))
            count = "no dependency is" if not named else f"{len(named)} dependencies are"
            problems.append(
                f"{pipe.at}.task.label: {count} called {pipe.label[:80]!r}; the task depends on {labels}"
            )
        elif pipe.output not in named[0].declared:
            problems.append(
                f"{pipe.at}.output: {pipe.label[:80]!r} declares no output {pipe.output[:80]!r};"
                f" it declares {_listed(sorted(named[0].declared))}"
            )
    return problems


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown or "none"
