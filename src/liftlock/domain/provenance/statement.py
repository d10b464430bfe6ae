"""The same run as an in-toto Statement v1 with a SLSA v1 provenance predicate.

What the task supplies itself (its definition's free texts, its log) is a byproduct and never taken for the worker's
own word.

Source: docs/reference/provenance.md#statement
"""

from __future__ import annotations

from typing import Any, Final

from liftlock.domain.provenance.chain import RunRecord
from liftlock.values.instants import format_instant

STATEMENT_NAME: Final = "public/provenance.intoto.json"
STATEMENT_URI: Final = "https://in-toto.io/Statement/v1"
PREDICATE_URI: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:liftlock:task:v1"
"""What `externalParameters` holds: one task's definition, as the queue gave it to the worker."""


def statement(record: RunRecord, *, root_url: str, chain_sha256: str) -> dict[str, Any]:
    """Return the statement as JSON; subjects sorted by name, unique.

    Args:
        root_url: Of the control plane that gave out the task.
        chain_sha256: Of the chain of trust's bytes.
    """
    outputs = sorted(record.outputs, key=lambda one: one.name)
    manifest = record.manifest
    return {
        "_type": STATEMENT_URI,
        "subject": [{"name": one.name, "digest": {"sha256": one.sha256}} for one in outputs],
        "predicateType": PREDICATE_URI,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"task": record.task},
                "internalParameters": {
                    "level": record.level,
                    "isolation": manifest.get("isolation", {}),
                    "network": manifest.get("network", {}),
                    "limits": record.limits,
                    "caches": manifest.get("caches", []),
                },
                "resolvedDependencies": [
                    found
                    for one in [*manifest.get("inputs", []), *_image(manifest)]
                    for found in _dependencies(one)
                ],
            },
            "runDetails": {
                "builder": {"id": f"{root_url}/provisioners/{record.pool}"},
                "metadata": {
                    "invocationId": f"{root_url}/tasks/{record.task_id}/runs/{record.run_id}",
                    "startedOn": format_instant(record.started),
                    "finishedOn": format_instant(record.finished),
                },
                "byproducts": [
                    {"name": "chain-of-trust", "digest": {"sha256": chain_sha256}},
                    {"name": "outcome", "annotations": {"outcome": record.outcome}},
                ],
            },
        },
    }


def _image(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the image in the form of an input, if there is one."""
    image = manifest.get("image")
    return [] if image is None else [{"name": "image", "kind": "image", "files": image.get("files", [])}]


def _dependencies(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a descriptor for each measured file of an input."""
    found = []
    for file in one.get("files", []):
        digest = {"sha256": file["sha256"]}
        if one.get("kind") == "git" and isinstance(one.get("commit"), str):
            digest["gitCommit"] = one["commit"]
        if one.get("kind") == "hg" and isinstance(one.get("commit"), str):
            digest["hgChangeset"] = one["commit"]
        descriptor: dict[str, Any] = {
            "name": f"{one['name']}/{file['name']}",
            "digest": digest,
            "annotations": {"input": one["name"], "kind": one["kind"], "declared": one.get("declared", {})},
        }
        found.append(descriptor)
    return found
