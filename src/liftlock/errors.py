"""Every exception of liftlock, each with one permanent `code`.

An exception means "could not": an expected "no" to a caller is a value (`domain.scopes.Refusal`), carried to the
edge by `RefusedError`. No class here inherits a builtin error, so that `except KeyError` never swallows a refusal.

Source: docs/reference/errors.md
"""

from __future__ import annotations

from typing import Any, ClassVar


class LiftlockError(Exception):
    """The base: `code` never changes once released; `message` is safe to show to the caller."""

    code: ClassVar[str] = "InternalServerError"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details


class MalformedPayloadError(LiftlockError):
    """The body is not JSON, is too deep, or is no JSON where JSON was expected (HTTP 400)."""

    code = "MalformedPayload"


class InputValidationError(LiftlockError):
    """The body is JSON but violates its schema; the message names path, found and expected (HTTP 400)."""

    code = "InputValidationError"


class InputInvalidError(LiftlockError):
    """The input fits its schema and still makes no sense: a deadline in the past, say (HTTP 400)."""

    code = "InputError"


class RequestArgumentsError(LiftlockError):
    """A path parameter or query string option is not of its form (HTTP 400)."""

    code = "InvalidRequestArguments"


class DependencyCycleError(LiftlockError):
    """Parameterised roles feed each other in a cycle (HTTP 400)."""

    code = "DependencyCycleError"


class AuthenticationFailedError(LiftlockError):
    """The credentials do not prove who the caller is (HTTP 401)."""

    code = "AuthenticationFailed"


class RefusedError(LiftlockError):
    """Carries a refusal to the edge: who the caller is is known, and the answer is no (HTTP 403)."""

    code = "InsufficientScopes"


class NotFoundError(LiftlockError):
    """What the request names does not exist (HTTP 404)."""

    code = "ResourceNotFound"


class ConflictError(LiftlockError):
    """The request contradicts what is stored; repeating it unchanged will not help (HTTP 409)."""

    code = "RequestConflict"


class ExpiredError(LiftlockError):
    """It existed and is gone for good (HTTP 410)."""

    code = "ResourceExpired"


class TooLargeError(LiftlockError):
    """The body is larger than the stated limit (HTTP 413)."""

    code = "InputTooLarge"


class ArtifactFailedError(LiftlockError):
    """The artifact is of storage type `error`: its producer said that it could not make it (HTTP 424)."""

    code = "ErrorArtifact"


class StaleSnapshotError(LiftlockError):
    """What was decided on has changed meanwhile: decide again. Never leaves a service."""

    code = "StaleSnapshot"


class ReplayedRequestError(AuthenticationFailedError):
    """The nonce of a request that writes was used before (HTTP 401)."""


class TemplateRefusedError(LiftlockError):
    """A JSON-e template does not compile, or its rendering failed or ran out of fuel (HTTP 400)."""

    code = "TemplateError"


class IsolationUnavailableError(LiftlockError):
    """The machine does not allow the isolation that was asked for; nothing was run."""

    code = "IsolationUnavailable"


class SandboxFailedError(LiftlockError):
    """The sandbox machinery, not the task in it, failed: the launcher is gone or was asked for what it refuses."""

    code = "SandboxFailed"


class StorageError(LiftlockError):
    """The database or the blob store could not do what was asked; nothing of it took effect (HTTP 500)."""

    code = "StorageError"


class BusyError(LiftlockError):
    """As many as can be served are being served; trying again later may help (HTTP 503)."""

    code = "ServerBusy"


class RepositoryError(LiftlockError):
    """A repository could not be read: the message says which, and what the tool said."""

    code = "RepositoryError"


class ProviderFailedError(LiftlockError):
    """An identity provider did not answer as it should; the message holds none of its secrets (HTTP 502)."""

    code = "ProviderFailed"


class ReceiverUnavailableError(LiftlockError):
    """Whom a message is for does not receive it now; the sender sends it again."""

    code = "ReceiverUnavailable"
