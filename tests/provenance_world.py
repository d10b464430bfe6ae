"""A push, its decision task, a build and what reads it, as evidence in memory, with real signatures."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

from fakes.certified_signer import CertifiedSigner, Pool, produced, task
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME
from liftlock.domain.provenance.evidence import FORMAT, Evidence, RunEvidence, is_document
from liftlock.domain.provenance.producers import Trust
from liftlock.domain.provenance.walk import Walk
from liftlock.values.json import encode

DECISION, BUILD, SIGNING = "DDDDDDDDQ2qAAAAAAAAAAA", "BBBBBBBBQ2qAAAAAAAAAAA", "SSSSSSSSQ2qAAAAAAAAAAA"
REVISION = "e7" * 20
WHEEL = "public/widget.whl"


def digest(data: bytes) -> str:
    """Its sha256."""
    return hashlib.sha256(data).hexdigest()


def source_input(kind: str = "git") -> tuple[dict[str, Any], dict[str, Any]]:
    """The repository, as declared and as measured."""
    declared = {
        "name": "repo",
        kind: {"project": "widget", "revision": REVISION},
        "unpack": {"to": "/build/repo"},
    }
    file = {"name": "source.bundle", "sha256": "0" * 64, "size": 1}
    measured = {"name": "repo", "kind": kind, "files": [file], "commit": REVISION, "project": "widget"}
    return declared, measured


class ChainWorld:
    """`build` reads the repository; `signing` reads the build's wheel. Change what you like, then ask `walk`."""

    def __init__(self, level: int = 3, build_level: int | None = None, *, source: str = "git") -> None:
        self.pool = Pool()
        self.trusted = [self.pool.key]
        self.signers: dict[str, CertifiedSigner] = {}
        self.wheel = b"the wheel"
        self.more: dict[str, dict[str, Any]] = {}
        declared, measured = source_input(source)
        self.tasks = {
            DECISION: task(level, taskGroupId=DECISION, payload={"inputs": [declared]}),
            BUILD: task(build_level or level, taskGroupId=DECISION, payload={"inputs": [declared]}),
            SIGNING: task(
                level,
                taskGroupId=DECISION,
                payload={"inputs": [{"name": "wheel", "task": {"id": BUILD, "artifact": WHEEL}}]},
            ),
        }
        self.generated = {
            each: {"label": each, "task": generated(self.tasks[each])} for each in (BUILD, SIGNING)
        }
        self.inputs: dict[str, list[dict[str, Any]]] = {DECISION: [measured], BUILD: [measured]}
        self.push = {
            "project": "widget",
            "id": 1,
            "level": level,
            "trustDomain": "demo",
            "revision": REVISION,
            "taskId": DECISION,
            "identityUrl": "https://github.com/liftlock-demo/widget",
            "branch": "main",
            "owner": "robin",
            "ownerStanding": "authenticated",
            "at": "2026-01-01T10:00:00.000Z",
        }
        self.observed: dict[str, str] = {}

    def evidence(self, target: str = SIGNING) -> Evidence:
        """Sign everything as it is now."""
        runs = {DECISION: self._run(DECISION, {"public/task-graph.json": encode(self.generated)})}
        runs[BUILD] = self._run(BUILD, {WHEEL: self.wheel})
        if SIGNING not in self.inputs:
            file = {"name": WHEEL, "sha256": digest(self.wheel), "size": len(self.wheel)}
            producer = {"taskId": BUILD, "runId": 0, "chain": {"sha256": digest(runs[BUILD].chain)}}
            self.inputs[SIGNING] = [{"name": "wheel", "kind": "task", "files": [file], "producer": producer}]
        runs[SIGNING] = self._run(SIGNING, {"public/signed": b"signed"})
        return Evidence(FORMAT, target, "http://x", tuple(runs.values()), {DECISION: self.push})

    def walk(self, evidence: Evidence | None = None, **more: Any) -> Walk:
        """Walk and return the walk."""
        walk = Walk(evidence or self.evidence(), Trust(tuple(self.trusted), **more))
        walk()
        return walk

    def _run(self, task_id: str, artifacts: dict[str, bytes]) -> RunEvidence:
        signer = self.signers.get(task_id) or self.pool.worker()
        record = {"task": self.tasks[task_id], "manifest": {"inputs": self.inputs.get(task_id, [])}}
        level = int(self.tasks[task_id]["schedulerId"][-1])
        left = produced(signer, task_id, artifacts, level, **record | self.more.get(task_id, {}))
        content, signature = left[task_id, CHAIN_NAME], left[task_id, SIGNATURE_NAME]
        observed = {name: digest(data) for name, data in artifacts.items()} | self.observed
        documents = {name: data for name, data in artifacts.items() if is_document(name)}
        return RunEvidence(task_id, content, signature, observed if task_id == SIGNING else {}, documents)


def generated(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition as a graph has it: without what its creation fills in."""
    made = copy.deepcopy(definition)
    for filled in ("taskQueueId", "taskGroupId", "schedulerId"):
        del made[filled]
    return made | {
        "provisionerId": "local",
        "workerType": "unprivileged",
        "created": {"relative-datestamp": "0 s"},
    }


def reds(walk: Walk) -> list[str]:
    """What is red, as `link: text`."""
    return [f"{check.link}: {check.text}" for check in walk.checks if check.state == "red"]


def replaced(evidence: Evidence, task_id: str, **changes: Any) -> Evidence:
    """The evidence with one run changed afterwards."""
    runs = tuple(
        RunEvidence(**{field: changes.get(field, getattr(run, field)) for field in run.__struct_fields__})
        if run.task_id == task_id
        else run
        for run in evidence.runs
    )
    return Evidence(FORMAT, evidence.task_id, evidence.root_url, runs, evidence.pushes)
