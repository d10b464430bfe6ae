"""`liftlock keys rotate` and `revoke`: what the operator does with the key files of a state directory."""

from __future__ import annotations

from pathlib import Path

import click

from liftlock.adapters.keys.pool_keys import PoolKeys
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.cli.command import json_option
from liftlock.cli.keys import keys
from liftlock.cli.output import Output
from liftlock.processes.certifying import DIRECTORY
from liftlock.processes.local_workers import QUEUE

__all__ = ["keys"]

_STATE = click.option(
    "--state-dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The state directory of `liftlock up`.",
)


def _held(state_dir: Path) -> PoolKeys:
    return PoolKeys(state_dir.absolute() / DIRECTORY, SystemEntropy())


@keys.command()
@_STATE
@click.option("--pool", default=QUEUE, show_default=True, metavar="POOL")
@json_option
def rotate(state_dir: Path, pool: str, out: Output) -> None:
    """Make a new key for a pool; liftlock may be running.

    Workers are certified with it from their next certificate on. What the old key certified stays valid.
    """
    key_id = _held(state_dir).rotate(pool, now=SystemClock().now())
    out.data({"pool": pool, "keyId": key_id}, [f"{pool}: certifies with key {key_id} from now on"])


@keys.command()
@_STATE
@click.argument("key_id", metavar="KEY")
@click.option("--reason", required=True, help="Why; it is published.")
@json_option
def revoke(state_dir: Path, key_id: str, reason: str, out: Output) -> None:
    """Let the key of a pool or of a worker count no more, for all that it ever signed; liftlock may be running."""
    _held(state_dir).revoke(key_id, reason, now=SystemClock().now())
    out.data({"keyId": key_id, "reason": reason}, [f"{key_id}: revoked"])
