"""HandoffClient over HTTP. Source: docs/reference/operations.md#the-privileged-worker"""

from __future__ import annotations

from typing import Any

from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.domain.credentials.certificates import Credentials
from liftlock.errors import MalformedPayloadError


class HttpHandoffClient:
    """Implements `ports.handoff.HandoffClient`."""

    def __init__(self, http: SignedHttp) -> None:
        self._http = http

    async def handoff(self, credentials: Credentials, task_id: str) -> dict[str, Any]:
        """Return what the task is to perform; see the port."""
        answer, _ = await self._http.call(
            credentials, "GET", self._http.url("operations", "handoff", task_id)
        )
        if not isinstance(answer, dict):
            raise MalformedPayloadError("handoff: expected an object")
        return answer
