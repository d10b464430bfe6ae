"""What a run read, against what its definition declares.

Source: docs/reference/provenance.md#inputs
"""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.domain.inputs.piping import Pipe, check_pipes, outputs_of
from liftlock.domain.inputs.translation import native
from liftlock.domain.provenance.chain import SignedChain
from liftlock.errors import InputValidationError


class Read(msgspec.Struct, frozen=True):
    """An input that another task made, as measured by its reader; `pipe`: it was named by label and output."""

    name: str
    task_id: str
    artifact: str
    sha256: str
    pipe: Pipe | None = None


def check_inputs(chain: SignedChain) -> tuple[list[str], list[Read]]:
    """Return what is wrong with a run's inputs, and those of them that other tasks made."""
    declared = _declared(chain.task, "inputs")
    measured = {str(one.get("name")): one for one in chain.inputs}
    problems = [
        f"{name}: declared, and the chain of trust does not say what it was"
        for name in sorted(set(declared) - set(measured))
    ]
    problems += [
        f"{name}: read, and the task does not declare it" for name in sorted(set(measured) - set(declared))
    ]
    caches, used = set(_declared(chain.task, "caches")), {cache.name for cache in chain.caches}
    problems += [
        f"{name}: a cache that the chain of trust does not name, or the task does not declare"
        for name in sorted(caches ^ used)
    ]
    reads = []
    for name in sorted(set(declared) & set(measured)):
        problem, read = _compare(name, declared[name], measured[name], chain.task)
        problems += [] if problem is None else [problem]
        reads += [] if read is None else [read]
    return problems, reads


def _declared(task: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
    """Return what the payload lists under `key`, by name; those of other workers' payloads as this worker reads them."""
    try:
        payload = native(task.get("payload"))
    except InputValidationError:
        return {}
    found = payload.get(key, []) if isinstance(payload, dict) else []
    items = found if isinstance(found, list) else []
    return {str(one.get("name")): one for one in items if isinstance(one, dict)}


def _compare(
    name: str, declared: dict[str, Any], measured: dict[str, Any], definition: dict[str, Any]
) -> tuple[str | None, Read | None]:
    source = declared.get("git", declared.get("hg"))
    if isinstance(source, dict) and measured.get("commit") != source.get("revision"):
        return f"{name}: declared revision {source.get('revision')}, read {measured.get('commit')}", None
    if "task" not in declared and "index" not in declared:
        return None, None
    producer, files = measured.get("producer"), measured.get("files")
    if not isinstance(producer, dict) or not isinstance(files, list) or len(files) != 1:
        return f"{name}: made by another task, and the chain of trust does not say by which run", None
    task, pipe = declared.get("task"), None
    maker = producer.get("taskId")
    if isinstance(task, dict) and "label" in task:
        pipe = Pipe(str(task["label"]), str(declared.get("output")), name)
        if maker not in definition.get("dependencies", []):
            return f"{name}: declared of a dependency, read of {maker}, which is none", None
    elif isinstance(task, dict) and task.get("id") != maker:
        return f"{name}: declared of task {task.get('id')}, read of {maker}", None
    file = files[0]
    return None, Read(name, str(maker), str(file.get("name")), str(file.get("sha256")), pipe)


def check_pipe(read: Read, producer: dict[str, Any]) -> str | None:
    """Return why what was read is not the output that was declared, by the producer's definition; None: it is."""
    if read.pipe is None:
        return None
    made = outputs_of(producer)
    problems = check_pipes([read.pipe], [made])
    if problems:
        return problems[0]
    wanted = made.declared[read.pipe.output]
    return None if wanted == read.artifact else f"output {read.pipe.output} is {wanted}, read {read.artifact}"
