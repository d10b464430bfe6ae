"""Passkeys of people: in memory, and in Chromium by its virtual authenticator."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import CDPSession, Page
from webauthn.helpers import encode_cbor


def url_base64(data: bytes) -> str:
    """Return unpadded url-safe base64."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class HeldPasskey:
    """A P-256 key with an id."""

    identity: bytes
    private: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str) -> HeldPasskey:
        """Return a new one."""
        return cls(name.encode().ljust(16, b"."), ec.generate_private_key(ec.SECP256R1()))

    def entry(self, origin: str) -> dict[str, Any]:
        """Return its entry in the operations file, for a site on localhost."""
        numbers = self.private.public_key().public_numbers()
        key = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        return {
            "credentialId": url_base64(self.identity),
            "publicKey": url_base64(encode_cbor(key)),
            "rpId": "localhost",
            "origin": origin,
        }

    @property
    def pkcs8(self) -> bytes:
        """The private key as authenticators take it."""
        return self.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def authenticator(page: Page, *passkeys: HeldPasskey) -> CDPSession:
    """Give the page's browser a virtual authenticator that verifies its user and holds the passkeys."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable", {})
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
    for one in passkeys:
        credential = {
            "credentialId": base64.b64encode(one.identity).decode(),
            "isResidentCredential": False,
            "rpId": "localhost",
            "privateKey": base64.b64encode(one.pkcs8).decode(),
            "signCount": 0,
        }
        session.send("WebAuthn.addCredential", {"authenticatorId": made, "credential": credential})
    return session
