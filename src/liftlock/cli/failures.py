"""What can end a command besides success, each with one permanent code (see `exit_codes`)."""

from __future__ import annotations

from typing import Any

from liftlock.errors import LiftlockError


class AnsweredError(LiftlockError):
    """The server answered with an error; `answered_code` is the code that it gave."""

    code = "Answered"

    def __init__(self, status: int, answered_code: str, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.status = status
        self.answered_code = answered_code


class UnreachableError(LiftlockError):
    """No connection to the server, or it broke; whether the request took effect is not known."""

    code = "Unreachable"


class TimedOutError(LiftlockError):
    """What was waited for did not happen in time."""

    code = "TimedOut"


class UsageError(LiftlockError):
    """An option, a file or a profile given to the command makes no sense."""

    code = "Usage"


class TaskFailedError(LiftlockError):
    """The task that was waited for ended, and not well."""

    code = "TaskFailed"


class WaitingForApprovalError(LiftlockError):
    """Nothing is wrong, but somebody else has to approve first."""

    code = "WaitingForApproval"


class VerificationFailedError(LiftlockError):
    """Something was checked and is not what it claims to be."""

    code = "VerificationFailed"


class PlanHasChangesError(LiftlockError):
    """The plan is not empty: what is stored differs from what is configured."""

    code = "PlanHasChanges"
