"""The end of a finished run: its chain of trust, signed, and the same as an in-toto statement; uploaded before it is resolved.

What is attested is what was uploaded: each digest was measured on the descriptor whose bytes were sent.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.provenance.chain import (
    CHAIN_NAME,
    SIGNATURE_NAME,
    Output,
    RunOutcome,
    RunRecord,
    chain_document,
)
from liftlock.domain.provenance.envelope import STATEMENT_TYPE, enveloped, signed_bytes
from liftlock.domain.provenance.levels import level_of
from liftlock.domain.provenance.statement import STATEMENT_NAME, statement
from liftlock.ports.queue_client import Claim, Upload
from liftlock.worker.parts import Parts

JSON = "application/json"
BYTES = "application/octet-stream"
IN_TOTO = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended by itself, with all of its artifacts uploaded."""

    outcome: RunOutcome
    started: datetime
    outputs: tuple[Output, ...]
    manifest: dict[str, Any]
    limits: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attested:
    """The bytes of a run's attestations."""

    chain: bytes
    signature: bytes
    statement: bytes


async def attest(parts: Parts, claim: Claim, finished: Finished) -> Attested:
    """Return the signed attestations of a run.

    Raises:
        UncertifiedError: this worker's key has no valid certificate.
    """
    certificate, envelope = await parts.signer.certificate()
    now = parts.clock.now()
    record = RunRecord(
        task_id=claim.run.task_id,
        run_id=claim.run.run_id,
        task=claim.task,
        worker_group=certificate.worker_group,
        worker_id=certificate.worker_id,
        pool=certificate.pool,
        level=min(
            level_of(claim.task),
            certificate.level,
            *(cache["level"] for cache in finished.manifest.get("caches", [])),
        ),
        outcome=finished.outcome,
        started=finished.started,
        finished=now,
        outputs=finished.outputs,
        manifest=finished.manifest,
        limits=finished.limits,
        certificate=envelope,
    )
    chain = msgspec.json.format(msgspec.json.encode(chain_document(record)), indent=2) + b"\n"
    chain_sha256 = hashlib.sha256(chain).hexdigest()
    said = statement(record, root_url=parts.queue.root_url, chain_sha256=chain_sha256)
    payload = msgspec.json.encode(said)
    signed = parts.signer.sign(signed_bytes(STATEMENT_TYPE, payload))
    return Attested(
        chain,
        parts.signer.sign(chain),
        msgspec.json.encode(enveloped(STATEMENT_TYPE, payload, parts.signer.key_id, signed)),
    )


class Uploads:
    """Uploads what the worker itself has to say of a run, and keeps what each measured."""

    def __init__(
        self, parts: Parts, claim: Claim, credentials: Callable[[], Credentials], expires: datetime
    ) -> None:
        self._parts = parts
        self._claim = claim
        self._credentials = credentials
        self._expires = expires

    async def document(self, name: str, content_type: str, content: bytes) -> Output:
        """Upload `content` as the artifact `name`; errors as `QueueClient.upload`."""
        descriptor = os.memfd_create("artifact", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            upload = Upload(name, content_type, self._expires, descriptor, len(content))
            await self._parts.queue.upload(self._claim.run, self._credentials(), upload)
        finally:
            os.close(descriptor)
        return Output(name, hashlib.sha256(content).hexdigest(), len(content))

    async def attestations(self, attested: Attested) -> bool:
        """Upload the three documents, the chain last: its presence says that the others are there. Return True."""
        await self.document(STATEMENT_NAME, IN_TOTO, attested.statement)
        await self.document(SIGNATURE_NAME, BYTES, attested.signature)
        await self.document(CHAIN_NAME, JSON, attested.chain)
        return True
