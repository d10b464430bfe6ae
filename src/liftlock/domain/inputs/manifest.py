"""`public/inputs.json`: what a run was given, as measured by the worker; written for failed runs too.

Source: docs/reference/worker.md#manifest
"""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.domain.inputs.declarations import (
    Declaration,
    Git,
    IndexArtifact,
    Mount,
    Npm,
    Pip,
    Raw,
    Served,
    Snapshot,
    TaskArtifact,
    TaskOutput,
    Tooltool,
    Url,
)

VERSION = 1


class Measured(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One file or bundle: what its bytes measure."""

    name: str
    sha256: str
    size: int
    declared: tuple[str, ...] = ()
    """sha256 digests that were promised; empty: none was."""
    sha512: str | None = None
    """Measured as well, where it was promised."""
    declared_size: int | None = None


class Prepared(msgspec.Struct, frozen=True):
    """One input, ready; `tree` is the digest of what a mounted tree was made of, `cached` if nothing was unpacked."""

    declaration: Declaration
    files: tuple[Measured, ...]
    tree: str | None = None
    cached: bool = False
    details: dict[str, Any] = {}


class Failed(msgspec.Struct, frozen=True):
    """The input that ended the run before it started, and why."""

    declaration: Declaration
    message: str


class RunFacts(msgspec.Struct, frozen=True):
    """What else a manifest says of a run. `refused`: attempts at the API proxy, (method, path, why), in order."""

    task_id: str
    run_id: int
    worker: dict[str, Any]
    isolation: dict[str, Any]
    network: dict[str, Any]
    refused: tuple[tuple[str, str, str], ...] = ()
    refused_more: int = 0


def manifest(facts: RunFacts, prepared: tuple[Prepared, ...], failed: Failed | None = None) -> dict[str, Any]:
    """Return the manifest as JSON; inputs in the order in which they were prepared."""
    document: dict[str, Any] = {
        "version": VERSION,
        "taskId": facts.task_id,
        "runId": facts.run_id,
        "worker": facts.worker,
        "isolation": facts.isolation,
        "network": facts.network
        | {
            "refused": [{"method": m, "path": p, "why": w} for m, p, w in facts.refused],
            "refusedMore": facts.refused_more,
        },
        "inputs": [_input(one) for one in prepared],
    }
    if failed is not None:
        document["failed"] = _head(failed.declaration) | {"error": failed.message}
    return document


def _input(one: Prepared) -> dict[str, Any]:
    wire = _head(one.declaration) | {
        "files": [msgspec.to_builtins(file) for file in one.files],
        "cached": one.cached,
    }
    if one.tree is not None:
        wire["tree"] = f"sha256:{one.tree}"
    return wire | one.details


def _head(declaration: Declaration) -> dict[str, Any]:
    place = declaration.place
    where = {"mount": place.path} if isinstance(place, Mount) else {"unpack": place.path}
    if isinstance(place, Served):
        where = {"served": "package index"}
    return {"name": declaration.name, "kind": declaration.kind, "declared": _declared(declaration), **where}


def _declared(declaration: Declaration) -> dict[str, Any]:
    match declaration.source:
        case Git(revision, project, url):
            return {"revision": revision, **({"project": project} if project else {"url": url})}
        case Pip(lock) | Npm(lock):
            return {"lock": {"input": lock.input, **({"path": lock.path} if lock.path else {})}}
        case TaskArtifact(task_id, artifact, sha256):
            return {"taskId": task_id, "artifact": artifact, **({"sha256": sha256} if sha256 else {})}
        case Raw():
            return {}
        case _:
            return _declared_remote(declaration)


def _declared_remote(declaration: Declaration) -> dict[str, Any]:
    promised: dict[str, Any] = msgspec.to_builtins(declaration.promise)
    match declaration.source:
        case Url(url):
            return {"url": url} | promised
        case TaskOutput(label, output):
            return {"label": label, "output": output} | promised
        case Tooltool(filename):
            return {"filename": filename} | promised
        case IndexArtifact(namespace, artifact):
            return {"namespace": namespace, "artifact": artifact} | promised
        case Snapshot(index, before, answers):
            return {"index": index, "before": before, "replayed": answers is not None}
        case _:
            raise AssertionError(declaration.kind)
