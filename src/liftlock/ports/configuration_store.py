"""What was applied last of each configuration, and the standing policies that came with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

import msgspec

from liftlock.domain.actions.policy import DomainPolicy
from liftlock.ports.envelope import Envelope


class AppliedRecord(msgspec.Struct, frozen=True):
    """What the last apply under `name` left, by `<Kind>=<id>` the sha256 of the content.

    `target` is what an apply that has not ended is to reach; None when the last one ended. `secrets` are salted hashes of
    values by name. `version` counts the changes of this record from 1.
    """

    name: str
    version: int
    digests: dict[str, str]
    target: dict[str, str] | None
    secrets: dict[str, str]
    actor: str
    at: datetime


class ConfigurationStore(Protocol):
    """Keeps what was applied, and policies."""

    async def applied(self, name: str) -> AppliedRecord | None:
        """Return the record, or None if nothing was applied under that name."""
        ...

    async def put_applied(self, record: AppliedRecord, envelope: Envelope) -> None:
        """Store the record in place of the one with the version before.

        Raises:
            ConflictError: the stored one has another version: somebody else applies.
        """
        ...

    async def policies(self) -> dict[str, DomainPolicy]:
        """Return the stored policies by trust domain."""
        ...

    async def put_policy(self, trust_domain: str, policy: DomainPolicy | None, envelope: Envelope) -> None:
        """Store the policy, or forget it (None); there may be none."""
        ...


def applied_document(record: AppliedRecord) -> dict[str, Any]:
    """Return what is stored of the record beside its columns."""
    return {"digests": record.digests, "target": record.target, "secrets": record.secrets}
