"""What a task reached over its network and what it was refused: for the manifest, bounded."""

from __future__ import annotations

from typing import Any

MAX_REFUSED = 100
MAX_CONNECTIONS = 1000
MAX_ANSWERS = 20_000
_SHOWN = 300


class NetworkRecord:
    """Of one run. `refused` as (method, target, why), in order; `refused_more` counts the others."""

    def __init__(self) -> None:
        self.refused: list[tuple[str, str, str]] = []
        self.refused_more = 0
        self.connections: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.more = 0

    def refuse(self, method: str, target: str, why: str) -> None:
        """Record an attempt."""
        if len(self.refused) < MAX_REFUSED:
            self.refused.append((method[:_SHOWN], target[:_SHOWN], why))
        else:
            self.refused_more += 1

    def connected(self, host: str, port: int, sent: int, received: int, sha256: str) -> None:
        """Record a connection that was let through, when it has ended: `sha256` of all that came from there."""
        self._add(
            self.connections,
            MAX_CONNECTIONS,
            {"host": host, "port": port, "sent": sent, "received": received, "receivedSha256": sha256},
        )

    def answered(self, path: str, sha256: str, size: int) -> None:
        """Record an answer of an index snapshot."""
        self._add(self.answers, MAX_ANSWERS, {"path": path, "sha256": sha256, "size": size})

    def _add(self, kept: list[dict[str, Any]], most: int, item: dict[str, Any]) -> None:
        if len(kept) < most:
            kept.append(item)
        else:
            self.more += 1

    def wire(self) -> dict[str, Any]:
        """Return what the manifest's `network` says besides refusals; `incomplete` if something found no room."""
        found: dict[str, Any] = {}
        if self.connections:
            found["connections"] = self.connections
        if self.answers:
            found["answers"] = self.answers
        return found | ({"incomplete": self.more} if self.more else {})
