"""A pool's key and the workers that it certifies, in memory, with real signatures."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from liftlock.domain.provenance.certificates import (
    CERTIFICATE_TYPE,
    PoolKey,
    WorkerCertificate,
    certificate_payload,
)
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, Output, RunRecord, chain_document
from liftlock.domain.provenance.envelope import enveloped, signed_bytes
from liftlock.domain.provenance.keys import key_id
from liftlock.domain.provenance.producers import Trust
from liftlock.values.json import encode

ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))


def private_key(name: str) -> Ed25519PrivateKey:
    """The key of that name: always the same."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public_bytes(private: Ed25519PrivateKey) -> bytes:
    """Its public half."""
    return private.public_key().public_bytes_raw()


class Pool:
    """A pool with a key."""

    def __init__(self, name: str = "local/unprivileged", level: int = 3) -> None:
        self.private = private_key(f"pool {name}")
        self.key = PoolKey(name, level, public_bytes(self.private))

    def certify(self, certificate: WorkerCertificate) -> dict[str, Any]:
        """Return the envelope, whatever the certificate says."""
        payload = certificate_payload(certificate)
        signature = self.private.sign(signed_bytes(CERTIFICATE_TYPE, payload))
        return enveloped(CERTIFICATE_TYPE, payload, self.key.id, signature)

    def worker(self, name: str = "w", **more: Any) -> CertifiedSigner:
        """Return a worker of this pool; `more` is of its certificate."""
        return CertifiedSigner(self, name, **more)


class CertifiedSigner:
    """Implements `ports.signer.WorkerSigner`; `lifetime`: (not before, not after)."""

    def __init__(
        self,
        pool: Pool | None = None,
        name: str = "w",
        *,
        lifetime: tuple[datetime, datetime] = ALWAYS,
        level: int | None = None,
    ) -> None:
        self.pool = pool or Pool()
        self.private = private_key(f"worker {name}")
        self.public = public_bytes(self.private)
        self.held = WorkerCertificate(
            self.pool.key.pool, level or self.pool.key.level, "local", name, self.public, *lifetime
        )
        self.envelope = self.pool.certify(self.held)

    @property
    def key_id(self) -> str:
        """The key's id."""
        return key_id(self.public)

    def sign(self, data: bytes) -> bytes:
        """Sign."""
        return self.private.sign(data)

    async def certificate(self) -> tuple[WorkerCertificate, dict[str, Any]]:
        """Return the certificate."""
        return self.held, self.envelope


class KnownPools:
    """Implements `ports.trusted_keys.TrustedKeys`."""

    def __init__(self, *pools: Pool, **more: Any) -> None:
        self.trust = Trust(tuple(each.key for each in pools or (Pool(),)), **more)

    def current(self) -> Trust:
        """Return the trust."""
        return self.trust


def produced(
    signer: CertifiedSigner, task_id: str, artifacts: dict[str, bytes], level: int = 3, **more: Any
) -> dict[tuple[str, str], bytes]:
    """What a finished run of `task_id` left: its artifacts with chain and signature; `more` is of the record."""
    record = {
        "task_id": task_id,
        "run_id": 0,
        "task": task(level),
        "worker_group": signer.held.worker_group,
        "worker_id": signer.held.worker_id,
        "pool": signer.held.pool,
        "level": level,
        "outcome": "completed",
        "started": datetime(2026, 1, 1, 11, tzinfo=UTC),
        "finished": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "outputs": tuple(
            Output(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in artifacts.items()
        ),
        "manifest": {"inputs": []},
        "limits": {},
        "certificate": signer.envelope,
    } | more
    content = encode(chain_document(RunRecord(**record)))
    made = artifacts | {CHAIN_NAME: content, SIGNATURE_NAME: signer.sign(content)}
    return {(task_id, name): data for name, data in made.items()}


def task(level: int = 3, **more: Any) -> dict[str, Any]:
    """A definition of that level."""
    return {
        "taskQueueId": "local/unprivileged",
        "schedulerId": f"demo-level-{level}",
        "taskGroupId": "GGGGGGGGQ2qAAAAAAAAAAA",
        "dependencies": [],
        "created": "2026-01-01T10:30:00.000Z",
        "scopes": [],
        "payload": {},
    } | more
