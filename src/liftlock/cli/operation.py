"""`liftlock operation`: ask for operations of two stages, and see how far they have come."""

from __future__ import annotations

import json
import secrets
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command, json_option
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import TimedOutError, UsageError
from liftlock.cli.output import Output
from liftlock.domain.credentials.sealed_secret import seal

POLL_S: Final = 0.5
ENDED: Final = ("done", "failed", "refused", "rejected", "voided", "expired", "cancelled")
_STYLE: Final = {"done": "green", "waiting": "yellow", "building": "yellow", "scheduled": "yellow"}
_ID = click.argument("operation_id", metavar="ID")
_TIMEOUT = click.option(
    "--timeout", "timeout_s", type=float, default=3600.0, show_default=True, help="Seconds to wait."
)


@click.group()
def operation() -> None:
    """Ask for operations of two stages, and see how far they have come."""


@operation.command()
@click.option("--project", help="Only of this project.")
@click.option("--state", help="Only in this state: building, waiting, done, …")
@click.option("--configured", is_flag=True, help="What can be asked for, instead of what was.")
@api_command
def ls(api: Api, out: Output, project: str | None, state: str | None, *, configured: bool) -> None:
    """List operations, the newest first."""
    if configured:
        known = api.get("operations", "configured")["operations"]
        rows = [
            [one["operation"], one["project"], str(one["approvals"]["need"]), one["description"]]
            for one in known
        ]
        out.data(known, out.table(["operation", "project", "approvals", "what it does"], rows))
        return
    query = {key: value for key, value in (("project", project), ("state", state)) if value}
    found = list(api.all_pages("operations", "operations", key="operations", query=query))
    rows = [
        [one["operationId"], one["operation"], one["state"], one["requester"], one["ref"], one["why"]]
        for one in found
    ]
    out.data(found, out.table(["id", "operation", "state", "asked by", "branch", "why"], rows))


@operation.command()
@_ID
@click.option("--wait", is_flag=True, help="Until it waits for approval, or has ended.")
@_TIMEOUT
@api_command
def show(api: Api, out: Output, operation_id: str, timeout_s: float, *, wait: bool) -> int:
    """Show an operation. Exit status 4 while it waits for approval, 1 if it ended otherwise than done."""
    found = (
        _waited(api, out, operation_id, timeout_s)
        if wait
        else api.get("operations", "operation", operation_id)
    )
    out.data(found, lines_of(out, found))
    return status_of(found)


@operation.command()
@click.argument("name", metavar="OPERATION")
@click.option("--ref", required=True, help="The branch.")
@click.option("--revision", help="Refuse if the branch is somewhere else.")
@click.option(
    "--input",
    "given",
    metavar="FILE",
    type=click.File("r"),
    help="JSON for the operation's input; - for stdin.",
)
@click.option("--key", help="Your mark of this request: repeating it finds the same operation.")
@click.option("--wait", is_flag=True, help="Until it waits for approval, or has ended.")
@_TIMEOUT
@api_command
def request(
    api: Api,
    out: Output,
    name: str,
    ref: str,
    revision: str | None,
    given: Any,
    key: str | None,
    timeout_s: float,
    *,
    wait: bool,
) -> int:
    """Ask for an operation. With --wait, exit status 4 once it waits for approval."""
    wanted: dict[str, Any] = {"ref": ref, "key": key or secrets.token_urlsafe(16)}
    if revision is not None:
        wanted["revision"] = revision
    if given is not None:
        wanted["input"] = _json(given.read())
    made = api.post("operations", "request", name, payload=wanted)
    out.progress(f"started {name}: {made['operationId']}")
    found = _waited(api, out, made["operationId"], timeout_s) if wait else made
    out.data(found, lines_of(out, found))
    return status_of(found) if wait else Exit.OK


