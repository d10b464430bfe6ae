"""What is published of keys: the file that verifiers are given, and what the control plane serves.

Source: docs/reference/provenance.md#keys
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from liftlock.domain.provenance.certificates import PoolKey
from liftlock.domain.provenance.keys import KEY_BYTES, UntrustedError, from_text
from liftlock.domain.provenance.producers import Trust
from liftlock.errors import MalformedPayloadError
from liftlock.values.json import decode_as

PUBLISHED_FORMAT: Final = "liftlock-published-keys-1"


class PublishedKey(msgspec.Struct, frozen=True, rename="camel"):
    """A pool's public key. `state`: `current` certifies; `retired` does so no more, and what it certified stays valid."""

    pool: str
    level: int
    key_id: str
    public_key: str
    state: Literal["current", "retired"]
    created: str


class Revoked(msgspec.Struct, frozen=True, rename="camel"):
    """A key, of a pool or a worker, that counts no more, for what it signed before as well."""

    key_id: str
    at: str
    reason: str


class Published(msgspec.Struct, frozen=True, rename="camel"):
    """What everybody may know: keys, the certificates that were issued (oldest first), and revocations."""

    format: str
    pools: tuple[PublishedKey, ...]
    certificates: tuple[dict[str, Any], ...]
    revoked: tuple[Revoked, ...] = ()


def parse_published(content: bytes) -> Published:
    """Return what published keys say; UntrustedError if they are malformed."""
    try:
        found = decode_as(content, Published, what="published keys")
    except MalformedPayloadError as error:
        raise UntrustedError(error.message) from error
    if found.format != PUBLISHED_FORMAT:
        raise UntrustedError(f"published keys: expected format {PUBLISHED_FORMAT}")
    return found


def trust_in(published: Published) -> Trust:
    """Return the trust that takes all published keys for what they say; UntrustedError if one is no key."""
    pools = tuple(
        PoolKey(each.pool, each.level, from_text(each.public_key, what=f"key of {each.pool}", size=KEY_BYTES))
        for each in published.pools
    )
    return Trust(pools, frozenset(each.key_id for each in published.revoked))
