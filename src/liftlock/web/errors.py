"""How errors look on the wire: a status for each code, and one JSON form for all.

Source: docs/reference/errors.md
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from liftlock import errors
from liftlock.values.instants import format_instant
from liftlock.values.json import encode

STATUS_OF_CODE: dict[str, int] = {
    errors.MalformedPayloadError.code: 400,
    errors.InputValidationError.code: 400,
    errors.InputInvalidError.code: 400,
    errors.RequestArgumentsError.code: 400,
    errors.DependencyCycleError.code: 400,
    errors.TemplateRefusedError.code: 400,
    errors.AuthenticationFailedError.code: 401,
    errors.RefusedError.code: 403,
    errors.NotFoundError.code: 404,
    errors.ConflictError.code: 409,
    errors.ExpiredError.code: 410,
    errors.TooLargeError.code: 413,
    errors.ArtifactFailedError.code: 424,
    errors.LiftlockError.code: 500,
    errors.SandboxFailedError.code: 500,
    errors.StorageError.code: 500,
    errors.RepositoryError.code: 502,
    errors.IsolationUnavailableError.code: 503,
    errors.StaleSnapshotError.code: 503,
    errors.BusyError.code: 503,
    errors.ReceiverUnavailableError.code: 503,
    errors.ProviderFailedError.code: 502,
}

_SHOWN_PAYLOAD_BYTES = 2_000
_SECRET_FIELDS = frozenset(
    {"accessToken", "certificate", "secret", "credentials", "token", "authorization", "env"}
)


def body_of(
    error: errors.LiftlockError, *, name: str, params: dict[str, str], payload: Any, now: datetime
) -> dict[str, Any]:
    """Return the answer's JSON: code, message, and what the request was, with secret fields left out."""
    return {
        "code": error.code,
        "message": f"{error.message}{_hint(error)}\n\n---\n\n* method:     {name}\n* errorCode:  {error.code}\n"
        f"* statusCode: {STATUS_OF_CODE.get(error.code, 500)}\n* time:       {format_instant(now)}",
        "requestInfo": {
            "method": name,
            "params": params,
            "payload": _shown(payload),
            "time": format_instant(now),
        },
        **({"details": error.details} if error.details else {}),
    }


def _hint(error: errors.LiftlockError) -> str:
    """Return how to learn more about a refusal by a rule; one for want of scopes says so itself."""
    rule = error.details.get("rule")
    if not isinstance(error, errors.RefusedError) or rule is None:
        return ""
    return f"\n\nSee `liftlock access explain --rule {rule}` (GET /api/auth/v1/refusal-rule/{rule})."


def _shown(payload: Any) -> Any:
    if not isinstance(payload, dict):
        return {}
    shown = {key: "(hidden)" if key in _SECRET_FIELDS else value for key, value in payload.items()}
    return shown if len(encode(shown)) <= _SHOWN_PAYLOAD_BYTES else {"(left out)": "the payload is long"}
