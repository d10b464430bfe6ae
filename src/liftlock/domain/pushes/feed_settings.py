"""The settings of feedd: which trackers it follows, how it judges their bugs, and where the gate is.

Source: docs/reference/gate-feed.md#settings
"""

from __future__ import annotations

import tomllib
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from liftlock.domain.pushes.feed import MAX_BUG
from liftlock.domain.pushes.selectors import Selectors, parse_selectors
from liftlock.errors import InputInvalidError

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
DEFAULT_SEARCH: Final = ({"keywords": "sec-high,sec-critical", "keywords_type": "anywords"},)


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One tracker. `search`: queries that together list every bug that may be sensitive.

    `relays`: control planes that receive what the tracker sends, with the file of feedd's credentials there; `push_keys`:
    files of the secrets of who may send events, by key id.
    """

    name: str
    address: str
    key_file: str
    kind: Literal["bugzilla", "events"]
    mode: Literal["extension", "poll"]
    interval_s: float
    canary: int | None
    selectors: Selectors
    search: tuple[dict[str, str], ...]
    reconcile_s: float
    audit_s: float
    relays: tuple[str, ...]
    relay_key_file: str | None
    push_keys: dict[str, str]


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file. `gate`: path of the gate's feed socket, or of a relay of it."""

    gate: str
    sources: tuple[SourceSettings, ...]


class _Source(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    address: str
    key_file: str
    kind: Literal["bugzilla", "events"] = "bugzilla"
    mode: Literal["extension", "poll"] = "extension"
    interval_ms: int | None = None
    canary: int | None = None
    selectors: dict[str, Any] = {}
    search: tuple[dict[str, str], ...] = DEFAULT_SEARCH
    reconcile_s: int = 900
    audit_s: int = 86_400
    relays: tuple[str, ...] = ()
    relay_key_file: str | None = None
    push_keys: dict[str, str] = {}


class _File(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    version: Literal[1]
    gate: str
    source: dict[str, _Source]


def parse_feed_settings(text: str, *, what: str = "settings") -> FeedSettings:
    """Return the settings that the TOML text holds.

    Raises:
        InputInvalidError: no TOML, an unknown key, a value out of its bounds, or an address that would send the key in
            clear over a network.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputInvalidError(f"{what}: {error}") from error
    if not file.source:
        raise InputInvalidError(f"{what}: expected at least one table [source.NAME]")
    return FeedSettings(
        gate=file.gate,
        sources=tuple(_source(name, table, f"{what}: source.{name}") for name, table in file.source.items()),
    )


def _source(name: str, table: _Source, what: str) -> SourceSettings:
    _check_address(table.address, f"{what}.address")
    for relay in table.relays:
        _check_address(relay, f"{what}.relays")
    if bool(table.relays) != (table.relay_key_file is not None):
        raise InputInvalidError(f"{what}: expected relays and relay-key-file together")
    if table.mode == "poll" and (table.kind == "events" or table.push_keys):
        raise InputInvalidError(
            f"{what}.mode: a tracker that is polled numbers no events: expected extension"
        )
    if table.push_keys and not table.relays:
        raise InputInvalidError(f"{what}.push-keys: expected relays as well, where events are received")
    interval_ms = table.interval_ms or (500 if table.mode == "extension" else 30_000)
    for key, value, least, most in (
        ("interval-ms", interval_ms, 50, 3_600_000),
        ("canary", table.canary or 1, 1, MAX_BUG),
        ("reconcile-s", table.reconcile_s, 1, 86_400),
        ("audit-s", table.audit_s, 1, 604_800),
    ):
        if not least <= value <= most:
            raise InputInvalidError(f"{what}.{key}: expected {least} to {most}, found {value}")
    return SourceSettings(
        name=name,
        kind=table.kind,
        relays=tuple(each.rstrip("/") for each in table.relays),
        relay_key_file=table.relay_key_file,
        push_keys=table.push_keys,
        address=table.address.rstrip("/"),
        key_file=table.key_file,
        mode=table.mode,
        interval_s=interval_ms / 1000,
        canary=table.canary,
        selectors=parse_selectors(table.selectors, what=f"{what}.selectors"),
        search=table.search if table.kind == "bugzilla" else ({},),
        reconcile_s=table.reconcile_s,
        audit_s=table.audit_s,
    )


def _check_address(text: str, what: str) -> None:
    address = urlsplit(text)
    clear = address.scheme == "http" and address.hostname in LOOPBACK
    if not (clear or address.scheme == "https") or not address.hostname or address.query or address.username:
        raise InputInvalidError(f"{what}: expected https://HOST[/PATH], found {text!r}")