@operation.command()
@_ID
@api_command
def cancel(api: Api, out: Output, operation_id: str) -> None:
    """Cancel an operation that has not ended: your own, or any with the scope for it."""
    found = api.post("operations", "operation", operation_id, "cancel")
    out.data(found, [f"{operation_id}: {found['state']}"])


@operation.command("seal-secret")
@click.argument("name", metavar="OPERATION")
@click.argument("secret_name", metavar="SECRET")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Of a liftlock on this machine: its key is used, and the sealed secret is put where it belongs.",
)
@click.option(
    "--public-key",
    metavar="TEXT",
    help="The privileged worker's key; the sealed secret is written to stdout.",
)
@json_option
def seal_secret(
    out: Output, name: str, secret_name: str, state_dir: Path | None, public_key: str | None
) -> None:
    """Seal the secret on stdin to the privileged worker, for one operation; nobody else can open it."""
    if (state_dir is None) == (public_key is None):
        raise UsageError("give either --state-dir or --public-key")
    secret = sys.stdin.buffer.read().rstrip(b"\n")
    key = _key_of(state_dir) if state_dir is not None else public_key or ""
    sealed = seal(key, secrets.token_bytes(32), name, secret_name, secret)
    if state_dir is None:
        out.data({"sealed": sealed}, [sealed])
        return
    target = state_dir / "sealed" / f"{secret_name}.sealed"
    if "/" in secret_name or secret_name.startswith("."):
        raise UsageError(f"SECRET: expected a plain name, got {secret_name!r}")
    target.write_text(sealed + "\n")
    target.chmod(0o644)
    out.data({"path": str(target)}, [f"sealed for {name}: {target}"])


def _key_of(state_dir: Path) -> str:
    path = state_dir / "privileged" / "sealing-key.pub"
    try:
        return path.read_text()
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}; start liftlock with --operations once, so that the worker makes its key"
        ) from error


def lines_of(out: Output, found: dict[str, Any]) -> list[str]:
    """Return an operation for people."""
    facts = [
        out.styled(found["operation"], "bold"),
        f"id:        {found['operationId']}",
        f"state:     {out.styled(found['state'], _STYLE.get(found['state'], 'red'))}",
        f"why:       {found['why'] or '-'}",
        f"asked by:  {found['requester']} at {found['created']}",
        f"source:    {found['project']}, {found['ref']} at {found['revision']}",
        f"input:     {json.dumps(found['input'], ensure_ascii=False)}",
        f"stage 1:   {found['stage1TaskId']}",
        f"stage 2:   {found['stage2TaskId']}",
        f"digest:    {'sha256:' + found['digest'] if found['digest'] else '-'}",
    ]
    said = [
        f"{each['verdict']}:   {each['approver']} ({each['method']}) at {each['at']}: {each['reason']}"
        for each in found.get("approvals", ())
    ]
    return [*facts, *said]


def status_of(found: dict[str, Any]) -> int:
    """Return the exit status that an operation's state stands for."""
    if found["state"] == "waiting":
        return Exit.WAITING
    return Exit.FAILED if found["state"] in ENDED and found["state"] != "done" else Exit.OK


def _waited(api: Api, out: Output, operation_id: str, timeout_s: float) -> dict[str, Any]:
    """Return the operation once it waits for people, or has ended."""
    began, shown = time.monotonic(), ""
    while True:
        found: dict[str, Any] = api.get("operations", "operation", operation_id)
        if found["state"] != shown:
            shown = found["state"]
            out.progress(f"{operation_id}: {shown}{': ' + found['why'] if found['why'] else ''}")
        tally = found.get("tally")
        needs_people = shown == "waiting" and (tally is None or tally["missing"])
        if shown in ENDED or needs_people:
            return found
        if time.monotonic() - began > timeout_s:
            raise TimedOutError(f"operation {operation_id} is {shown} after {timeout_s:.0f} s")
        time.sleep(POLL_S)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"--input: expected JSON: {error}") from error
