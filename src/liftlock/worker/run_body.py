"""What a run does between its claim and its resolution: plan, inputs, commands, artifacts; and what it tells of itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.caches import grant
from liftlock.domain.inputs.manifest import Failed, RunFacts, manifest
from liftlock.domain.inputs.network import check_network, sealing
from liftlock.domain.provenance.chain import Output
from liftlock.domain.provenance.levels import level_of
from liftlock.domain.tasks.interactive import TERMINAL, why_not
from liftlock.errors import InputValidationError, LiftlockError, NotFoundError
from liftlock.ports.downloads import DownloadFailedError
from liftlock.ports.input_store import InputRejectedError, StoreDamagedError
from liftlock.ports.queue_client import Claim
from liftlock.ports.sandbox import DataFile, DiskLimits, Scratch
from liftlock.worker.caches import RunCaches
from liftlock.worker.collect import Collector
from liftlock.worker.environment import environment
from liftlock.worker.execute import Door, Execution, Executor
from liftlock.worker.fetching import Fetcher
from liftlock.worker.images import Images, ReadyImage
from liftlock.worker.logs.task_log import TaskLog
from liftlock.worker.network.plan import RunNetwork
from liftlock.worker.npm import NpmPackages
from liftlock.worker.outcome import Outcome, RunEndedError
from liftlock.worker.own import AT_BUILD, make_home
from liftlock.worker.parts import Parts
from liftlock.worker.payload import MANIFEST_INSIDE, Payload, parse
from liftlock.worker.prepare import Placed, Preparer
from liftlock.worker.proxy.server import INSIDE_URL, ApiProxy
from liftlock.worker.signatures import Signatures
from liftlock.worker.terminal import ENV as TERMINAL_ENV
from liftlock.worker.terminal import Terminal
from liftlock.worker.trees import RunTrees
from liftlock.worker.upstream import Upstream
from liftlock.worker.wheel_index import WheelIndex
from liftlock.worker.wheels import Wheels

_log = structlog.get_logger(__name__)


class RunBody:
    """Performs one run in one slot. `directory`: the worker's own, for this run.

    `outputs`: artifacts that were uploaded, in order; `limits`: what the commands could use. Both grow.
    """

    def __init__(
        self,
        parts: Parts,
        claim: Claim,
        slot: int,
        *,
        credentials: Callable[[], Credentials],
        held: Callable[[], Awaitable[bool]],
        lines: TaskLog,
        expires: datetime,
        directory: Path,
    ) -> None:
        self._parts = parts
        self._claim = claim
        self._slot = slot
        self._credentials = credentials
        self._held = held
        self._lines = lines
        self._expires = expires
        self._directory = directory
        self._scopes = tuple(claim.task.get("scopes", ()))
        self._scratch: Scratch | None = None
        self._preparer: Preparer | None = None
        self._proxy: ApiProxy | None = None
        self._network: RunNetwork | None = None
        self._images: Images | None = None
        self._image: ReadyImage | None = None
        self._caches: RunCaches | None = None
        self._home = AT_BUILD
        self._trees = RunTrees(parts.store, parts.sandbox, str(claim.run))
        self._shown: tuple[Output, ...] = ()
        self.outputs: tuple[Output, ...] = ()
        self.limits: dict[str, Any] = {}

    async def perform(self) -> Outcome:
        """Return how the run ended; no process of it is alive.

        Raises:
            RunEndedError: it ended before its commands ran.
            SandboxFailedError, IsolationUnavailableError: what makes sandboxes failed.
            ConflictError: the run is no longer ours.
            QueueUnavailableError: the control plane took no artifacts, repeatedly.
        """
        parts = self._parts
        who = f"{parts.identity.worker_group}/{parts.identity.worker_id}"
        self._lines.note(f"task {self._claim.run.task_id}, run {self._claim.run.run_id}, on worker {who}")
        for line in parts.sandbox.isolation.lines():
            self._lines.note(line)
        payload, caches = self._parse()
        self.limits = msgspec.to_builtins(payload.resources) | {"maxRunTime": payload.max_run_s}
        disk = DiskLimits(max_bytes=payload.resources.disk_bytes)
        self._scratch = await parts.sandbox.new_scratch(self._slot, disk)
        await caches.open(self._scratch, parts.clock.now())
        self._caches = caches
        self._preparer = self._make_preparer(self._scratch)
        await self._preparer.prepare(payload.inputs, lambda: self._prepare_image(payload))
        root = await self._prepare_image(payload)
        self._home = await make_home(payload, self._image, parts.sandbox, self._scratch)
        caches.check_root(root, self._home.own)
        self._network = self._make_network(payload, self._preparer)
        if payload.api_proxy:
            self._proxy = ApiProxy(
                parts.queue, scopes=self._scopes, credentials=self._credentials, hide=self._lines.hide
            )
        outcome = await self._execute(payload, self._scratch, self._preparer.placed)
        if outcome == "internal-error":
            return outcome
        complete = await self._collect(payload, self._scratch)
        return outcome if complete or outcome != "completed" else "failed"

    async def remove_scratch(self) -> None:
        """Kill whatever of the run lives in the slot, and remove its scratch. Does nothing the second time."""
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            try:
                await self._parts.sandbox.remove_scratch(scratch)
            except LiftlockError as error:
                _log.warning("a scratch was not removed", run=str(self._claim.run), error=error.message)
            self._trees.release()

    def manifest(self, failed: Failed | None) -> dict[str, Any]:
        """Return the inputs manifest as it is known now."""
        identity, proxy, network = self._parts.identity, self._proxy, self._network
        records = [each.record for each in (proxy, network) if each is not None]
        facts = RunFacts(
            self._claim.run.task_id,
            self._claim.run.run_id,
            {"workerGroup": identity.worker_group, "workerId": identity.worker_id},
            msgspec.to_builtins(self._parts.sandbox.isolation),
            {"default": "none", "apiProxy": proxy is not None} if network is None else network.wire(),
            tuple(attempt for record in records for attempt in record.refused),
            sum(record.refused_more for record in records),
        )
        more: dict[str, Any] = {} if self._image is None else {"image": self._image.wire}
        if self._caches is not None and self._caches.told:
            more["caches"] = list(self._caches.told)
        prepared = () if self._preparer is None else tuple(self._preparer.prepared)
        return manifest(facts, prepared, failed) | more

    def _parse(self) -> tuple[Payload, RunCaches]:
        """Return the payload and the caches that it gets."""
        given = self._claim.task.get("payload")
        try:
            payload = parse(given, bounds=self._parts.bounds, task_expires=self._expires)
            check_network(
                payload.network,
                sealing(
                    payload.network,
                    payload.inputs,
                    api_proxy=payload.api_proxy,
                    caches=bool(payload.caches),
                ),
                self._parts.policy,
                scopes=self._scopes,
                queue_id=self._parts.identity.queue_id,
            )
            granted = grant(
                payload.caches,
                pool=self._parts.identity.queue_id,
                level=level_of(self._claim.task),
                is_open=payload.network.is_open,
                policy=self._parts.policy,
                scopes=self._scopes,
            )
            self._check_shell(payload)
        except InputValidationError as error:
            raise RunEndedError("malformed-payload", f"malformed payload: {error.message}") from error
        self._lines.hide(payload.env[name] for name in payload.masked_env)
        parts = self._parts
        pool, rule = parts.identity.queue_id, parts.policy.caches
        return payload, RunCaches(granted, parts.sandbox, parts.queue, pool, rule)

    def _check_shell(self, payload: Payload) -> None:
        refusal = (
            why_not(
                scopes=self._scopes,
                api_proxy=payload.api_proxy,
                network_open=payload.network.is_open,
                caches=bool(payload.caches),
                commands=len(payload.command),
            )
            if payload.interactive
            else None
        )
        if refusal is not None:
            raise InputValidationError(f"payload.{refusal}", path="payload.features.shell")

    def _open_terminal(self, payload: Payload) -> Terminal | None:
        """Return the terminal that the command runs on; None: it writes to the log."""
        if not payload.interactive:
            return None
        return Terminal(
            self._parts.queue,
            self._claim.run,
            self._credentials,
            self._directory,
            max_bytes=self._parts.max_log_bytes,
        )

    async def _prepare_image(self, payload: Payload) -> str | None:
        """Return the root of the payload's image, made when this is first asked for; None: it has none."""
        if payload.image is None or self._images is None or self._preparer is None:
            return None
        if self._image is None:
            try:
                self._image = await self._images.prepare(payload.image, self._preparer.files)
            except (InputValidationError, InputRejectedError) as error:
                raise RunEndedError("malformed-payload", f"the image: {error.message}") from error
            except (NotFoundError, DownloadFailedError, StoreDamagedError) as error:
                raise RunEndedError("resource-unavailable", f"the image: {error.message}") from error
            self._lines.note(f"image: {self._image.wire['tree']}")
        return self._image.root

    def _make_network(self, payload: Payload, preparer: Preparer) -> RunNetwork:
        return RunNetwork(
            payload.network,
            payload.inputs,
            preparer.served,
            policy=self._parts.policy,
            store=self._parts.store,
            downloader=self._parts.downloader,
            dialer=self._parts.dialer,
            api_proxy=payload.api_proxy,
            caches=bool(payload.caches),
        )

    def _wheel_index(self) -> WheelIndex | None:
        """Return the first index of kind pypi that the policy names."""
        for index in self._parts.policy.indexes.values():
            if index.kind == "pypi" and self._parts.downloader is not None:
                return WheelIndex(self._parts.downloader, index.url)
        return None

    def _make_preparer(self, scratch: Scratch) -> Preparer:
        parts = self._parts
        signatures = Signatures(parts.policy, parts.downloader, parts.sandbox, scratch, parts.bundles)
        fetcher = Fetcher(
            queue=parts.queue,
            store=parts.store,
            downloader=parts.downloader,
            policy=parts.policy,
            signatures=signatures,
            producers=self._make_upstream(),
            credentials=self._credentials,
            scopes=self._scopes,
        )
        self._images = Images(
            store=parts.store,
            sandbox=parts.sandbox,
            scratch=scratch,
            downloader=parts.downloader,
            fetcher=fetcher,
            policy=parts.policy,
            trees=self._trees,
            logins=parts.registry_logins,
        )
        return Preparer(
            queue=parts.queue,
            store=parts.store,
            wheels=Wheels(
                parts.store,
                parts.wheelhouse,
                parts.sandbox,
                parts.interpreters,
                scratch,
                self._trees,
                self._wheel_index(),
            ),
            sandbox=parts.sandbox,
            scratch=scratch,
            credentials=self._credentials,
            scopes=self._scopes,
            note=self._lines.note,
            fetcher=fetcher,
            policy=parts.policy,
            npm=NpmPackages(fetcher, parts.policy),
            trees=self._trees,
        )

    def _make_upstream(self) -> Upstream:
        level = level_of(self._claim.task)
        return Upstream(
            queue=self._parts.queue,
            trusted=self._parts.trusted,
            credentials=self._credentials,
            scopes=self._scopes,
            level=level,
            pools=self._parts.policy.producers.get(str(level)),
            dependencies=tuple(self._claim.task.get("dependencies", ())),
        )

    async def _execute(self, payload: Payload, scratch: Scratch, placed: Placed) -> Outcome:
        manifest_shown = msgspec.json.format(msgspec.json.encode(self.manifest(None)), indent=2)
        placed = Placed(placed.binds, (*placed.files, DataFile(MANIFEST_INSIDE, manifest_shown)))
        root_url = self._parts.queue.root_url
        network = self._network
        reached = ({} if self._image is None else self._image.env) | ({} if network is None else network.env)
        home = self._home
        env = environment(
            self._claim.run, self._claim.task, payload, root_url, INSIDE_URL, reached, home.home
        )
        doors: list[Door] = [] if network is None else [*network.doors]
        if self._proxy is not None:
            doors.append(self._proxy)
        terminal = self._open_terminal(payload)
        env = env if terminal is None else TERMINAL_ENV | env
        executor = Executor(self._parts.sandbox, self._lines, doors, terminal)
        root = None if self._image is None else self._image.root
        caches = self._caches
        binds = () if caches is None else caches.binds
        outcome = await executor.run(Execution(scratch, payload, env, placed, root, binds, home))
        if terminal is not None:
            shown = await terminal.upload(self._expires)
            self._shown = (Output(TERMINAL, shown.sha256, shown.size),)
        if caches is not None and executor.last_code in payload.purge_codes:
            self._lines.note(f"exit code {executor.last_code}: the caches of this task are removed")
            await caches.purge()
        return outcome

    async def _collect(self, payload: Payload, scratch: Scratch) -> bool:
        collector = Collector(
            queue=self._parts.queue,
            sandbox=self._parts.sandbox,
            scratch=scratch,
            run=self._claim.run,
            credentials=self._credentials,
            note=self._lines.note,
            held=self._held,
            spool=self._directory,
        )
        complete = await collector.collect(payload.artifacts)
        self.outputs = (*self._shown, *(Output(one.name, one.sha256, one.size) for one in collector.sent))
        return complete
