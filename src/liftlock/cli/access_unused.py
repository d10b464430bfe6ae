"""`liftlock access unused`: granted scopes that nobody used."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output, printable
from liftlock.values.instants import format_instant, parse_instant

_DAYS = re.compile(r"([0-9]{1,5})d\Z", re.ASCII)


@click.command()
@click.option(
    "--since", default="90d", show_default=True, metavar="DAYS", help="So many days (90d) ago, or a time."
)
@api_command
def unused(api: Api, out: Output, since: str) -> None:
    """List granted scopes that nobody used, by the role or client that they are stored in.

    Every grant that would have sufficed counts as used, so what is listed can be taken away.
    """
    at = _instant(since)
    found = api.get("auth", "unused-scopes", query={"since": format_instant(at)})
    began = found["recordedSince"]
    lines = []
    for each in found["holders"]:
        lines.append(out.styled(printable(each["holder"]), "bold"))
        lines += [f"  {printable(scope)}" for scope in each["scopes"]]
    out.data(found, lines or ["every granted scope was used"])
    if began is None or parse_instant(began, what="recordedSince") > at:
        out.progress(
            f"uses are written down since {began or 'now'} only: what was used before then is listed as well"
        )


def _instant(text: str) -> datetime:
    match = _DAYS.match(text)
    if match:
        return datetime.fromtimestamp(time.time(), UTC) - timedelta(days=int(match[1]))
    if "T" not in text:
        raise UsageError(f"--since {text}: expected days, such as 90d, or a time like 2026-01-31T12:00:00Z")
    return parse_instant(text, what="--since")
