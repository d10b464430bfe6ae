"""One person's word on a frozen request, the text that it signs, and whether the signature is that person's.

Source: docs/reference/approvals.md#signatures
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from liftlock.domain.approvals.passkeys import verify_passkey
from liftlock.domain.approvals.people import Approver
from liftlock.domain.approvals.sshsig import parse_ssh_key, verify_ssh
from liftlock.domain.inputs.minisign import parse_key, parse_signature, verify
from liftlock.errors import InputValidationError
from liftlock.values.json import UNDECODABLE

Verdict = Literal["approve", "reject"]
Method = Literal["ssh", "minisign", "webauthn", "control-plane-attested"]
MAX_REASON: Final = 500
MAX_PROOF_CHARS: Final = 16_384
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]*\Z")


_WIRE: Final = {"operation_id": "operationId", "client_id": "clientId", "proof": "signature"}


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=_WIRE):
    """`approver` said `verdict` on the request whose digest is `digest`, through the client `client_id`.

    `proof` is the signature: text of SSH or minisign, the assertion's JSON of WebAuthn, empty for a mere session.
    """

    operation_id: str
    operation: str
    digest: str
    approver: str
    client_id: str
    verdict: Verdict
    reason: str
    method: Method
    proof: str
    at: datetime

    @property
    def statement(self) -> bytes:
        """The bytes that are signed."""
        return statement(
            self.operation_id, self.operation, self.digest, self.verdict, self.approver, self.reason
        )


class Verified(msgspec.Struct, frozen=True):
    """By which key of the approver's; for records."""

    key: str


def statement(
    operation_id: str, operation: str, digest: str, verdict: Verdict, approver: str, reason: str
) -> bytes:
    """Return the text that an approver signs: seven lines, the last of them the reason."""
    return (
        "liftlock-approval-1\n"
        f"operation-id: {operation_id}\n"
        f"operation: {operation}\n"
        f"digest: sha256:{digest}\n"
        f"verdict: {verdict}\n"
        f"approver: {approver}\n"
        f"reason: {reason}\n"
    ).encode()


def challenge(said: bytes) -> bytes:
    """Return the challenge of a WebAuthn assertion: the sha256 of the statement."""
    return hashlib.sha256(said).digest()


def check_reason(reason: str) -> str:
    """Return `reason` stripped; InputValidationError: it is empty, too long, or not one plain line."""
    found = reason.strip()
    if not 1 <= len(found) <= MAX_REASON or _LINE.match(found) is None:
        raise InputValidationError(f"reason: expected one line of 1 to {MAX_REASON} characters that says why")
    return found


def verify_approval(approval: Approval, approver: Approver, *, accept_sessions: bool) -> Verified:
    """Return which key of the approver's signed this approval.

    Raises:
        InputValidationError: none did, or a mere session does not count here; the message says which.
    """
    if len(approval.proof) > MAX_PROOF_CHARS:
        raise InputValidationError(f"signature: expected at most {MAX_PROOF_CHARS} characters")
    match approval.method:
        case "ssh":
            return _ssh(approval, approver)
        case "minisign":
            return _minisign(approval, approver)
        case "webauthn":
            said = approval.statement
            return Verified(verify_passkey(approver.keys.webauthn, approval.proof, challenge(said)))
        case "control-plane-attested":
            if not accept_sessions:
                raise InputValidationError(
                    "this operation counts signatures only, and this approval has none"
                )
            return Verified("control-plane-attested")


def _ssh(approval: Approval, approver: Approver) -> Verified:
    said = _Trials()
    for line in approver.keys.ssh:
        key = parse_ssh_key(line)
        try:
            verify_ssh(key, approval.proof, approval.statement)
        except InputValidationError as error:
            said.add(error.message)
        else:
            return Verified(key.fingerprint)
    raise said.error("SSH", approval.approver)


def _minisign(approval: Approval, approver: Approver) -> Verified:
    signature = parse_signature(approval.proof)
    content = approval.statement
    signed = hashlib.blake2b(content).digest() if signature.prehashed else content
    said = _Trials()
    for text in approver.keys.minisign:
        key = parse_key(text)
        try:
            verify(key, signature, signed)
        except InputValidationError as error:
            said.add(error.message)
        else:
            return Verified(key.shown_id)
    raise said.error("minisign", approval.approver)


class _Trials:
    """Why each key was not it; what is shown is the last, most telling reason."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def add(self, message: str) -> None:
        self._said.append(message)

    def error(self, kind: str, approver: str) -> InputValidationError:
        telling = [said for said in self._said if "another key" not in said]
        why = (telling or self._said or [f"{approver} has no {kind} key in the configuration"])[-1]
        return InputValidationError(f"signature: {why}")


def approval_wire(approval: Approval) -> dict[str, Any]:
    """Return the approval as JSON, with its signature, so that everybody can verify it."""
    found: dict[str, Any] = msgspec.to_builtins(approval)
    return found


def read_approval(document: Any) -> Approval:
    """Return the approval that `document` (JSON, decoded) is; InputValidationError: it is none."""
    try:
        return msgspec.convert(document, Approval)
    except UNDECODABLE as error:
        raise InputValidationError(f"approval: {error}") from error
