"""The policy of a pool: what its tasks' inputs must promise, whose keys count, and how far the network is open.

Read from TOML by `parse_policy`; the default is the strictest that can work. Source: docs/reference/pool-policy.md
"""

from __future__ import annotations

import re
import tomllib
from typing import Literal

import msgspec

from liftlock.domain.inputs.declarations import Declaration, Url
from liftlock.domain.inputs.fields import wrong
from liftlock.domain.inputs.promises import Scheme
from liftlock.errors import InputInvalidError, InputValidationError

Sealing = Literal["sealed", "recorded", "open"]
_PLACE = re.compile(
    r"(\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?:[0-9]{1,5}\Z|\[[0-9a-f:]{2,39}\]:[0-9]{1,5}\Z"
)


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A table of the file: its keys have hyphens, unknown ones are refused."""


class Key(_Table, frozen=True):
    """A public key: for minisign the line of base64, for openpgp an armoured key block, for sigstore a trusted root (JSON).

    `identity` and `issuer`: for sigstore only, who must have signed, and who vouched for that.
    """

    scheme: Scheme
    public: str
    identity: str | None = None
    issuer: str | None = None


class SignatureRule(_Table, frozen=True):
    """What lies below `prefix` must be signed by `key`."""

    prefix: str
    key: str


class Index(_Table, frozen=True):
    """A package index: `url` of its simple API (pypi) or registry (npm)."""

    kind: Literal["pypi", "npm"]
    url: str
    snapshots: bool = False
    """Whether tasks may read it by `index-snapshot`."""


class NetworkRule(_Table, frozen=True):
    """`allow`: `host:port` that payloads may ask for, `*.` before a name for all below it. `require`: the least sealing."""

    allow: tuple[str, ...] = ()
    open: bool = False
    require: Sealing = "open"


class CacheRule(_Table, frozen=True):
    """Writable caches: at most `max_bytes` each; of one slot's, `store_bytes` are kept, the least lately used go first.

    `lower_levels`: whether a task may use caches of a level below its own, and so make its results worth no more.
    """

    max_bytes: int = 10 << 30
    store_bytes: int = 32 << 30
    lower_levels: bool = False


class PoolPolicy(_Table, frozen=True):
    """`level`: the highest that the pool's workers may vouch for. `private_addresses`: `address:port` of loopback, link-local or private addresses that may be connected to.

    `registries`: name → base address of OCI registries. `layouts`: name → directory of an OCI layout.
    `producers`: level ("1" to "3") → pools that may make what tasks of that level read; a level that is not named:
    every pool whose key vouches for it.
    """

    level: int = 3
    digests_required: bool = True
    private_addresses: tuple[str, ...] = ()
    keys: dict[str, Key] = {}
    signatures: tuple[SignatureRule, ...] = ()
    indexes: dict[str, Index] = {}
    registries: dict[str, str] = {}
    layouts: dict[str, str] = {}
    producers: dict[str, tuple[str, ...]] = {}
    tooltool: str | None = None
    network: NetworkRule = NetworkRule()
    caches: CacheRule = CacheRule()
    max_download_bytes: int = 16 << 30
    store_bytes: int = 64 << 30
    tree_bytes: int = 64 << 30

    def index(self, name: str, kind: str, at: str) -> Index:
        """Return the index called `name`, or raise InputValidationError at `at`."""
        found = self.indexes.get(name)
        if found is None or found.kind != kind:
            named = ", ".join(sorted(each for each, one in self.indexes.items() if one.kind == kind))
            wrong(
                at, f"an index of kind {kind} that the pool's policy names ({named or 'it names none'})", name
            )
        return found


STRICTEST = PoolPolicy()
"""What a pool has that names no policy: digests required, no signers, no indexes, a closed network."""


def parse_policy(text: str) -> PoolPolicy:
    """Return the policy that a file holds.

    Raises:
        InputInvalidError: no TOML, an unknown key, a rule that names no key, an address that is none.
    """
    try:
        policy = msgspec.convert(tomllib.loads(text), PoolPolicy)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputInvalidError(f"the pool's policy: {error}") from error
    for place in (*policy.private_addresses, *policy.network.allow):
        if _PLACE.match(place) is None:
            raise InputInvalidError(f"the pool's policy: expected host:port, found {place[:100]!r}")
    for rule in policy.signatures:
        if rule.key not in policy.keys:
            raise InputInvalidError(
                f"the pool's policy: signatures names the key {rule.key!r}, which keys lacks"
            )
    _check_keys(policy)
    for level in policy.producers:
        if level not in ("1", "2", "3"):
            raise InputInvalidError(
                f"the pool's policy: producers: expected 1, 2 or 3, found {level[:100]!r}"
            )
    if not 1 <= policy.level <= 3:
        raise InputInvalidError(f"the pool's policy: level: expected 1, 2 or 3, found {policy.level}")
    return policy


def _check_keys(policy: PoolPolicy) -> None:
    for name, key in policy.keys.items():
        told = (key.identity is not None, key.issuer is not None)
        if told != ((True, True) if key.scheme == "sigstore" else (False, False)):
            raise InputInvalidError(
                f"the pool's policy: keys.{name}: identity and issuer are required for sigstore, and for nothing else"
            )


def check_declaration(one: Declaration, policy: PoolPolicy) -> None:
    """Raise InputValidationError if an input promises less than the policy requires, or names a key that it lacks."""
    if isinstance(one.source, Url):
        if policy.digests_required and not one.promise.has_digest:
            raise InputValidationError(
                f"{one.at}: the pool requires a digest of what an address gives; expected sha256 or sha512",
                path=one.at,
            )
        for rule in policy.signatures:
            if one.source.url.startswith(rule.prefix) and (
                one.signature is None or one.signature.key != rule.key
            ):
                raise InputValidationError(
                    f"{one.at}: the pool requires a signature by {rule.key} on what lies below {rule.prefix};"
                    f" expected verify: {{{policy.keys[rule.key].scheme}: {{key: {rule.key}, …}}}}",
                    path=one.at,
                )
    if one.signature is not None:
        key = policy.keys.get(one.signature.key)
        if key is None or key.scheme != one.signature.scheme:
            wrong(
                f"{one.at}.verify.{one.signature.scheme}.key",
                f"a {one.signature.scheme} key that the pool's policy names",
                one.signature.key,
            )


def permits(policy: PoolPolicy, host: str, port: int) -> bool:
    """Tell whether a payload may ask for `host:port` (the name in lower case)."""
    for place in policy.network.allow:
        name, _, number = place.rpartition(":")
        if int(number) != port:
            continue
        if name == host or (name.startswith("*.") and host.endswith(name[1:])):
            return True
    return False
