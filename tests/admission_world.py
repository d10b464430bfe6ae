"""What a privileged worker is handed, with real signatures: a good handoff, and every way in which it can be a bad one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from fakes.certified_signer import CertifiedSigner, KnownPools, Pool, produced
from liftlock.domain.approvals.approval import Approval
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.admission import Admitted, Handed, admit
from liftlock.domain.operations.definition import PRIVILEGED_QUEUE, Operation, OperationSet
from liftlock.domain.operations.freezing import Broken, ChainBytes, Facts, Stored, freeze
from liftlock.domain.operations.stage_one import Asked, compiled, stage_one_task
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME
from operation_builders import NOW, OPERATION_ID, REVISION, STAGE1, STAGE2, Signer, operation, people

WHEEL = b"PK\x03\x04wheel"
NAME = "artifacts/dist/w.whl"


def asked(**changes: Any) -> Asked:
    """Return what stage 1 was told."""
    given: dict[str, Any] = {
        "operation_id": OPERATION_ID,
        "operation": "publish-widget",
        "project": "widget",
        "identity": "https://github.com/demo/widget",
        "ref": "main",
        "revision": REVISION,
        "input": {"version": "1.0"},
    }
    return Asked(**(given | changes))


def stored(files: dict[str, bytes]) -> dict[str, Stored]:
    """Return what is stored of the files."""
    return {name: Stored(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}


@dataclass(slots=True)
class Handoff:
    """One operation after stage 1. `worker` signed its chain; `morgan` may approve."""

    morgan: Signer
    operation: Operation = field(default_factory=operation)
    asked: Asked = field(default_factory=asked)
    worker: CertifiedSigner = field(default_factory=CertifiedSigner)
    pools: KnownPools = field(default_factory=KnownPools)
    files: dict[str, bytes] = field(default_factory=lambda: {NAME: WHEEL})
    hours: int = 24

    @property
    def own(self) -> OperationSet:
        """The privileged worker's own configuration."""
        return OperationSet({self.operation.name: self.operation}, people(self.morgan))

    @property
    def facts(self) -> Facts:
        return Facts(
            asked=self.asked,
            requester="people/robin",
            requested=NOW,
            stage1_task_id=STAGE1,
            stage2_task_id=STAGE2,
            expires=NOW + timedelta(hours=self.hours),
        )

    def chain(self, task: dict[str, Any] | None = None, **record: Any) -> ChainBytes:
        """Return the chain of trust of stage 1, signed by the worker; `task` and `record` change what it says."""
        ran = stage_one_task(compiled(self.operation), self.asked, STAGE1, "people/robin", NOW)
        source = {"name": "source", "kind": "git", "project": "widget", "commit": self.asked.revision}
        given = {
            "task": task if task is not None else ran,
            "manifest": {"inputs": [source]},
            "finished": NOW,
            "started": NOW,
        }
        level = record.pop("level", 1)
        left = produced(self.worker, STAGE1, self.files, level, **(given | record))
        return ChainBytes(left[STAGE1, CHAIN_NAME], left[STAGE1, SIGNATURE_NAME])

    def freeze(self, chain: ChainBytes | None = None) -> FrozenRequest:
        """Return what the control plane freezes."""
        found = freeze(
            self.operation,
            compiled(self.operation),
            self.facts,
            chain or self.chain(),
            stored(self.files),
            self.pools.current(),
        )
        assert isinstance(found, FrozenRequest), found
        return found

    def approve(self, request: FrozenRequest) -> list[Approval]:
        """Return morgan's signed approval."""
        return [self.morgan.say(request)]

    def admit(
        self,
        request: FrozenRequest | None = None,
        approvals: list[Approval] | None = None,
        chain: ChainBytes | None = None,
        files: dict[str, bytes] | None = None,
        *,
        task_id: str = STAGE2,
        now: datetime = NOW + timedelta(minutes=1),
        own: OperationSet | None = None,
    ) -> Admitted | Broken:
        """Return what the privileged worker decides; what is not given is as it should be."""
        request = request or self.freeze()
        handed = Handed(
            request,
            self.approve(request) if approvals is None else approvals,
            chain or self.chain(),
            stored(self.files if files is None else files),
        )
        return admit(own or self.own, PRIVILEGED_QUEUE, task_id, handed, self.pools.current(), now)

    def rule(self, *args: Any, **options: Any) -> str:
        """Return the rule by which it is refused."""
        found = self.admit(*args, **options)
        assert isinstance(found, Broken), "it was admitted"
        return found.rule


def changed(request: FrozenRequest, **changes: Any) -> FrozenRequest:
    """Return the request with fields changed."""
    return msgspec.structs.replace(request, **changes)


def other_pool() -> Pool:
    """Return a pool that is trusted for something else."""
    return Pool("local/other")
