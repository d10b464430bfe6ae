"""A Sigstore of our own: a certificate authority, a certificate log and a signature log, which sign for a test."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sigstore._internal.rekor import _hashedrekord_from_parts
from sigstore.hashes import Hashed
from sigstore_models.common.v1 import HashAlgorithm

IDENTITY, ISSUER = "https://forge.example/upstream/release.yml@main", "https://tokens.example"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_SCT_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_SHA256 = ec.ECDSA(hashes.SHA256())


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


class SigstoreWorld:
    """`trusted_root` is what a policy holds; `bundle` signs bytes as somebody."""

    def __init__(self) -> None:
        self.authority, self.certificates, self.log = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(3)
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.name = name
        key_id = x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key())
        usage = _usage(certificates=True)
        self.root = (
            x509.CertificateBuilder(name, name, self.authority.public_key(), x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=365))
            .not_valid_after(NOW + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(key_id, critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    @property
    def trusted_root(self) -> str:
        span = {"start": "2020-01-01T00:00:00Z"}
        chain = {"certificates": [{"rawBytes": text(self.root.public_bytes(serialization.Encoding.DER))}]}
        authority = {
            "subject": {"organization": "x", "commonName": "authority"},
            "uri": "https://ca.example",
            "certChain": chain,
            "validFor": span,
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [_log("https://log.example", self.log, span)],
                "certificateAuthorities": [authority],
                "ctlogs": [_log("https://ct.example", self.certificates, span)],
                "timestampAuthorities": [],
            }
        )

    def bundle(self, content: bytes, *, identity: str = IDENTITY, issuer: str = ISSUER) -> bytes:
        """Sign `content` with a fresh key that is certified for `identity`, and log it."""
        signer = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(signer, identity, issuer)
        digest = hashlib.sha256(content).digest()
        signature = signer.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest)
        body = _hashedrekord_from_parts(certificate, signature, hashed)
        canonical = body.model_dump_json(by_alias=True, exclude_none=True).encode()
        message = {
            "messageDigest": {"algorithm": "SHA2_256", "digest": text(digest)},
            "signature": text(signature),
        }
        material = {
            "certificate": {"rawBytes": text(certificate.public_bytes(serialization.Encoding.DER))},
            "tlogEntries": [self._entry(canonical)],
        }
        made = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "messageSignature": message,
        }
        return json.dumps(made).encode()

    def _certificate(
        self, signer: ec.EllipticCurvePrivateKey, identity: str, issuer: str
    ) -> x509.Certificate:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
        key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key())
        builder = (
            x509.CertificateBuilder(
                self.name, x509.Name([]), signer.public_key(), x509.random_serial_number()
            )
            .not_valid_before(NOW - timedelta(minutes=5))
            .not_valid_after(NOW + timedelta(minutes=5))
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(key_id, critical=False)
            .add_extension(names, critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_OID, issuer.encode()), critical=False)
        )
        bare = builder.sign(self.authority, hashes.SHA256())
        logged = x509.UnrecognizedExtension(_SCT_OID, self._sct(bare.tbs_certificate_bytes))
        signed = builder.add_extension(logged, critical=False).sign(self.authority, hashes.SHA256())
        return x509.load_der_x509_certificate(signed.public_bytes(serialization.Encoding.DER))

    def _sct(self, tbs: bytes) -> bytes:
        """The certificate log's promise, as an extension's value."""
        at = int(NOW.timestamp() * 1000)
        issuer = hashlib.sha256(der(self.authority)).digest()
        entry = issuer + len(tbs).to_bytes(3, "big") + tbs
        signature = self.certificates.sign(struct.pack("!BBQH", 0, 0, at, 1) + entry + b"\0\0", _SHA256)
        log_id = hashlib.sha256(der(self.certificates)).digest()
        one = struct.pack("!B32sQHBBH", 0, log_id, at, 0, 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(one) + 2, len(one)) + one
        return b"\x04" + _length(len(listed)) + listed

    def _entry(self, canonical: bytes) -> dict[str, Any]:
        """The signature log's entry: the only one of its tree."""
        log_id, at = hashlib.sha256(der(self.log)).digest(), int(NOW.timestamp())
        root = hashlib.sha256(b"\0" + canonical).digest()
        note = f"log.example - 1\n1\n{text(root)}\n"
        signed = text(log_id[:4] + self.log.sign(note.encode(), _SHA256))
        promise = {"body": text(canonical), "integratedTime": at, "logID": log_id.hex(), "logIndex": 0}
        told = json.dumps(promise, separators=(",", ":"), sort_keys=True).encode()
        return {
            "logIndex": "0",
            "logId": {"keyId": text(log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": text(self.log.sign(told, _SHA256))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": text(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} log.example {signed}\n"},
            },
            "canonicalizedBody": text(canonical),
        }


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _log(address: str, key: ec.EllipticCurvePrivateKey, span: dict[str, str]) -> dict[str, Any]:
    public = {"rawBytes": text(der(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": span}
    log_id = {"keyId": text(hashlib.sha256(der(key)).digest())}
    return {"baseUrl": address, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": log_id}


def _length(size: int) -> bytes:
    return (
        bytes([size])
        if size < 128
        else b"\x81" + bytes([size])
        if size < 256
        else b"\x82" + struct.pack("!H", size)
    )
