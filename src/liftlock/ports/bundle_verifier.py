"""Verifies a Sigstore bundle over bytes of a known digest, by a trusted root and an identity; asks nobody."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class BundleTrust(msgspec.Struct, frozen=True):
    """Who must have signed: `identity` as `issuer` vouched for it; `trusted_root`: the JSON that holds the roots of trust."""

    identity: str
    issuer: str
    trusted_root: str


class BundleVerifier(Protocol):
    """Verifies offline."""

    def verify(self, bundle: bytes, sha256: str, trust: BundleTrust) -> dict[str, Any]:
        """Return what the manifest says of a bundle that holds: identity, issuer, and when the log took it.

        Raises:
            InputRejectedError: it is no bundle, not over these bytes, or not by that identity.
            NotFoundError: this installation lacks what verifies bundles.
        """
        ...
