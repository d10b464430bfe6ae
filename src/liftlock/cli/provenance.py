"""`liftlock task verify`, `bundle` and `inputs`: where an artifact comes from, online or from a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from liftlock.cli.client import Api
from liftlock.cli.command import api_command, json_option
from liftlock.cli.evidence import Collector
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output, printable
from liftlock.cli.profiles import load_profile
from liftlock.domain.provenance.evidence import Evidence, read_bundle, write_bundle
from liftlock.domain.provenance.producers import Trust
from liftlock.domain.provenance.published import parse_published, trust_in
from liftlock.domain.provenance.walk import Check, Walk, checks_wire
from liftlock.values.json import decode_as

MANIFEST: Final = "public/inputs.json"
_MARK: Final = {"green": ("ok  ", "green"), "red": ("RED ", "red"), "unseen": ("-   ", "yellow")}
_KEYS = click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Published keys that you trust (see `liftlock keys show`), not what the server says. Needed for a file.",
)


@click.command()
@click.argument("target", metavar="TASK|FILE")
@_KEYS
@click.option(
    "--level", type=click.IntRange(1, 3), default=1, show_default=True, help="The least level to accept."
)
@click.option(
    "--artifact",
    "artifacts",
    nargs=2,
    multiple=True,
    metavar="NAME PATH",
    help="Check the file at PATH as the task's artifact NAME.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    target: str,
    keys: Path | None,
    level: int,
    artifacts: tuple[tuple[str, str], ...],
    out: Output,
) -> int:
    """Walk from a task's artifacts to the push that brought them about.

    TASK is a task's id; FILE a bundle that `liftlock task bundle` wrote, which is verified without any server.
    Each check is ok, RED, or - if its bytes were not given. Exit status 5 if one is RED.
    """
    trust = None if keys is None else trust_in(parse_published(keys.read_bytes()))
    if Path(target).is_file():
        if trust is None:
            raise UsageError("a file is verified with keys that you trust: expected --keys FILE")
        evidence = read_bundle(Path(target).read_bytes())
    else:
        evidence = _collected(ctx, out, target)
        trust = trust or trust_in(parse_published(msgspec.json.encode(evidence.keys)))
    evidence = _with_files(evidence, artifacts)
    walk = Walk(evidence, trust)
    holds = walk(least_level=level)
    _show(out, evidence, walk, trust, pinned=keys is not None)
    return Exit.OK if holds else Exit.VERIFICATION_FAILED


def _collected(ctx: click.Context, out: Output, task_id: str) -> Evidence:
    api = Api(load_profile(os.environ, ctx.find_root().obj))
    try:
        return Collector(api, out).collect(task_id)
    finally:
        api.close()


def _with_files(evidence: Evidence, artifacts: tuple[tuple[str, str], ...]) -> Evidence:
    """Return the evidence with the digests of files that the user has, in place of what was fetched."""
    if not artifacts:
        return evidence
    mine = {}
    for name, path in artifacts:
        try:
            with open(path, "rb") as file:
                mine[name] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UsageError(f"--artifact {name} {path}: {error.strerror}") from error
    runs = tuple(
        msgspec.structs.replace(run, observed=run.observed | mine) if run.task_id == evidence.task_id else run
        for run in evidence.runs
    )
    return msgspec.structs.replace(evidence, runs=runs)


def _show(out: Output, evidence: Evidence, walk: Walk, trust: Trust, *, pinned: bool) -> None:
    verdict = "green" if walk.holds else "red"
    source = "of your file" if pinned else f"as {evidence.root_url} publishes them"
    wire: dict[str, Any] = {
        "taskId": evidence.task_id,
        "verdict": verdict,
        "level": walk.level,
        "keys": {"pinned": pinned, "trusted": [pool.id for pool in trust.valid_pools]},
        "checks": checks_wire(walk.checks),
    }
    lines = [_line(out, check) for check in walk.checks]
    said = f"{evidence.task_id}: {verdict}, level {walk.level}; keys {source}"
    out.data(wire, [*lines, out.styled(said, verdict)])


def _line(out: Output, check: Check) -> str:
    mark, style = _MARK[check.state]
    return f"{out.styled(mark, style)}{check.link:9}{printable(check.subject)}: {printable(check.text)}"


@click.command()
@click.argument("task_id", metavar="TASK")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to; default: TASK.bundle.json",
)
@api_command
def bundle(api: Api, out: Output, task_id: str, output: Path | None) -> None:
    """Write what `verify` needs to check a task without a server: chains, graphs and pushes, but no artifacts."""
    evidence = Collector(api, out).collect(task_id)
    path = output or Path(f"{task_id}.bundle.json")
    content = write_bundle(evidence)
    path.write_bytes(content)
    facts = {"path": str(path), "bytes": len(content), "runs": [run.task_id for run in evidence.runs]}
    out.data(facts, [f"wrote {path}: {len(evidence.runs)} runs, {len(content)} bytes"])


@click.command()
@click.argument("task_id", metavar="TASK")
@api_command
def inputs(api: Api, out: Output, task_id: str) -> None:
    """Show what a task's latest run was given, as its worker measured it."""
    found = decode_as(api.artifact(task_id, MANIFEST), dict[str, Any], what=MANIFEST)
    rows = [
        [
            one["name"],
            one["kind"],
            str(one.get("mount") or one.get("unpack") or "-"),
            file["sha256"],
            str(file["size"]),
            file["name"],
        ]
        for one in found["inputs"]
        for file in one["files"]
    ]
    failed = found.get("failed")
    lines = out.table(["input", "kind", "at", "sha256", "bytes", "file"], rows)
    lines += [] if failed is None else [out.styled(f"{failed['name']}: {failed['error']}", "red")]
    out.data(found, lines)
