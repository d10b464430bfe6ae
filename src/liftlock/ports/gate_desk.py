"""The push gate's operators' desk, as the control plane may ask it where both are on one host."""

from __future__ import annotations

from typing import Any, Protocol


class GateDesk(Protocol):
    """Asks gated; nothing of the list is kept here."""

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Return gated's answer to one request; fields that are None are left out.

        Raises:
            GateUnavailableError: gated does not answer, or turns the control plane away.
            InputInvalidError: gated can't read what it was asked.
        """
        ...
