"""WebAuthn assertions over an approval: the challenge is the digest of what is approved, the user was verified.

Source: Web Authentication, level 2, section 7.2
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
from webauthn import verify_authentication_response
from webauthn.helpers.exceptions import WebAuthnException

from liftlock.errors import InputValidationError, MalformedPayloadError
from liftlock.values.json import decode_as


class Passkey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A WebAuthn credential: ids and the COSE key in unpadded url-safe base64; `origin` as the browser says it."""

    credential_id: str
    public_key: str
    rp_id: str
    origin: str


def verify_passkey(passkeys: Sequence[Passkey], assertion: str, challenge: bytes) -> str:
    """Return the id of the credential whose assertion this is, over exactly `challenge`.

    Args:
        assertion: JSON of a PublicKeyCredential, as `toJSON()` gives it.
    Raises:
        InputValidationError: it is malformed, of an unknown credential, or does not verify.
    """
    try:
        given = decode_as(assertion, dict[str, Any], what="signature")
    except MalformedPayloadError as error:
        raise InputValidationError(error.message) from error
    found = next((one for one in passkeys if one.credential_id == given.get("id")), None)
    if found is None:
        raise InputValidationError("signature: the approver has no such passkey in the configuration")
    try:
        verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=found.rp_id,
            expected_origin=found.origin,
            credential_public_key=from_url_base64(found.public_key),
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise InputValidationError(f"signature: the passkey's assertion does not verify: {error}") from error
    return found.credential_id


def from_url_base64(text: str) -> bytes:
    """Return the bytes of unpadded url-safe base64; InputValidationError: it is none."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputValidationError("a passkey: expected url-safe base64") from error
