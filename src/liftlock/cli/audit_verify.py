"""`liftlock audit verify`: the log, an export of it, or a proof, against signatures that the server can't take back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from liftlock.cli.audit_files import (
    Consistency,
    Inclusion,
    opened_export,
    read_checkpoints,
    read_key,
    read_proof,
    sequenced,
    unhex,
    without_gaps,
)
from liftlock.cli.audit_pages import entries
from liftlock.cli.client import Api
from liftlock.cli.command import json_option
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output
from liftlock.cli.profiles import load_profile
from liftlock.domain.audit.entry import leaf_of
from liftlock.domain.audit.note import Checkpoint, Verifier, open_checkpoint, parse_verifier
from liftlock.domain.audit.tree import is_consistent, is_included
from liftlock.domain.audit.verification import Report
from liftlock.domain.audit.verification import verify as verify_log

_SHOWN = 50


@click.command()
@click.option(
    "--file",
    "export",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An export, not the server's log.",
)
@click.option(
    "--proof", type=click.Path(path_type=Path, dir_okay=False), help="A proof of `audit proof`, nothing else."
)
@click.option(
    "--checkpoint",
    "kept",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Checkpoints that a witness kept; may be given several times.",
)
@click.option("--key", metavar="KEY", help="The log's public key, or a file with it, kept from before.")
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    export: Path | None,
    proof: Path | None,
    kept: tuple[Path, ...],
    key: str | None,
    out: Output,
) -> int:
    """Verify the whole log: every row, every hash, every signature. A row that was edited, removed or moved is named.

    Without --checkpoint and --key, what is verified is only that the server does not contradict itself.
    Exit status 5 if anything differs.
    """
    if export is not None and proof is not None:
        raise UsageError("give --file or --proof, not both")
    pinned = None if key is None else read_key(key)
    if proof is not None:
        return _proof(out, read_proof(proof), pinned, kept)
    if export is not None:
        with opened_export(export) as (head, places):
            verifier = _trusted(out, pinned, head.key)
            return _told(out, verify_log(without_gaps(places), _all(head.checkpoints, verifier, kept)))
    api = Api(load_profile(os.environ, ctx.find_root().obj))
    try:
        verifier = _trusted(out, pinned, api.get("audit", "key")["key"])
        notes = [each["checkpoint"] for each in api.all_pages("audit", "checkpoints", key="checkpoints")]
        places = (sequenced(each) for each in entries(api))
        return _told(out, verify_log(without_gaps(places), _all(notes, verifier, kept)))
    finally:
        api.close()


def _trusted(out: Output, pinned: Verifier | None, told: str) -> Verifier:
    if pinned is None:
        out.progress(
            "the key is the one that the log itself names: keep it, and give it with --key from now on"
        )
        return parse_verifier(told)
    if parse_verifier(told) != pinned:
        out.progress(f"the log names another key than {pinned.name}+{pinned.key_id.hex()}; only yours counts")
    return pinned


def _all(notes: Sequence[str], verifier: Verifier, kept: Sequence[Path]) -> list[Checkpoint]:
    found = [open_checkpoint(note, verifier) for note in notes]
    for path in kept:
        found += read_checkpoints(path, verifier)
    return found


def _told(out: Output, report: Report) -> int:
    findings = [
        {"kind": each.kind, "row": each.seq, "until": each.until, "text": each.text}
        for each in report.findings
    ]
    lines = [out.styled(f"{each.kind}: {each.text}", "red") for each in report.findings[:_SHOWN]]
    if len(report.findings) > _SHOWN:
        lines.append(f"and {len(report.findings) - _SHOWN} more; see them all with --json")
    if report.ok:
        lines.append(f"ok: {report.rows} rows, {report.covered} of them under a signed checkpoint")
    out.data({"ok": report.ok, "rows": report.rows, "covered": report.covered, "findings": findings}, lines)
    return Exit.OK if report.ok else Exit.VERIFICATION_FAILED


def _proof(out: Output, proof: Inclusion | Consistency, pinned: Verifier | None, kept: Sequence[Path]) -> int:
    verifier = _trusted(out, pinned, proof.key)
    path = [unhex(each) for each in proof.path]
    if isinstance(proof, Consistency):
        old, new = open_checkpoint(proof.old, verifier), open_checkpoint(proof.new, verifier)
        holds = is_consistent(old.size, old.root, new.size, new.root, path)
        what = f"the first {old.size} of {new.size} rows are as they were"
        used = [old, new]
    else:
        used = [open_checkpoint(proof.checkpoint, verifier)]
        row, seq = proof.entry.row, proof.entry.seq
        holds = row is not None and is_included(leaf_of(row), seq, used[0].size, path, used[0].root)
        what = f"row {seq} is in the log of {used[0].size} rows"
    witnessed = [each for path_ in kept for each in read_checkpoints(path_, verifier)]
    lacking = [each for each in used if witnessed and each not in witnessed]
    if holds and lacking:
        what, holds = f"the checkpoint of size {lacking[0].size} is not among the witness's: {what}", False
    out.data(
        {"ok": holds, "text": what}, [f"ok: {what}" if holds else out.styled(f"not proven: {what}", "red")]
    )
    return Exit.OK if holds else Exit.VERIFICATION_FAILED
