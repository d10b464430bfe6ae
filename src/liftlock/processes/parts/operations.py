"""Operations of two stages: asked for, driven, approved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from liftlock.adapters.blobs.local import LocalBlobs
from liftlock.adapters.git.trees import GitTrees
from liftlock.adapters.keys.published_keys import PublishedKeys
from liftlock.adapters.package_index.client import HttpPackageIndex
from liftlock.adapters.sql.artifact_store import SqlArtifactStore
from liftlock.adapters.sql.operation_store import SqlOperationStore
from liftlock.ports.confined_parser import ConfinedParser
from liftlock.processes.loops import Loop
from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.processes.parts.hooks import HookServices
from liftlock.processes.parts.pushes import MIRRORS, PushServices
from liftlock.processes.parts.queue import BLOBS
from liftlock.services.advance_operations import CHANNEL, AdvanceOperations
from liftlock.services.configured_operations import ConfiguredOperations
from liftlock.services.fire_hook import FireHook
from liftlock.services.operations import Operations
from liftlock.services.request_operation import RequestOperation
from liftlock.services.say_on_operation import SayOnOperation
from liftlock.services.show_differences import ShowDifferences
from liftlock.services.stage_one_run import StageOneRun
from liftlock.services.stage_two import StageTwo
from liftlock.web import api_operations

EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class OperationServices:
    """What other parts use of operations: asking for one, looking at them, approving."""

    configured: ConfiguredOperations
    request: RequestOperation
    operations: Operations
    say: SayOnOperation
    differences: ShowDifferences
    run: StageOneRun


def part(
    base: Foundation, hooks: HookServices, fire: FireHook, pushes: PushServices, parser: ConfinedParser
) -> tuple[Part, OperationServices]:
    """Return the operations service."""
    store = SqlOperationStore(base.engine)
    configured = ConfiguredOperations(base.operations, hooks.store, hooks.hooks)
    stage_two = StageTwo(configured, base.tasks, base.create_task, base.authorizer)
    request = RequestOperation(
        configured, store, fire, stage_two, pushes.store, pushes.observe, pushes.repository, base.entropy
    )
    run = StageOneRun(SqlArtifactStore(base.engine), LocalBlobs(base.directory / BLOBS))
    keys = PublishedKeys(Path(base.told.published_keys or str(base.directory / "published.json")))
    advance = AdvanceOperations(
        configured,
        store,
        base.tasks,
        stage_two,
        run,
        keys,
        pushes.store,
        pushes.observe,
        pushes.repository,
        base.leases,
        base.clock,
        holder=base.holder,
    )
    services = OperationServices(
        configured,
        request,
        Operations(configured, store, stage_two),
        SayOnOperation(configured, store, base.wakeups),
        ShowDifferences(
            configured,
            store,
            run,
            pushes.store,
            GitTrees(base.directory / MIRRORS),
            HttpPackageIndex(),
            parser,
        ),
        run,
    )
    routes = api_operations.routes(services.operations, services.request, services.say, services.differences)
    return Part(tuple(routes), (Loop("advance operations", advance.step, EVERY_S, CHANNEL),)), services
