"""What was applied last of a configuration. It decides nothing: it tells a later plan what somebody changed since.

Source: docs/reference/configuration.md#apply
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from liftlock.errors import NotFoundError
from liftlock.ports.configuration_store import AppliedRecord, ConfigurationStore
from liftlock.services.authorize import Caller
from liftlock.values.ids import project_name


class AppliedConfiguration:
    """Reads and writes the record of applies."""

    def __init__(self, store: ConfigurationStore) -> None:
        self._store = store

    async def get(self, caller: Caller, name: str) -> AppliedRecord:
        """Return the record.

        Raises:
            NotFoundError: nothing was applied under that name.
        """
        caller.require(f"configuration:get-applied:{project_name(name)}")
        found = await self._store.applied(name)
        if found is None:
            raise NotFoundError(f"nothing was applied as configuration {name}")
        return found

    async def put(self, caller: Caller, name: str, said: Mapping[str, Any], now: datetime) -> AppliedRecord:
        """Store that an apply begins (it has a target) or has ended, and return that.

        Raises:
            ConflictError: the record is not the one that the caller has seen.
        """
        caller.require(f"configuration:set-applied:{project_name(name)}")
        target = said.get("target")
        record = AppliedRecord(
            name=name,
            version=said["expected"] + 1,
            digests=said["digests"],
            target=target,
            secrets=said.get("secrets", {}),
            actor=caller.client_id,
            at=now,
        )
        audit = caller.record(
            "configuration.beginApply" if target is not None else "configuration.endApply",
            f"configuration/{name}",
            plan=said.get("plan", ""),
            changes=said.get("changes", 0),
            version=record.version,
        )
        await self._store.put_applied(record, caller.envelope(now, audit))
        return record
