"""`liftlock audit`: the log of what privilege was used for, read, exported, proven and verified."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from liftlock.cli.audit_files import FORMAT, ExportHead, write_export
from liftlock.cli.audit_pages import PAGE, entries
from liftlock.cli.audit_verify import verify
from liftlock.cli.audit_witness import witness
from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output, printable

_FOLLOW_S = 1.0


@click.group()
def audit() -> None:
    """See and verify the log of what privilege was used for."""


audit.add_command(verify)
audit.add_command(witness)


@audit.command()
@click.option("--actor", metavar="CLIENT", help="Rows of this client only.")
@click.option("--action", metavar="PREFIX", help="Actions that begin so, such as hooks. or secrets.get.")
@click.option("--subject", metavar="PREFIX", help="Subjects that begin so, such as hook/release/.")
@click.option("--verdict", type=click.Choice(["allowed", "refused", "changed"]))
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on with rows as they come.")
@api_command
def tail(api: Api, out: Output, limit: int, *, follow: bool, **filters: str | None) -> None:
    """Show the newest rows, the newest last; a row without a place yet is shown as pending."""
    query = {name: value for name, value in filters.items() if value is not None}
    rows = api.get("audit", "rows", query={**query, "limit": str(limit)})["rows"][::-1]
    _show(out, rows)
    seen = rows[-1]["id"] if rows else 0
    while follow:
        time.sleep(_FOLLOW_S)
        page = api.get("audit", "rows", query={**query, "limit": str(PAGE)})["rows"]
        fresh = [row for row in page[::-1] if row["id"] > seen]
        if fresh:
            _show(out, fresh)
            seen = fresh[-1]["id"]


def _show(out: Output, rows: list[dict[str, Any]]) -> None:
    out.data(rows, [_line(out, row) for row in rows])
    out.stdout.flush()


def _line(out: Output, row: dict[str, Any]) -> str:
    place = "pending" if row["seq"] is None else str(row["seq"])
    style = "red" if row["verdict"] == "refused" else "bold"
    through = ", ".join(row["authority"].get("through", []))
    what = f"{row['actor']} {out.styled(row['action'], style)} {printable(row['subject'])} {row['verdict']}"
    details = json.dumps(row["details"], ensure_ascii=False) if row["details"] else ""
    return (
        f"{place:>8} {row['at']} {what}"
        + (f" through {through}" if through else "")
        + f" {printable(details)}"
    )


@audit.command()
@api_command
def key(api: Api, out: Output) -> None:
    """Show the log's public key: keep it where the server can't change it."""
    found = api.get("audit", "key")
    out.data(found, [found["key"]])


@audit.command()
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="Of the first N rows; else the newest.")
@api_command
def checkpoint(api: Api, out: Output, size: int | None) -> None:
    """Show a signed checkpoint, as a note that other tools read."""
    found = api.get("audit", "checkpoint", query={} if size is None else {"size": str(size)})
    out.data(found, found["checkpoint"].rstrip("\n").split("\n"))


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), metavar="FILE")
@api_command
def export(api: Api, out: Output, file: Path) -> None:
    """Write the whole log to FILE (- for standard output): JSON lines, to be verified without the server."""
    checkpoints = [each["checkpoint"] for each in api.all_pages("audit", "checkpoints", key="checkpoints")]
    head = ExportHead(FORMAT, api.get("audit", "key")["key"], checkpoints)
    if str(file) == "-":
        write_export(sys.stdout.buffer, head, entries(api))
        return
    try:
        with file.open("xb") as target:
            count = write_export(target, head, entries(api))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}; choose a name that is not there yet") from error
    out.data({"file": str(file), "rows": count}, [f"{count} rows are in {file}"])


@audit.command()
@click.argument("seq", type=click.IntRange(min=0), required=False, metavar="[ROW]")
@click.option(
    "--size", type=click.IntRange(min=1), metavar="N", help="In the checkpoint of the first N rows."
)
@click.option(
    "--consistent", nargs=2, type=click.IntRange(min=1), metavar="OLD NEW", help="Between checkpoints."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file."
)
@api_command
def proof(
    api: Api,
    out: Output,
    seq: int | None,
    size: int | None,
    consistent: tuple[int, int] | None,
    output: Path | None,
) -> None:
    """Make a proof that ROW is in the log, or that the log was only added to between two checkpoints.

    It is verified without the server, by `liftlock audit verify --proof FILE`.
    """
    if (seq is None) == (consistent is None):
        raise UsageError("give the number of a ROW, or --consistent OLD NEW")
    found: dict[str, Any] = {"key": api.get("audit", "key")["key"]}
    if consistent is not None:
        old, new = (str(each) for each in consistent)
        found |= {"old": _note(api, old), "new": _note(api, new), **api.get("audit", "consistency", old, new)}
    else:
        found |= api.get("audit", "inclusion", str(seq), query={} if size is None else {"size": str(size)})
    text = json.dumps(found, indent=2)
    if output is None:
        out.data(found, text.split("\n"))
        return
    try:
        output.write_text(text + "\n")
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from error
    out.data({"file": str(output)}, [f"the proof is in {output}"])


def _note(api: Api, size: str) -> str:
    return str(api.get("audit", "checkpoint", query={"size": size})["checkpoint"])
