"""Operations on a real store at a fixed instant: a repository in memory, a worker that signs, everything from request to stage 2."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from access_world import NOW, World
from admission_world import NAME, WHEEL
from fakes.certified_signer import CertifiedSigner, KnownPools, produced
from fakes.counted_entropy import CountedEntropy
from fakes.direct_parser import DirectParser
from fakes.fake_package_index import FakePackageIndex
from fakes.fake_repository import FakeRepository
from fakes.settable_time import SettableClock
from hooks_world import ToldGuard
from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.lease import SqlLeases
from liftlock.adapters.sql.operation_store import SqlOperationStore
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.adapters.sql.script import Script, Sql
from liftlock.adapters.sql.task_store import SqlTaskStore
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.domain.approvals.request import FrozenFile
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.operations.definition import OperationSet
from liftlock.domain.operations.freezing import ChainBytes, Stored
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME
from liftlock.domain.pushes.project import Project, define_project
from liftlock.domain.tasks.lifecycle import Claim, Report
from liftlock.errors import RepositoryError
from liftlock.ports.envelope import Envelope
from liftlock.ports.operation_store import OperationRecord
from liftlock.services.advance_operations import AdvanceOperations
from liftlock.services.configured_operations import ConfiguredOperations, GuardOperations
from liftlock.services.create_task import CreateTask
from liftlock.services.fire_hook import FireHook
from liftlock.services.hooks import Hooks
from liftlock.services.observe_push import ObservePush
from liftlock.services.operations import Operations
from liftlock.services.projects import Projects
from liftlock.services.request_operation import RequestOperation, Wanted
from liftlock.services.say_on_operation import SayOnOperation, Word
from liftlock.services.show_differences import ShowDifferences
from liftlock.services.stage_two import StageTwo
from liftlock.services.task_lifecycle import TaskLifecycle
from liftlock.values.instants import to_ms
from operation_builders import Signer, operation, people

QUEUE = "local/privileged"


@dataclass(slots=True)
class StubRun:
    """Stands for the artifacts of stage 1: what the world's worker left, by task."""

    left: dict[str, tuple[ChainBytes, dict[str, Stored]]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    async def chain(self, task_id: str, run_id: int) -> ChainBytes:
        return self.left[task_id][0]

    async def stored(self, task_id: str, run_id: int) -> dict[str, Stored]:
        return self.left[task_id][1]

    async def content(self, task_id: str, run_id: int, file: FrozenFile) -> bytes | str:
        return self.contents.get(file.sha256, "it is not stored any more")


@dataclass(slots=True)
class StubTree:
    """Stands for the source tree of every revision."""

    files: dict[str, bytes] = field(default_factory=dict)
    problem: str = ""

    async def paths(self, project: Project, revision: str) -> list[str]:
        if self.problem:
            raise RepositoryError(self.problem)
        return sorted(self.files)

    async def contents(
        self, project: Project, revision: str, paths: Sequence[str], *, max_bytes: int
    ) -> dict[str, bytes | None]:
        return {path: self.files[path] for path in paths if path in self.files}


@dataclass(slots=True)
class Desk:
    """A control plane's operations on `engine`; robin asks, morgan and alex may approve."""

    engine: Engine
    directory: Path
    signers: dict[str, Signer]
    told: OperationSet
    access: World = field(init=False)
    repository: FakeRepository = field(init=False)
    tasks: SqlTaskStore = field(init=False)
    store: SqlOperationStore = field(init=False)
    hook_store: SqlHookStore = field(init=False)
    fire: FireHook = field(init=False)
    create_task: CreateTask = field(init=False)
    lifecycle: TaskLifecycle = field(init=False)
    request: RequestOperation = field(init=False)
    advance: AdvanceOperations = field(init=False)
    operations: Operations = field(init=False)
    say: SayOnOperation = field(init=False)
    differences: ShowDifferences = field(init=False)
    tree: StubTree = field(init=False)
    index: FakePackageIndex = field(init=False)
    run: StubRun = field(init=False)
    clock: SettableClock = field(init=False)
    worker: CertifiedSigner = field(default_factory=CertifiedSigner)
    people: dict[str, Credentials] = field(default_factory=dict)

    @classmethod
    async def make(cls, engine: Engine, directory: Path, **changes: Any) -> Desk:
        """Return the desk with one operation and its project; `changes` are of the operation."""
        signers = {name: Signer.make(name, directory) for name in ("morgan", "alex", "robin")}
        one = operation(**changes)
        made = cls(engine, directory, signers, OperationSet({one.name: one}, people(*signers.values())))
        await made._people()
        return made

    def __post_init__(self) -> None:
        self.access = World(self.engine, self.directory)
        self.clock = SettableClock(NOW)
        self.repository, self.run = FakeRepository(), StubRun()
        entropy, keys = CountedEntropy(), KnownPools()
        sealer = KeyFileSealer.open(self.directory / "keys.json", CountedEntropy())
        self.tasks, self.store = SqlTaskStore(self.engine), SqlOperationStore(self.engine)
        self.hook_store = SqlHookStore(self.engine)
        pushes, authorizer = SqlPushStore(self.engine), self.access.authorizer
        reserved = self.told.privileged_queues
        self.create_task = CreateTask(self.tasks, reserved)
        self.lifecycle = TaskLifecycle(self.tasks, reserved)
        hooks = Hooks(self.hook_store, sealer, entropy)
        guard = GuardOperations(ToldGuard())
        self.fire = FireHook(
            self.hook_store, self.tasks, self.create_task, authorizer, sealer, entropy, guard
        )
        configured = ConfiguredOperations(self.told, self.hook_store, hooks)
        stage_two = StageTwo(configured, self.tasks, self.create_task, authorizer)
        observe = ObservePush(pushes, self.repository, self.clock, entropy)
        self.request = RequestOperation(
            configured, self.store, self.fire, stage_two, pushes, observe, self.repository, entropy
        )
        self.advance = AdvanceOperations(
            configured,
            self.store,
            self.tasks,
            stage_two,
            self.run,
            keys,
            pushes,
            observe,
            self.repository,
            SqlLeases(self.engine),
            self.clock,
            holder="one",
        )
        self.operations = Operations(configured, self.store, stage_two)
        self.say = SayOnOperation(configured, self.store, InProcessWakeups())
        self.tree, self.index = StubTree(), FakePackageIndex()
        self.differences = ShowDifferences(
            configured, self.store, self.run, pushes, self.tree, self.index, DirectParser.of_all()
        )
        self.projects = Projects(pushes, self.repository)

    projects: Projects = field(init=False)

    async def _people(self) -> None:
        role = "hook-id:liftlock-operations/publish-widget"
        await self.access.make_role(
            role,
            "queue:create-task:low:local/unprivileged",
            "queue:create-task:project:none",
            "queue:scheduler-id:liftlock-operations",
            "pushes:get-source:widget",
        )
        for name in self.signers:
            self.people[name] = await self.access.make_client(
                f"people/{name}", "liftlock:request:*", "liftlock:approve:*", "liftlock:list-operations"
            )
        self.repository.commit_to("main", "one")
        project = define_project(
            name="widget",
            identity="https://github.com/demo/widget",
            fetch_address="/srv/widget.git",
            level=1,
            branches=["*"],
            trust_domain="demo",
        )
        await self.projects.register(await self.access.caller(), project, NOW, decide_existing=True)

    async def ask(self, who: str = "robin", **changes: Any) -> OperationRecord:
        """Ask for the operation."""
        given = {"operation": "publish-widget", "ref": "main", "input": {"version": "1.0"}} | changes
        caller = await self.access.caller(self.people[who])
        return await self.request(caller, Wanted(**given), self.clock.now())

    async def build(self, record: OperationRecord, files: dict[str, bytes] | None = None) -> None:
        """Let a worker run stage 1, and leave its files and its signed chain."""
        now_ms = to_ms(self.clock.now())
        task_id = record.stage1_task_id
        await self.tasks.transition(
            task_id, Claim("local", "w", now_ms + 600_000), Envelope(self.clock.now())
        )
        await self.tasks.transition(task_id, Report(0, "completed", "completed"), Envelope(self.clock.now()))
        [there] = await self.tasks.stored([task_id])
        files = {NAME: WHEEL} if files is None else files
        source = {"name": "source", "kind": "git", "project": "widget", "commit": record.revision}
        left = produced(
            self.worker,
            task_id,
            files,
            1,
            task=there.document,
            manifest={"inputs": [source]},
            started=self.clock.now(),
            finished=self.clock.now(),
        )
        chain = ChainBytes(left[task_id, CHAIN_NAME], left[task_id, SIGNATURE_NAME])
        stored = {name: Stored(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
        self.run.left[task_id] = (chain, stored)
        self.run.contents |= {hashlib.sha256(data).hexdigest(): data for data in files.values()}

    async def waiting(self, **changes: Any) -> OperationRecord:
        """Return an operation that waits for approval."""
        record = await self.ask(**changes)
        await self.build(record)
        await self.advance.step()
        found = await self.found(record)
        assert found.state == "waiting", found.why
        return found

    async def found(self, record: OperationRecord) -> OperationRecord:
        """Return the operation as it is now."""
        found = await self.store.operation(record.operation_id)
        assert found is not None
        return found

    async def word(self, record: OperationRecord, who: str, verdict: Any = "approve", **changes: Any) -> None:
        """Say something on the operation, signed."""
        assert record.frozen is not None
        said = self.signers[who].say(record.frozen, verdict)
        given = {
            "verdict": verdict,
            "digest": said.digest,
            "approver": who,
            "reason": said.reason,
            "method": "ssh",
            "proof": said.proof,
        } | changes
        caller = await self.access.caller(self.people[given.pop("as_client", who)])
        await self.say(caller, record.operation_id, Word(**given), self.clock.now())

    async def state_of(self, task_id: str) -> str:
        """Return the state of a task."""
        task = await self.tasks.task(task_id)
        assert task is not None
        return task.progress.state

    async def audited(self, action: str) -> list[str]:
        """Return the verdicts of the audit records of that action, in order."""

        def script() -> Script[list[str]]:
            rows = yield Sql("SELECT verdict FROM audit WHERE action = $1 ORDER BY id", (action,))
            return [row[0] for row in rows]

        return await self.engine.read(script)

    def later(self, **delta: Any) -> datetime:
        """Let time pass."""
        self.clock.present += timedelta(**delta)
        self.access.now = self.clock.present
        return self.clock.present
