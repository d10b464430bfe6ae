"""`liftlock approval`: look at what will happen, and say yes or no to exactly that, by signing it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final, cast

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.differences import difference_lines
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError, VerificationFailedError
from liftlock.cli.operation import lines_of
from liftlock.cli.output import Output
from liftlock.domain.approvals.approval import Verdict, check_reason, statement
from liftlock.domain.approvals.request import FrozenRequest, read_frozen
from liftlock.domain.approvals.sshsig import NAMESPACE

_ID = click.argument("operation_id", metavar="ID")
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_WAITING: Final = {"state": "waiting"}


@click.group()
def approval() -> None:
    """Look at what will happen, and say yes or no to exactly that, by signing it."""


@approval.command()
@api_command
def ls(api: Api, out: Output) -> int:
    """List what waits for approval. Exit status 4 if something does."""
    found = list(api.all_pages("operations", "operations", key="operations", query=_WAITING))
    rows = [
        [one["operationId"], one["operation"], one["requester"], one["revision"][:12], one["expires"]]
        for one in found
    ]
    out.data(found, out.table(["id", "operation", "asked by", "revision", "expires"], rows))
    return Exit.WAITING if found else Exit.OK


@approval.command()
@_ID
@click.option(
    "--differences/--no-differences",
    default=True,
    help="How each file differs from the last release and from the source; shown by default.",
)
@api_command
def show(api: Api, out: Output, operation_id: str, *, differences: bool) -> None:
    """Show exactly what is approved: the frozen request with every file, its differences, and what was said so far."""
    found = api.get("operations", "operation", operation_id)
    request = _frozen(found)
    rows = [[one.path, str(one.size), one.sha256] for one in request.stage1.files]
    lines = [
        *lines_of(out, found),
        f"expires:   {found['expires']}",
        f"pool:      {request.stage1.pool}, level {request.stage1.level}, run {request.stage1.run_id}",
        *(f"contract:  {rule}" for rule in request.contract),
        *out.table(["file", "bytes", "sha256"], rows),
    ]
    if differences:
        compared = api.get("operations", "operation", operation_id, "differences")
        found["differences"] = compared
        lines += difference_lines(out, compared)
    out.data(found, lines)


def _word_options(function: Any) -> Any:
    for option in (
        click.option("--reason", required=True, help="Why: one line."),
        click.option("--key", type=_FILE, help="Your SSH key: `ssh-keygen -Y sign` signs with it."),
        click.option("--minisign-key", type=_FILE, help="Your minisign key, instead of an SSH key."),
        click.option(
            "--session", is_flag=True, help="Without a signature, where the operation accepts that."
        ),
        click.option(
            "--approver", help="Your name in the configuration; the last part of the client id by default."
        ),
        click.option("--digest", help="The digest that you looked at; refused if it is another one by now."),
    ):
        function = option(function)
    return _ID(api_command(function))


@approval.command()
@_word_options
def approve(api: Api, out: Output, operation_id: str, **options: Any) -> None:
    """Approve a frozen request."""
    _say(api, out, operation_id, "approve", options)


@approval.command()
@_word_options
def reject(api: Api, out: Output, operation_id: str, **options: Any) -> None:
    """Reject a frozen request, which ends the operation."""
    _say(api, out, operation_id, "reject", options)


def _say(api: Api, out: Output, operation_id: str, verdict: Verdict, options: dict[str, Any]) -> None:
    found = api.get("operations", "operation", operation_id)
    request = _frozen(found)
    wanted = options["digest"]
    if wanted is not None and wanted.removeprefix("sha256:") != request.digest:
        raise VerificationFailedError(
            f"operation {operation_id}: it is sha256:{request.digest}, not {wanted}: look at it again"
        )
    name = options["approver"] or (api.profile.client_id or "").rpartition("/")[2]
    reason = check_reason(options["reason"])
    said = statement(request.operation_id, request.operation, request.digest, verdict, name, reason)
    method, signature = _signed(said, options)
    word = {
        "digest": request.digest,
        "approver": name,
        "reason": reason,
        "method": method,
        "signature": signature,
    }
    made = api.post("operations", "operation", operation_id, verdict, payload=word)
    out.data(
        made,
        [
            f"{operation_id}: {made['verdict']} by {made['approver']} ({made['method']}), sha256:{made['digest']}"
        ],
    )


def _frozen(found: dict[str, Any]) -> FrozenRequest:
    """Return the frozen request; its digest is computed here, from what is shown.

    Raises:
        UsageError: there is none yet.
        VerificationFailedError: the server says another digest than what it shows has.
    """
    if found["frozen"] is None:
        raise UsageError(f"operation {found['operationId']} is {found['state']}: nothing is frozen yet")
    request = read_frozen(found["frozen"])
    if request.digest != found["digest"]:
        raise VerificationFailedError(
            f"what the server shows is sha256:{request.digest}, and it says sha256:{found['digest']}"
        )
    return request


def _signed(said: bytes, options: dict[str, Any]) -> tuple[str, str]:
    """Return the method and the signature."""
    key, minisign_key, session = options["key"], options["minisign_key"], options["session"]
    if [key is not None, minisign_key is not None, bool(session)].count(True) != 1:
        raise UsageError("give one of --key, --minisign-key and --session")
    if session:
        return "control-plane-attested", ""
    if key is not None:
        return "ssh", _output_of(["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)], said)
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "statement")
        text.write_bytes(said)
        _output_of(["minisign", "-S", "-s", str(cast(Path, minisign_key)), "-m", str(text)], b"")
        return "minisign", Path(f"{text}.minisig").read_text()


def _output_of(command: list[str], given: bytes) -> str:
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False)
    except OSError as error:
        raise UsageError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise UsageError(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[:500]}")
    return done.stdout.decode()
