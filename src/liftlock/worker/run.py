"""One claimed run, from its journal entry to its resolution.

Claim → plan → fetch, measure, unpack → run → the tree is dead → collect → upload → attest → resolve. Whatever ends a run, its
sandbox is dead before anything is said to the control plane.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.manifest import Failed
from liftlock.domain.provenance.chain import Output
from liftlock.errors import ConflictError, IsolationUnavailableError, LiftlockError, SandboxFailedError
from liftlock.ports.queue_client import Claim, Lease, QueueUnavailableError
from liftlock.ports.sandbox import DiskLimits
from liftlock.ports.signer import UncertifiedError
from liftlock.values.instants import parse_instant
from liftlock.values.json import decode
from liftlock.worker.attest import JSON, Finished, Uploads, attest
from liftlock.worker.lease import LeaseKeeper
from liftlock.worker.outcome import Outcome, RunEndedError
from liftlock.worker.parts import Parts
from liftlock.worker.payload import BACKING_LOG, LIVE_LOG, MANIFEST_NAME
from liftlock.worker.run_body import RunBody
from liftlock.worker.run_log import RunLog

T = TypeVar("T")
RETRY_S = (0.5, 1.0, 2.0, 5.0)
HAND_BACK_S = 4.0
"""How long the report of a shutdown may take, and how long the log's upload after it."""
_log = structlog.get_logger(__name__)


