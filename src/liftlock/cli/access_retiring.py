"""`liftlock access retiring`: scopes that are to be taken away, and who still needs them."""

from __future__ import annotations

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.output import Output, printable


@click.command()
@api_command
def retiring(api: Api, out: Output) -> None:
    """List who still needs scopes that are to be taken away (grants with `retire: warn`), the latest first."""
    marked = api.get("auth", "retiring")["retiring"]
    uses = api.get("auth", "retiring-uses")["uses"]
    lines = [f"role {printable(each['roleId'])}: {printable(', '.join(each['scopes']))}" for each in marked]
    rows = [[each["clientId"], printable(each["scope"]), str(each["uses"]), each["last"]] for each in uses]
    table = out.table(["client", "needs", "times", "last"], rows) if rows else ["nobody needed them"]
    out.data(
        {"retiring": marked, "uses": uses}, [*lines, *table] if lines or rows else ["nothing is retiring"]
    )
