"""What a privileged worker asks of the control plane beside the queue: what its task is to perform."""

from __future__ import annotations

from typing import Any, Protocol

from liftlock.domain.credentials.certificates import Credentials


class HandoffClient(Protocol):
    """Asks for handoffs; errors as those of the queue's client."""

    async def handoff(self, credentials: Credentials, task_id: str) -> dict[str, Any]:
        """Return the operation whose stage 2 is `task_id`, as JSON: `frozen`, `approvals` and the rest. Nothing of it is believed."""
        ...
