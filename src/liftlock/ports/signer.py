"""A worker's signing key with the certificate of its pool."""

from __future__ import annotations

from typing import Any, Protocol

from liftlock.domain.provenance.certificates import WorkerCertificate
from liftlock.errors import LiftlockError


class UncertifiedError(LiftlockError):
    """A worker's key has no valid certificate, so that nothing can be signed with it."""

    code = "Uncertified"


class WorkerSigner(Protocol):
    """Signs what a worker vouches for. The private key never leaves the adapter."""

    @property
    def key_id(self) -> str:
        """Return the key's id."""
        ...

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature over `data`."""
        ...

    async def certificate(self) -> tuple[WorkerCertificate, dict[str, Any]]:
        """Return the certificate that is valid now, and its envelope; it is renewed in time.

        Raises:
            UncertifiedError: there is none, and who certifies does not answer.
        """
        ...
