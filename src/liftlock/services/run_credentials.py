"""Temporary credentials that the queue itself issues: for claimed runs, and for objects of the object service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from liftlock.domain.credentials.certificates import Credentials, make_temporary_credentials
from liftlock.domain.tasks.claims import client_of, scopes_of
from liftlock.ports.entropy import Entropy
from liftlock.values.instants import to_ms

OBJECT_LIFETIME = timedelta(hours=1)
"""How long credentials to fetch one object hold."""


class RunCredentials:
    """Issues credentials in the name of the control plane's own client."""

    def __init__(self, issuer: Credentials, entropy: Entropy) -> None:
        """Make an issuer; `issuer` has `auth:create-client:task-client/*` and every scope that tasks may have."""
        self._issuer = issuer
        self._entropy = entropy

    def for_run(
        self,
        task_id: str,
        run_id: int,
        worker_group: str,
        worker_id: str,
        task_scopes: Sequence[str],
        *,
        start: datetime,
        until: datetime,
    ) -> dict[str, str]:
        """Return credentials to work on one run until its lease ends, in wire form."""
        name = client_of(task_id, run_id, worker_group, worker_id, to_ms(until) // 1000)
        return self._issue(name, scopes_of(task_id, run_id, task_scopes), start, until)

    def for_scopes(
        self, name: str, scopes: Sequence[str], *, start: datetime, until: datetime
    ) -> dict[str, str]:
        """Return credentials called `task-client/<name>` with exactly `scopes`, in wire form."""
        return self._issue(f"task-client/{name}", scopes, start, until)

    def for_worker(
        self, name: str, scopes: Sequence[str], *, start: datetime, until: datetime
    ) -> dict[str, str]:
        """Return credentials called `name` for a registered worker, in wire form."""
        return self._issue(name, scopes, start, until)

    def _issue(self, name: str, scopes: Sequence[str], start: datetime, until: datetime) -> dict[str, str]:
        seed = self._entropy.slugid() + self._entropy.slugid()
        made = make_temporary_credentials(
            self._issuer, start=start, expiry=until, scopes=scopes, seed=seed, name=name
        )
        return made.to_wire()
