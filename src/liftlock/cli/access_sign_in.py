"""`liftlock access sign-in-link`: a link that signs somebody in to the pages once."""

from __future__ import annotations

from typing import Any

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.output import Output, printable


@click.command("sign-in-link")
@click.argument("client_id", metavar="CLIENT")
@click.option(
    "--valid-for",
    "valid_for_s",
    metavar="SECONDS",
    type=click.IntRange(60, 86_400),
    help="How long the link holds if nobody uses it; 600 without it.",
)
@api_command
def sign_in_link(api: Api, out: Output, client_id: str, valid_for_s: int | None) -> None:
    """Print a link that signs in to the pages as CLIENT, once.

    Whoever opens it acts as CLIENT, so you need everything that CLIENT may do. Send it to that person alone.
    """
    payload: dict[str, Any] = {} if valid_for_s is None else {"validForSeconds": valid_for_s}
    made = api.post("auth", "clients", client_id, "sign-in-link", payload=payload)
    out.data(made, [printable(made["url"])])
