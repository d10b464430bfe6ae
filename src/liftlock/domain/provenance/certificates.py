"""Certificates: a pool's key says which worker a key belongs to, up to which level, and when.

The holder of the pool's key fills in everything but the public key, so a worker can't certify itself as another one.

Source: docs/reference/provenance.md#certificates
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from liftlock.domain.provenance.envelope import Envelope, opened, read_envelope
from liftlock.domain.provenance.keys import KEY_BYTES, UntrustedError, from_text, key_id, member, to_text
from liftlock.errors import InputInvalidError, MalformedPayloadError
from liftlock.values.instants import format_instant, parse_instant
from liftlock.values.json import canonical, decode

CERTIFICATE_TYPE: Final = "application/vnd.liftlock.worker-certificate+json"
LIFETIME: Final = timedelta(days=30)
RENEWED_BEFORE: Final = timedelta(days=15)
"""A worker asks for a new certificate once its own ends sooner than this."""
BACKDATED: Final = timedelta(minutes=5)
"""How far a certificate reaches back, for clocks that differ."""
LEVELS: Final = (1, 2, 3)


class PoolKey(msgspec.Struct, frozen=True):
    """A pool's public key; `level` is the highest that its workers may vouch for."""

    pool: str
    level: int
    public_key: bytes

    @property
    def id(self) -> str:
        """The key's id."""
        return key_id(self.public_key)


class WorkerCertificate(msgspec.Struct, frozen=True):
    """What a pool's key says of a worker's key. Valid from `not_before` until just before `not_after`."""

    pool: str
    level: int
    worker_group: str
    worker_id: str
    public_key: bytes
    not_before: datetime
    not_after: datetime

    @property
    def key_id(self) -> str:
        """The worker key's id."""
        return key_id(self.public_key)

    def covers(self, instant: datetime) -> bool:
        """Tell whether it was valid at `instant`."""
        return self.not_before <= instant < self.not_after


def certificate_payload(certificate: WorkerCertificate) -> bytes:
    """Return the bytes that the pool's key signs, within an envelope of `CERTIFICATE_TYPE`."""
    return canonical(
        {
            "version": 1,
            "pool": certificate.pool,
            "level": certificate.level,
            "workerGroup": certificate.worker_group,
            "workerId": certificate.worker_id,
            "publicKey": to_text(certificate.public_key),
            "notBefore": format_instant(certificate.not_before),
            "notAfter": format_instant(certificate.not_after),
        }
    )


def read_certificate(document: Any, pools: tuple[PoolKey, ...]) -> tuple[WorkerCertificate, PoolKey]:
    """Return a certificate and the trusted key of its pool that signed it. Its validity is not looked at.

    Raises:
        UntrustedError: no trusted key of its pool signed it, or it claims a higher level than the pool has.
    """
    what = "certificate"
    envelope = read_envelope(document, what)
    signer = _signer(envelope, pools)
    found = _parsed(opened(envelope, CERTIFICATE_TYPE, signer.public_key, what))
    if found.pool != signer.pool:
        raise UntrustedError(
            f"{what}: it is for pool {found.pool}, but signed by the key of pool {signer.pool}"
        )
    if found.level > signer.level:
        raise UntrustedError(
            f"{what}: it claims level {found.level}; pool {signer.pool} vouches for level {signer.level} at most"
        )
    return found, signer


def read_issued(document: Any) -> WorkerCertificate:
    """Return what a certificate says, whoever signed it: for its holder and its issuer only, who need no proof."""
    return _parsed(read_envelope(document, "certificate").payload)


def _signer(envelope: Envelope, pools: tuple[PoolKey, ...]) -> PoolKey:
    named = {name for name, _ in envelope.signatures}
    for pool in pools:
        if pool.id in named:
            return pool
    shown = ", ".join(sorted(name[:16] for name in named)) or "nobody"
    raise UntrustedError(f"certificate: signed by {shown}, which is no trusted key of a pool")


def _parsed(payload: bytes) -> WorkerCertificate:
    what = "certificate"
    try:
        said = decode(payload, what=what)
        if member(said, "version", int, what) != 1:
            raise UntrustedError(f"{what}: expected version 1")
        level = member(said, "level", int, what)
        if level not in LEVELS:
            raise UntrustedError(f"{what}: expected a level of 1 to 3")
        return WorkerCertificate(
            member(said, "pool", str, what),
            level,
            member(said, "workerGroup", str, what),
            member(said, "workerId", str, what),
            from_text(member(said, "publicKey", str, what), what=f"{what}.publicKey", size=KEY_BYTES),
            parse_instant(member(said, "notBefore", str, what), what=f"{what}.notBefore"),
            parse_instant(member(said, "notAfter", str, what), what=f"{what}.notAfter"),
        )
    except (InputInvalidError, MalformedPayloadError) as error:
        raise UntrustedError(error.message) from error
