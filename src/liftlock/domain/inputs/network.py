"""What network a task asks for, what its pool permits, and what the manifest calls the result. Pure.

Source: docs/reference/inputs.md#network
"""

from __future__ import annotations

import re

import msgspec

from liftlock.domain.inputs.declarations import Declaration, Snapshot
from liftlock.domain.inputs.fields import Fields, list_of, one_of, text, unique, whole, wrong
from liftlock.domain.inputs.policy import PoolPolicy, Sealing, permits
from liftlock.domain.scopes.satisfaction import ScopeSet
from liftlock.errors import InputValidationError

MAX_ALLOWED = 100
OPEN_SCOPE = "worker:open-network:"
"""Followed by the queue: what a task needs for an open network."""
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z", re.ASCII)
_ORDER: tuple[Sealing, ...] = ("sealed", "recorded", "open")


class Allowed(msgspec.Struct, frozen=True):
    """One place that a task asks for, with its reason."""

    host: str
    port: int
    reason: str


class Network(msgspec.Struct, frozen=True):
    """What a payload asks for; `is_open`: any public address."""

    is_open: bool = False
    allow: tuple[Allowed, ...] = ()

    def admits(self, host: str, port: int) -> bool:
        """Tell whether a task may reach `host` (lower case) at `port`."""
        return self.is_open or any((one.host, one.port) == (host, port) for one in self.allow)


CLOSED = Network()


def network(value: object, path: str) -> Network:
    """Read `{default: none | open, allow: [{host, port, reason}]}`."""
    fields = Fields(value, path)
    default = fields.get("default", one_of("none", "open"), "none")
    allow = fields.get("allow", list_of(_allowed, most=MAX_ALLOWED), ())
    fields.done()
    unique(((f"{one.host}:{one.port}", f"{path}.allow[{index}]") for index, one in enumerate(allow)), "place")
    return Network(default == "open", allow)


def _allowed(value: object, path: str) -> Allowed:
    fields = Fields(value, path)
    host = fields.take("host", text(expected="a host's name in lower case", fits=_HOST.match))
    port = fields.take("port", whole(1, 65535))
    reason = fields.take("reason", text(expected="why the task needs it", most=500))
    fields.done()
    return Allowed(host, port, reason)


def sealing(
    asked: Network, inputs: tuple[Declaration, ...], *, api_proxy: bool, caches: bool = False
) -> Sealing:
    """Return what the manifest calls a run: sealed if nothing but verified inputs can be reached.

    What a writable cache holds was not verified, so a run with `caches` is not sealed.
    """
    if asked.is_open:
        return "open"
    discovers = any(isinstance(one.source, Snapshot) and one.source.answers is None for one in inputs)
    return "recorded" if asked.allow or discovers or api_proxy or caches else "sealed"


def check_network(
    asked: Network, found: Sealing, policy: PoolPolicy, *, scopes: tuple[str, ...], queue_id: str
) -> None:
    """Raise InputValidationError unless the pool permits what a payload asks for; the message says what is missing."""
    for index, one in enumerate(asked.allow):
        if not permits(policy, one.host, one.port):
            wrong(
                f"payload.network.allow[{index}]",
                f"a place that the pool's policy permits ({', '.join(policy.network.allow) or 'it permits none'})",
                f"{one.host}:{one.port}",
            )
    if asked.is_open:
        if not policy.network.open:
            wrong("payload.network.default", "none: the pool's policy permits no open network", "open")
        needed = f"{OPEN_SCOPE}{queue_id}"
        if not ScopeSet(scopes).satisfies(needed):
            raise InputValidationError(
                f"payload.network.default: an open network needs the scope {needed} in task.scopes",
                path="payload.network.default",
            )
    if _ORDER.index(found) > _ORDER.index(policy.network.require):
        raise InputValidationError(
            f"payload.network: the pool requires runs that are {policy.network.require}; this one would be {found}",
            path="payload.network",
        )
