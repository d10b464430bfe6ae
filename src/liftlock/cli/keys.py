"""`liftlock keys`: the keys by which anybody can verify what workers signed."""

from __future__ import annotations

import base64
from typing import Any

import click
import msgspec

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.output import Output
from liftlock.domain.provenance.certificates import read_issued


@click.group()
def keys() -> None:
    """See the keys that workers sign with, and change them."""


@keys.command()
@api_command
def ls(api: Api, out: Output) -> None:
    """List the keys of pools and of the workers that they certified."""
    found = api.get("provenance", "keys")
    revoked = {each["keyId"]: each["reason"] for each in found["revoked"]}
    rows = [
        [
            "pool",
            each["pool"],
            str(each["level"]),
            _state(revoked, each["keyId"], each["state"]),
            each["created"],
            each["keyId"],
        ]
        for each in found["pools"]
    ]
    newest: dict[str, list[str]] = {}
    for envelope in found["certificates"]:
        one = read_issued(envelope)
        state = _state(revoked, one.key_id, f"until {one.not_after:%Y-%m-%d}")
        who = f"{one.worker_group}/{one.worker_id}"
        newest[one.key_id] = [
            "worker",
            who,
            str(one.level),
            state,
            f"{one.not_before:%Y-%m-%dT%H:%M:%SZ}",
            one.key_id,
        ]
    out.data(found, out.table(["kind", "name", "level", "state", "since", "key"], [*rows, *newest.values()]))


def _state(revoked: dict[str, str], key_id: str, otherwise: str) -> str:
    return f"revoked: {revoked[key_id]}" if key_id in revoked else otherwise


@keys.command()
@click.option(
    "--scriptworker", is_flag=True, help="As a list of base64, the form that scriptworker's settings take."
)
@api_command
def show(api: Api, out: Output, *, scriptworker: bool) -> None:
    """Write the published keys, in the form that `liftlock task verify --keys` takes.

    Keep them where nobody who runs tasks can change them, and compare them with what the operator tells you.
    """
    found = api.get("provenance", "keys")
    if scriptworker:
        out.data(_workers(found), _workers(found))
        return
    out.data(found, [msgspec.json.format(msgspec.json.encode(found), indent=2).decode()])


def _workers(found: dict[str, Any]) -> list[str]:
    """Return the public keys of workers that are not revoked, base64 of 32 bytes each, unique, in the order of issue."""
    revoked = {each["keyId"] for each in found["revoked"]}
    known = {}
    for envelope in found["certificates"]:
        one = read_issued(envelope)
        if one.key_id not in revoked:
            known[one.key_id] = base64.b64encode(one.public_key).decode("ascii")
    return list(known.values())
