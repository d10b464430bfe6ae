"""How a run ends, and the exception that ends one before its commands have run."""

from __future__ import annotations

from typing import Literal

from liftlock.domain.inputs.manifest import Failed
from liftlock.ports.queue_client import ExceptionReason

Outcome = Literal["completed", "failed"] | ExceptionReason


class RunEndedError(Exception):
    """Ends the run with `outcome`; `message` is for its log and safe to show; `failed` is the input that caused it."""

    def __init__(self, outcome: Outcome, message: str, failed: Failed | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = message
        self.failed = failed
