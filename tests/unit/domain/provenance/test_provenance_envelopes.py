"""Keys, envelopes, certificates and statements, against the tools of others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope as TheirEnvelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from fakes.certified_signer import CertifiedSigner, Pool, private_key, public_bytes, task
from liftlock.domain.provenance.certificates import CERTIFICATE_TYPE, read_certificate
from liftlock.domain.provenance.chain import Output, RunRecord
from liftlock.domain.provenance.envelope import (
    STATEMENT_TYPE,
    enveloped,
    opened,
    read_envelope,
    signed_bytes,
)
from liftlock.domain.provenance.keys import UntrustedError, is_signed, key_id
from liftlock.domain.provenance.statement import statement
from liftlock.values.json import encode


def test_a_key_has_the_id_that_securesystemslib_computes() -> None:
    private = private_key("x")
    assert SSlibKey.from_crypto(private.public_key()).keyid == key_id(public_bytes(private))


def test_what_is_signed_has_the_form_that_securesystemslib_signs() -> None:
    theirs = TheirEnvelope(b"hello \xff", "application/x", {})
    assert theirs.pae() == signed_bytes("application/x", b"hello \xff")


def record() -> RunRecord:
    """A run with two artifacts and two inputs."""
    git = {
        "name": "repo",
        "kind": "git",
        "declared": {"revision": "ab" * 20},
        "files": [{"name": "source.bundle", "sha256": "1" * 64, "size": 5}],
        "commit": "ab" * 20,
    }
    mercurial = git | {"name": "hg-repo", "kind": "hg"}
    wheel = {"name": "w", "kind": "pip", "files": [{"name": "a.whl", "sha256": "2" * 64, "size": 5}]}
    return RunRecord(
        task_id="BBBBBBBBQ2qAAAAAAAAAAA",
        run_id=0,
        task=task(),
        worker_group="local",
        worker_id="w",
        pool="local/unprivileged",
        level=3,
        outcome="completed",
        started=datetime(2026, 1, 1, 11, tzinfo=UTC),
        finished=datetime(2026, 1, 1, 12, tzinfo=UTC),
        outputs=(Output("public/b", "b" * 64, 1), Output("public/a", "a" * 64, 1)),
        manifest={
            "inputs": [git, mercurial, wheel],
            "isolation": {"seccomp": True},
            "network": {"default": "none"},
        },
        limits={"pids": 512},
        certificate={},
    )


def signed_statement(signer: CertifiedSigner) -> dict[str, Any]:
    """Its envelope, as a worker makes it."""
    payload = encode(statement(record(), root_url="https://x.example", chain_sha256="c" * 64))
    return enveloped(
        STATEMENT_TYPE, payload, signer.key_id, signer.sign(signed_bytes(STATEMENT_TYPE, payload))
    )


def test_securesystemslib_accepts_the_envelope_and_in_toto_its_statement() -> None:
    signer = CertifiedSigner()
    envelope = TheirEnvelope.from_dict(signed_statement(signer))
    envelope.verify([SSlibKey.from_crypto(signer.private.public_key())], 1)
    message = json_format.Parse(envelope.payload, StatementMessage())
    Statement.copy_from_pb(message).validate()
    assert [subject.name for subject in message.subject] == ["public/a", "public/b"]
    assert message.predicate_type == "https://slsa.dev/provenance/v1"


def test_the_predicate_is_slsa_provenance_v1_to_the_last_field() -> None:
    said = statement(record(), root_url="https://x.example", chain_sha256="c" * 64)
    predicate = json_format.ParseDict(said["predicate"], provenance_pb2.Provenance())
    assert predicate.run_details.builder.id == "https://x.example/provisioners/local/unprivileged"
    found = {one.name: dict(one.digest) for one in predicate.build_definition.resolved_dependencies}
    assert found == {
        "repo/source.bundle": {"sha256": "1" * 64, "gitCommit": "ab" * 20},
        "hg-repo/source.bundle": {"sha256": "1" * 64, "hgChangeset": "ab" * 20},
        "w/a.whl": {"sha256": "2" * 64},
    }


@pytest.mark.parametrize("field", ["payload", "payloadType"])
def test_securesystemslib_and_we_refuse_a_changed_envelope_alike(field: str) -> None:
    signer = CertifiedSigner()
    wire = signed_statement(signer)
    wire[field] = {"payload": "e30=", "payloadType": "application/vnd.in-toto+jsom"}[field]
    with pytest.raises(VerificationError):
        TheirEnvelope.from_dict(wire).verify([SSlibKey.from_crypto(signer.private.public_key())], 1)
    with pytest.raises(UntrustedError):
        opened(read_envelope(wire, "it"), STATEMENT_TYPE, signer.public, "it")


def test_securesystemslib_accepts_certificates_by_the_pools_key() -> None:
    pool = Pool()
    envelope = pool.worker().envelope
    TheirEnvelope.from_dict(json.loads(json.dumps(envelope))).verify(
        [SSlibKey.from_crypto(pool.private.public_key())], 1
    )
    found, signer = read_certificate(envelope, (pool.key,))
    assert (found.worker_id, found.pool, signer) == ("w", "local/unprivileged", pool.key)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ([], "payload is missing"),
        ({"payload": "!", "payloadType": "x", "signatures": []}, "expected base64"),
        ({"payload": "e30=", "payloadType": "x"}, "signatures is missing"),
        ({"payload": "e30=", "payloadType": 1, "signatures": []}, "payloadType is missing or is no str"),
        (b"{", "expected JSON"),
    ],
)
def test_what_is_no_envelope_is_refused(wire: Any, said: str) -> None:
    with pytest.raises(UntrustedError, match=said):
        read_envelope(wire, "it")


def test_a_certificate_is_valid_until_just_before_its_end() -> None:
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    found = CertifiedSigner(lifetime=(begin, end)).held
    assert (found.covers(begin), found.covers(end)) == (True, False)


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_is_no_signature(size: int) -> None:
    assert not is_signed(public_bytes(private_key("x")), bytes(size), b"data")


def test_a_certificate_is_no_statement() -> None:
    pool = Pool()
    with pytest.raises(UntrustedError, match=f"expected {STATEMENT_TYPE.replace('+', '.')}, found"):
        opened(read_envelope(pool.worker().envelope, "it"), STATEMENT_TYPE, pool.key.public_key, "it")
    assert CERTIFICATE_TYPE != STATEMENT_TYPE
