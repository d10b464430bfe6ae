"""What a command's end means to the script that ran it: one number for each kind of outcome.

Source: docs/reference/cli.md#exit-status
"""

from __future__ import annotations

from enum import IntEnum

from liftlock.cli.failures import AnsweredError
from liftlock.errors import LiftlockError


class Exit(IntEnum):
    """The exit statuses of every command; none other is used."""

    OK = 0
    FAILED = 1
    """The task failed, or the command could not do what was asked."""
    USAGE = 2
    """The request makes no sense as given: repeating it unchanged will not help."""
    DENIED = 3
    WAITING = 4
    """Not refused: somebody else has to approve it first."""
    VERIFICATION_FAILED = 5
    TIMEOUT = 6
    PLAN_HAS_CHANGES = 7


BY_CODE: dict[str, Exit] = {
    "InternalServerError": Exit.FAILED,
    "MalformedPayload": Exit.USAGE,
    "InputValidationError": Exit.USAGE,
    "InputError": Exit.USAGE,
    "InvalidRequestArguments": Exit.USAGE,
    "DependencyCycleError": Exit.USAGE,
    "AuthenticationFailed": Exit.DENIED,
    "InsufficientScopes": Exit.DENIED,
    "ResourceNotFound": Exit.USAGE,
    "RequestConflict": Exit.USAGE,
    "ResourceExpired": Exit.USAGE,
    "InputTooLarge": Exit.USAGE,
    "ErrorArtifact": Exit.FAILED,
    "StaleSnapshot": Exit.FAILED,
    "TemplateError": Exit.USAGE,
    "IsolationUnavailable": Exit.FAILED,
    "ReceiverUnavailable": Exit.FAILED,
    "SandboxFailed": Exit.FAILED,
    "StorageError": Exit.FAILED,
    "RepositoryError": Exit.FAILED,
    "ServerBusy": Exit.FAILED,
    "SendingFailed": Exit.FAILED,
    "MailFailed": Exit.FAILED,
    "ProviderFailed": Exit.FAILED,
    "QueueUnavailable": Exit.FAILED,
    "InputRejected": Exit.FAILED,
    "DownloadRefused": Exit.FAILED,
    "DownloadFailed": Exit.FAILED,
    "StoreDamaged": Exit.VERIFICATION_FAILED,
    "Untrusted": Exit.VERIFICATION_FAILED,
    "Uncertified": Exit.FAILED,
    "ParserFailed": Exit.FAILED,
    "IndexFailed": Exit.FAILED,
    "TargetFailed": Exit.FAILED,
    "PerformRefused": Exit.FAILED,
    "WrongSettings": Exit.USAGE,
    "BadCheckpoint": Exit.VERIFICATION_FAILED,
    "ForgeUnavailable": Exit.FAILED,
    "Answered": Exit.FAILED,
    "Unreachable": Exit.FAILED,
    "TimedOut": Exit.TIMEOUT,
    "Usage": Exit.USAGE,
    "TaskFailed": Exit.FAILED,
    "WaitingForApproval": Exit.WAITING,
    "VerificationFailed": Exit.VERIFICATION_FAILED,
    "PlanHasChanges": Exit.PLAN_HAS_CHANGES,
}
"""Error code → exit status, for every code of `liftlock.errors` and `liftlock.cli.failures`."""


def exit_status(error: LiftlockError) -> Exit:
    """Return the exit status that `error` ends a command with: the server's own code decides where there is one."""
    code = error.answered_code if isinstance(error, AnsweredError) else error.code
    return BY_CODE.get(code, Exit.FAILED)
