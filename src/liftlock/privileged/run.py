"""One run of a stage 2: gather, admit, perform, record. What is recorded never holds a secret."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import structlog

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.operations.admission import Admitted, admit
from liftlock.domain.operations.freezing import Broken
from liftlock.domain.operations.parsings import TypesQuestion, question
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, Output, RunRecord, chain_document
from liftlock.domain.provenance.levels import level_of
from liftlock.errors import (
    ConflictError,
    InputValidationError,
    IsolationUnavailableError,
    LiftlockError,
    RefusedError,
)
from liftlock.ports.confined_parser import ParserFailedError
from liftlock.ports.queue_client import Claim, QueueUnavailableError, Upload
from liftlock.privileged.gathering import Gathered, Gathering
from liftlock.privileged.holding import Held
from liftlock.privileged.parts import Parts
from liftlock.privileged.performing import Performed, PerformRefusedError, Work
from liftlock.values.instants import parse_instant
from liftlock.values.secret import Secret, hidden

RESULT: Final = "public/result.json"
LOG: Final = "public/logs/live.log"
MAX_LINES: Final = 10_000
_log = structlog.get_logger(__name__)

Outcome = Literal["completed", "failed", "internal-error"]


class PrivilegedRun:
    """Performs one claim. `lines`: what is told of it, in order; every secret that was opened is masked in them."""

    def __init__(self, parts: Parts, claim: Claim) -> None:
        self._parts = parts
        self._claim = claim
        self._held = Held(parts.queue, claim)
        self._opened: list[Secret] = []
        self._lines: list[str] = []
        self._result: dict[str, Any] = {}
        self._made: dict[str, bytes] = {}
        self._started = parts.clock.now()

    async def __call__(self) -> None:
        """Perform and report. Raises ConflictError if the run is no longer ours."""
        outcome = await self._held.during(self._outcome())
        await self._held.during(self._record(outcome))
        await self._parts.queue.report(self._claim.run, self._held.credentials, outcome)

    async def _outcome(self) -> Outcome:
        task_id = self._claim.run.task_id
        self.note(f"stage 2 {task_id}, run {self._claim.run.run_id}")
        try:
            gathered = await Gathering(self._parts)(task_id)
            found = admit(
                self._parts.own,
                self._parts.queue_id,
                task_id,
                gathered.handed,
                self._parts.trusted.current(),
                self._parts.clock.now(),
            )
            if isinstance(found, Broken):
                return self._refused(
                    found.rule, f"{found.path}: {found.message}" if found.path else found.message
                )
            return await self._perform(found, gathered)
        except (InputValidationError, PerformRefusedError, ParserFailedError, RefusedError) as error:
            return self._refused(str(error.details.get("rule", error.code)), error.message)
        except (ConflictError, QueueUnavailableError, IsolationUnavailableError):
            raise
        except LiftlockError as error:
            return self._refused(error.code, error.message, verdict="failed")
        except Exception as error:  # noqa: BLE001 -- a plug-in's failure is told by its type alone: its text may hold a secret
            return self._refused(
                "error", f"{type(error).__name__}; it is no refusal that was foreseen", verdict="failed"
            )

    async def _perform(self, admitted: Admitted, gathered: Gathered) -> Outcome:
        request, operation = admitted.request, admitted.operation
        self.note(f"admitted: {request.operation} {request.operation_id}, sha256:{request.digest}")
        for name, key in admitted.tally.approved.items():
            self.note(f"approved by {name}, key {key}")
        types = TypesQuestion(operation.contract, gathered.files)
        await self._parts.tools.parser.parse("types", question(types))
        kind = self._parts.kinds[operation.stage2.kind]
        work = Work(request, operation, gathered.files, lambda name: self._open(admitted, name), self.note)
        performed = await kind.perform(work, self._parts.tools)
        self._done(admitted, performed)
        return "completed"

    def _open(self, admitted: Admitted, name: str) -> Secret:
        sealed = admitted.operation.stage2.secrets.get(name)
        if sealed is None:
            raise PerformRefusedError(
                f"{admitted.operation.name} has no secret {name!r} in its configuration"
            )
        found = self._parts.secrets.open(admitted.operation.name, sealed)
        self._opened.append(found)
        return found

    def _done(self, admitted: Admitted, performed: Performed) -> None:
        self.note(performed.summary)
        self._made = {name: self._without_secrets(name, content) for name, content in performed.made.items()}
        self._result = {
            "verdict": "performed",
            "operationId": admitted.request.operation_id,
            "digest": admitted.request.digest,
            "approved": admitted.tally.approved,
            "summary": performed.summary,
            "facts": dict(performed.facts),
        }

    def _refused(self, rule: str, message: str, *, verdict: str = "refused") -> Outcome:
        self.note(f"{verdict}: {rule}: {message}")
        self._result = {"verdict": verdict, "rule": rule, "message": message}
        _log.warning("a stage 2 was not performed", task=self._claim.run.task_id, verdict=verdict, rule=rule)
        return "failed"

    def note(self, line: str) -> None:
        """Add a line to the run's log."""
        if len(self._lines) < MAX_LINES:
            self._lines.append(f"[{self._parts.clock.now():%H:%M:%S}] {line}")

    def _without_secrets(self, name: str, content: bytes) -> bytes:
        """Return the content as it is: masking would change what was signed, so one that holds a secret is refused."""
        if self._masked(content) != content or not name.startswith("public/"):
            raise PerformRefusedError("what was made would publish a secret, or is not for the public")
        return content

    def _masked(self, content: bytes) -> bytes:
        return hidden(content, self._opened)

    async def _record(self, outcome: Outcome) -> None:
        """Upload the result, the log, and the signed chain of trust of this run."""
        expires = parse_instant(str(self._claim.task["expires"]), what="expires")
        shown = msgspec.json.format(msgspec.json.encode(self._result), indent=2) + b"\n"
        made = [
            await self._upload(name, "application/octet-stream", content, expires)
            for name, content in sorted(self._made.items())
        ]
        outputs = (
            *made,
            await self._upload(RESULT, "application/json", self._masked(shown), expires),
            await self._upload(LOG, "text/plain; charset=utf-8", self._masked(self._text()), expires),
        )
        chain = await self._chain(outcome, outputs)
        await self._upload(
            SIGNATURE_NAME, "application/octet-stream", self._parts.signer.sign(chain), expires
        )
        await self._upload(CHAIN_NAME, "application/json", chain, expires)

    def _text(self) -> bytes:
        return "".join(f"{line}\n" for line in self._lines).encode("utf-8", "replace")

    async def _chain(self, outcome: Outcome, outputs: tuple[Output, ...]) -> bytes:
        certificate, envelope = await self._parts.signer.certificate()
        record = RunRecord(
            task_id=self._claim.run.task_id,
            run_id=self._claim.run.run_id,
            task=self._claim.task,
            worker_group=certificate.worker_group,
            worker_id=certificate.worker_id,
            pool=certificate.pool,
            level=min(level_of(self._claim.task), certificate.level),
            outcome="completed" if outcome == "completed" else "failed",
            started=self._started,
            finished=self._parts.clock.now(),
            outputs=outputs,
            manifest={"inputs": []},
            limits={},
            certificate=envelope,
        )
        return msgspec.json.format(msgspec.json.encode(chain_document(record)), indent=2) + b"\n"

    async def _upload(self, name: str, content_type: str, content: bytes, expires: datetime) -> Output:
        descriptor = os.memfd_create("artifact", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            credentials: Credentials = self._held.credentials
            upload = Upload(name, content_type, expires, descriptor, len(content))
            await self._parts.queue.upload(self._claim.run, credentials, upload)
        finally:
            os.close(descriptor)
        return Output(name, hashlib.sha256(content).hexdigest(), len(content))