class TaskRun:
    """Works on one claim in one slot; `broken` is set if what makes sandboxes has failed."""

    def __init__(self, parts: Parts, claim: Claim, slot: int, broken: asyncio.Event) -> None:
        self._parts = parts
        self._claim = claim
        self._slot = slot
        self._broken = broken
        self._shutdown = asyncio.Event()
        self._log: RunLog | None = None
        self._expires = parse_instant(claim.task["expires"], what="expires")
        self._directory = parts.runs_dir / f"{claim.run.task_id}-{claim.run.run_id}"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._began = parts.clock.now()
        self._keeper = LeaseKeeper(parts.queue, parts.clock, claim.run, claim.lease, self._renewed)

    def shut_down(self) -> None:
        """Give the run back: the worker ends."""
        self._shutdown.set()

    async def __call__(self) -> None:
        """Work until the run is resolved, lost or given back; then nothing of it is left here."""
        log = self._log = self._open_log()
        body = RunBody(
            self._parts,
            self._claim,
            self._slot,
            credentials=self._credentials,
            held=self._keeper.still_held,
            lines=log.lines,
            expires=self._expires,
            directory=self._directory,
        )
        keeping = asyncio.create_task(self._keeper.keep())
        working = asyncio.create_task(self._work(body, log))
        asked = [asyncio.create_task(event.wait()) for event in (self._keeper.lost, self._shutdown)]
        try:
            await asyncio.wait({working, *asked}, return_when=asyncio.FIRST_COMPLETED)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await body.remove_scratch()
            await self._conclude(working, log)
        finally:
            for task in (keeping, working, *asked):
                task.cancel()
            await asyncio.gather(keeping, working, *asked, return_exceptions=True)
            await log.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _open_log(self) -> RunLog:
        return RunLog(
            queue=self._parts.queue,
            run=self._claim.run,
            credentials=self._credentials,
            clock=self._parts.clock,
            directory=self._directory,
            max_bytes=self._parts.max_log_bytes,
            secrets=(*self._parts.secrets, *secrets_of(self._credentials())),
            expires=self._expires,
            refused=self._keeper.check_now,
        )

    def _credentials(self) -> Credentials:
        return self._keeper.credentials

    def _renewed(self, lease: Lease) -> None:
        self._parts.journal.record(self._claim.run, lease)
        if self._log is not None:
            self._log.lines.hide(secrets_of(lease.credentials))

    async def _conclude(self, working: asyncio.Task[None], log: RunLog) -> None:
        """Do what is left to do once the work has ended, or was stopped, and its tree is dead."""
        if not working.cancelled() and working.exception() is None:
            self._parts.journal.forget(self._claim.run)
        elif self._keeper.lost.is_set():
            _log.warning("a claim was lost", run=str(self._claim.run), why=self._keeper.why)
            self._parts.journal.forget(self._claim.run)
        elif self._shutdown.is_set():
            await self._hand_back(log)
        elif not working.cancelled():
            _log.error("a run has no resolution", run=str(self._claim.run), error=repr(working.exception()))

    async def _work(self, body: RunBody, log: RunLog) -> None:
        outcome, failed = await self._outcome(body, log)
        await body.remove_scratch()
        log.lines.note(f"the run ends as {outcome}")
        await self._finish(outcome, body, failed, log)

    async def _outcome(self, body: RunBody, log: RunLog) -> tuple[Outcome, Failed | None]:
        try:
            return await body.perform(), None
        except RunEndedError as error:
            log.lines.note(error.message)
            return error.outcome, error.failed
        except (SandboxFailedError, IsolationUnavailableError) as error:
            log.lines.note(f"the sandbox failed: {error.message}")
            await self._try_sandbox()
            return "worker-shutdown", None
        except QueueUnavailableError as error:
            log.lines.note(f"the control plane can't be reached: {error.message}")
            return "worker-shutdown", None
        except LiftlockError as error:
            if isinstance(error, ConflictError) and not await self._keeper.still_held():
                raise
            log.lines.note(f"the run can't go on ({error.code}): {error.message}")
            return "internal-error", None
        except Exception:  # noqa: BLE001 -- a defect of ours must not leave the run without resolution; it is logged
            _log.exception("a run failed by a defect", run=str(self._claim.run))
            log.lines.note("the worker failed; this is not the task's fault")
            return "internal-error", None

    async def _try_sandbox(self) -> None:
        """Notice whether this worker can still make sandboxes; if not, it ends.

        Either way the run is retried, as often as its task allows: what failed was not the task.
        """
        try:
            scratch = await self._parts.sandbox.new_scratch(self._slot, DiskLimits(16 << 20, 1000))
            await self._parts.sandbox.remove_scratch(scratch)
        except LiftlockError:
            self._broken.set()

    async def _finish(self, outcome: Outcome, body: RunBody, failed: Failed | None, log: RunLog) -> None:
        """Upload manifest, log and chain of trust, and resolve; each is repeated for as long as the claim holds.

        A run that has no chain, though it ended by itself, is no one's to build upon: it does not count, and is retried
        where this worker's certificate is to blame.
        """
        run, parts, manifest = self._claim.run, self._parts, body.manifest(failed)
        uploads = Uploads(parts, self._claim, self._credentials, self._expires)
        if outcome in ("completed", "failed") and not await self._can_sign(log):
            outcome = "worker-shutdown"
        shown = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        told = await self._persist(lambda: uploads.document(MANIFEST_NAME, JSON, shown), "the manifest")
        packed = await self._persist(log.upload, "the log")
        if outcome == "completed" or outcome == "failed":  # noqa: PLR1714 -- a set does not narrow the type
            logs = () if packed is None else (BACKING_LOG, LIVE_LOG)
            outputs = [Output(name, packed.sha256, packed.size) for name in logs if packed is not None]
            outputs += [*body.outputs, *([] if told is None else [told])]
            finished = Finished(outcome, self._began, tuple(outputs), manifest, body.limits)
            attested = await attest(parts, self._claim, finished)
            if not await self._persist(lambda: uploads.attestations(attested), "the chain of trust"):
                outcome = "internal-error"
        resolution = outcome
        await self._persist(lambda: parts.queue.report(run, self._credentials(), resolution), None)

    async def _can_sign(self, log: RunLog) -> bool:
        """Tell whether this worker's key is certified; if not, the run's log says so."""
        try:
            await self._parts.signer.certificate()
        except UncertifiedError as error:
            log.lines.note(f"the run can't be attested, so it does not count: {error.message}")
            _log.error("a run can't be attested", run=str(self._claim.run), error=error.message)
            return False
        return True

    async def _persist(self, act: Callable[[], Awaitable[T]], optional: str | None) -> T | None:
        """Return what `act` returns, repeated until the control plane answers.

        What is `optional` may be refused; that is logged, and None returned.

        Raises:
            ConflictError: the run is no longer ours.
        """
        failures = 0
        while True:
            try:
                return await act()
            except QueueUnavailableError:
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
            except LiftlockError as error:
                lost = isinstance(error, ConflictError) and not await self._keeper.still_held()
                if optional is None or lost:
                    raise
                _log.error(
                    "an artifact of the worker was refused",
                    run=str(self._claim.run),
                    what=optional,
                    code=error.code,
                    error=error.message,
                )
                return None

    async def _hand_back(self, log: RunLog) -> None:
        """Report that the worker ends: the queue retries the run at once. The log follows if there is time."""
        log.lines.note("the worker ends; the run is given back to be retried")
        run = self._claim.run
        try:
            async with asyncio.timeout(HAND_BACK_S):
                await self._parts.queue.report(run, self._credentials(), "worker-shutdown")
        except (LiftlockError, TimeoutError) as error:
            # The journal keeps the claim: whoever starts next gives it back.
            _log.warning("a run could not be given back yet", run=str(run), error=str(error))
            return
        self._parts.journal.forget(run)
        try:
            async with asyncio.timeout(HAND_BACK_S):
                await log.upload()
        except (LiftlockError, TimeoutError) as error:
            _log.warning("the log of a run that was given back is lost", run=str(run), error=str(error))


def secrets_of(credentials: Credentials) -> tuple[str, ...]:
    """Return what of credentials must never be in a log."""
    found = [credentials.access_token]
    if credentials.certificate is not None:
        said = decode(credentials.certificate, what="certificate")
        found += [
            credentials.certificate,
            *(said[key] for key in ("seed", "signature") if isinstance(said.get(key), str)),
        ]
    return tuple(found)
