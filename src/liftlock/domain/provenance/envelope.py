"""DSSE envelopes: a payload, its type, and signatures over both.

Source: docs/reference/provenance.md#envelopes
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from liftlock.domain.provenance.keys import UntrustedError, from_text, is_signed, key_id, member, to_text
from liftlock.errors import MalformedPayloadError
from liftlock.values.json import decode

STATEMENT_TYPE: Final = "application/vnd.in-toto+json"
MAX_ENVELOPE_BYTES: Final = 64 << 20


class Envelope(msgspec.Struct, frozen=True):
    """An envelope as read: nothing of it is believed until `opened` was called."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]
    """(key id, signature)."""


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: type and payload, each after its length, so that neither can be taken for the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def enveloped(payload_type: str, payload: bytes, signer_id: str, signature: bytes) -> dict[str, Any]:
    """Return the envelope as JSON."""
    return {
        "payloadType": payload_type,
        "payload": to_text(payload),
        "signatures": [{"keyid": signer_id, "sig": to_text(signature)}],
    }


def read_envelope(document: Any, what: str) -> Envelope:
    """Return the envelope that JSON holds (a value, or its bytes); UntrustedError if it is none."""
    if isinstance(document, bytes):
        try:
            document = decode(document, what=what)
        except MalformedPayloadError as error:
            raise UntrustedError(error.message) from error
    payload = from_text(member(document, "payload", str, what), what=f"{what}.payload")
    found = []
    for each in member(document, "signatures", list, what):
        signature = from_text(member(each, "sig", str, f"{what}.signatures"), what=f"{what}.signatures.sig")
        found.append((member(each, "keyid", str, f"{what}.signatures"), signature))
    return Envelope(member(document, "payloadType", str, what), payload, tuple(found))


def opened(envelope: Envelope, payload_type: str, public_key: bytes, what: str) -> bytes:
    """Return the payload, signed by `public_key`.

    Raises:
        UntrustedError: it is of another type, or not signed by that key.
    """
    if envelope.payload_type != payload_type:
        raise UntrustedError(f"{what}: expected {payload_type}, found {envelope.payload_type[:100]!r}")
    wanted = key_id(public_key)
    data = signed_bytes(payload_type, envelope.payload)
    if not any(name == wanted and is_signed(public_key, sig, data) for name, sig in envelope.signatures):
        raise UntrustedError(f"{what}: not signed by key {wanted[:16]}")
    return envelope.payload
