"""BundleVerifier with the `sigstore` package, which is imported when the first bundle is to be verified."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from liftlock.errors import NotFoundError
from liftlock.ports.bundle_verifier import BundleTrust
from liftlock.ports.input_store import InputRejectedError
from liftlock.values.instants import format_ms

MAX_REASON = 300


class SigstoreVerifier:
    """Verifies without any request: roots, logs and identity come from the pool's policy."""

    @staticmethod
    def load() -> None:
        """Import what verifies, for a process that is about to lose its right to read the installation."""
        with contextlib.suppress(ImportError):
            importlib.import_module("sigstore.verify")

    def verify(self, bundle: bytes, sha256: str, trust: BundleTrust) -> dict[str, Any]:
        """Return what is known of a bundle that holds; see the port."""
        try:
            from sigstore import errors, hashes, models  # noqa: PLC0415 - an extra, and slow to import
            from sigstore.verify import Verifier, policy  # noqa: PLC0415 - as above
            from sigstore_models.common.v1 import HashAlgorithm  # noqa: PLC0415 - as above
            from sigstore_models.trustroot.v1 import TrustedRoot  # noqa: PLC0415 - as above
        except ImportError as error:
            raise NotFoundError(
                "Sigstore bundles can't be verified here: install liftlock with the extra `sigstore`"
            ) from error
        try:
            root = models.TrustedRoot(TrustedRoot.from_json(trust.trusted_root.encode()))
            found = models.Bundle.from_json(bundle)
            digest = hashes.Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(sha256))
            identity = policy.Identity(identity=trust.identity, issuer=trust.issuer)
            Verifier(trusted_root=root).verify_artifact(digest, found, identity)
        except (errors.Error, ValueError, TypeError, KeyError, AttributeError) as error:
            said = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
            raise InputRejectedError(f"the Sigstore bundle does not hold: {said}") from error
        taken = found.log_entry._inner.integrated_time
        told: dict[str, Any] = {"identity": trust.identity, "issuer": trust.issuer}
        return told | ({"logged": format_ms(taken * 1000)} if taken else {})
