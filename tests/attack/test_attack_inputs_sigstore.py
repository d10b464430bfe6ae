"""Sigstore bundles that are not what the policy asks for; all of it offline, with roots of our own (B2)."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fakes.sigstore_world import IDENTITY, ISSUER, SigstoreWorld
from liftlock.adapters.sigstore_bundles.verifier import SigstoreVerifier
from liftlock.domain.inputs.policy import parse_policy
from liftlock.domain.inputs.promises import Signature, signature
from liftlock.errors import InputInvalidError, NotFoundError
from liftlock.ports.bundle_verifier import BundleTrust
from liftlock.ports.input_store import InputRejectedError

CONTENT = b"a toolchain"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def here() -> SigstoreWorld:
    return SigstoreWorld()


def trust(world: SigstoreWorld, **changes: str) -> BundleTrust:
    return BundleTrust(
        **({"identity": IDENTITY, "issuer": ISSUER, "trusted_root": world.trusted_root} | changes)
    )


def refused(bundle: bytes, asked: BundleTrust, sha256: str = SHA256) -> str:
    with pytest.raises(InputRejectedError) as caught:
        SigstoreVerifier().verify(bundle, sha256, asked)
    return caught.value.message


def test_a_bundle_of_the_required_identity_holds(here: SigstoreWorld) -> None:
    assert SigstoreVerifier().verify(here.bundle(CONTENT), SHA256, trust(here)) == {
        "identity": IDENTITY,
        "issuer": ISSUER,
        "logged": "2026-03-01T12:00:00.000Z",
    }


def test_a_bundle_of_another_identity_is_refused(here: SigstoreWorld) -> None:
    bundle = here.bundle(CONTENT, identity="https://forge.example/evil")
    assert "SANs do not match" in refused(bundle, trust(here))


def test_an_identity_that_another_issuer_vouched_for_is_refused(here: SigstoreWorld) -> None:
    assert "OIDCIssuer does not match" in refused(
        here.bundle(CONTENT, issuer="https://evil.example"), trust(here)
    )


def test_a_bundle_over_other_bytes_is_refused(here: SigstoreWorld) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    assert "digest mismatch" in refused(here.bundle(CONTENT), trust(here), other)


def test_a_bundle_of_another_sigstore_is_refused(here: SigstoreWorld) -> None:
    assert refused(SigstoreWorld().bundle(CONTENT), trust(here)).startswith(
        "the Sigstore bundle does not hold"
    )


def changed(bundle: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    said = json.loads(bundle)
    change(said)
    return json.dumps(said).encode()


def _entry(said: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = said["verificationMaterial"]["tlogEntries"][0]
    return entry


@pytest.mark.parametrize(
    "change",
    [
        lambda said: _entry(said).update(integratedTime="1772366460"),
        lambda said: _entry(said)["inclusionPromise"].update(signedEntryTimestamp="AAAA"),
        lambda said: _entry(said)["inclusionProof"].update(rootHash="A" * 43 + "="),
        lambda said: said["verificationMaterial"].update(tlogEntries=[]),
        lambda said: said["messageSignature"].update(signature="AAAA"),
        lambda said: said.update(mediaType="text/plain"),
        lambda said: said.pop("verificationMaterial"),
    ],
    ids=["time", "promise", "proof", "no log entry", "signature", "media type", "no material"],
)
def test_a_mutated_bundle_is_refused(here: SigstoreWorld, change: Callable[[dict[str, Any]], object]) -> None:
    assert refused(changed(here.bundle(CONTENT), change), trust(here)).startswith(
        "the Sigstore bundle does not hold"
    )


@pytest.mark.parametrize("bundle", [b"", b"{}", b"[]", b"\xff", b"null", b'{"mediaType": 7}'])
def test_what_is_no_bundle_is_refused(here: SigstoreWorld, bundle: bytes) -> None:
    assert refused(bundle, trust(here)).startswith("the Sigstore bundle does not hold")


def test_without_the_extra_the_refusal_says_what_to_install(
    here: SigstoreWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sigstore", None)
    with pytest.raises(NotFoundError, match="install liftlock with the extra `sigstore`"):
        SigstoreVerifier().verify(here.bundle(CONTENT), SHA256, trust(here))


def test_a_policy_that_names_no_identity_is_refused() -> None:
    for more in ("", 'identity = "x"', 'issuer = "y"'):
        with pytest.raises(InputInvalidError, match="identity and issuer are required for sigstore"):
            parse_policy(f'[keys.up]\nscheme = "sigstore"\npublic = "{{}}"\n{more}')
    with pytest.raises(InputInvalidError, match="and for nothing else"):
        parse_policy('[keys.up]\nscheme = "minisign"\npublic = "x"\nidentity = "x"\nissuer = "y"')


def test_a_payload_names_a_key_and_where_the_bundle_lies() -> None:
    value = {"sigstore": {"key": "up", "bundle": "https://x.example/f.sigstore.json"}}
    assert signature(value, "at") == Signature("sigstore", "up", url="https://x.example/f.sigstore.json")
