"""What a walk looks at: chains, documents and pushes, as they were fetched; and the file that carries them.

Nothing in a bundle is believed because it is there: its chains are verified against keys that the verifier was given.

Source: docs/reference/provenance.md#bundle
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from liftlock.domain.provenance.keys import UntrustedError
from liftlock.errors import MalformedPayloadError
from liftlock.values.json import decode_as

FORMAT: Final = "liftlock-bundle-1"
MAX_BUNDLE_BYTES: Final = 512 << 20
MAX_RUNS: Final = 1_000
ACTIONS_NAME: Final = "public/actions.json"
_GRAPH_NAME = re.compile(r"public/task-graph(-[A-Za-z0-9._-]+)?\.json\Z", re.ASCII)


class RunEvidence(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One run. `observed`: artifact → sha256 of the bytes that were fetched; `documents`: artifact → its bytes."""

    task_id: str
    chain: bytes
    signature: bytes
    observed: dict[str, str] = {}
    documents: dict[str, bytes] = {}


class Evidence(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """All that concerns the artifacts of `task_id`. `pushes`: task group → its entry of the push log.

    `missing`: task → why there is no chain of it. `keys`: what the control plane publishes; trusted by nobody offline.
    """

    format: str
    task_id: str
    root_url: str
    runs: tuple[RunEvidence, ...]
    pushes: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    keys: dict[str, Any] = {}

    def run(self, task_id: str) -> RunEvidence | None:
        """Return what there is of a task's run."""
        return next((run for run in self.runs if run.task_id == task_id), None)


def is_document(name: str) -> bool:
    """Tell whether a walk reads the artifact of that name: graphs of tasks, and offers of actions."""
    return name == ACTIONS_NAME or _GRAPH_NAME.match(name) is not None


def is_graph(name: str) -> bool:
    """Tell whether the artifact of that name is a graph of tasks."""
    return _GRAPH_NAME.match(name) is not None


def write_bundle(evidence: Evidence) -> bytes:
    """Return the bundle's bytes."""
    return msgspec.json.encode(evidence)


def read_bundle(content: bytes) -> Evidence:
    """Return what a bundle holds; UntrustedError if it is none."""
    if len(content) > MAX_BUNDLE_BYTES:
        raise UntrustedError(f"bundle: more than {MAX_BUNDLE_BYTES} bytes")
    try:
        found = decode_as(content, Evidence, what="bundle")
    except MalformedPayloadError as error:
        raise UntrustedError(error.message) from error
    if found.format != FORMAT:
        raise UntrustedError(f"bundle: expected format {FORMAT}")
    if len(found.runs) > MAX_RUNS:
        raise UntrustedError(f"bundle: more than {MAX_RUNS} runs")
    return found


def object_in(document: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the object at `key`, empty if there is none: a worker may have written anything."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def producers_of(said: dict[str, Any]) -> list[str]:
    """Return the ids of the tasks that made the inputs which a manifest lists."""
    inputs = said.get("inputs")
    found = (
        [one.get("producer") for one in inputs if isinstance(one, dict)] if isinstance(inputs, list) else []
    )
    return [str(one.get("taskId")) for one in found if isinstance(one, dict)]
