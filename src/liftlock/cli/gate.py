"""`liftlock gate`: the push gate, seen and steered by its operators on the host of the repositories."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from liftlock.cli import gate_install
from liftlock.cli.command import json_option
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UnreachableError, UsageError
from liftlock.cli.gate_client import RUN, GateClient
from liftlock.cli.gate_history import audit_repository, replay_repository
from liftlock.cli.gate_repository import GateRepository
from liftlock.cli.gate_status import status_lines
from liftlock.cli.output import Output, printable

F = TypeVar("F", bound=Callable[..., Any])
_NAME = click.argument("name", metavar="REPOSITORY")
_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


def _run_option(function: F) -> F:
    return click.option(
        "--run",
        type=click.Path(path_type=Path),
        default=RUN,
        show_default=True,
        help="Folder of gated's sockets.",
    )(function)


@click.group()
def gate() -> None:
    """Keep security fixes from landing by mistake: the push gate beside the repositories.

    These commands ask gated on its operators' socket: run them on the host of the repositories, as root or as a user
    whom the gate's policy names.
    """


@gate.command()
@click.argument("path", type=_FOLDER)
@click.option("--name", required=True, help="What the policy calls the repository.")
@click.option(
    "--fail",
    type=click.Choice(["open", "closed"]),
    help="What the hook does when gated does not answer; as the policy says if left out.",
)
@click.option(
    "--defaults", is_flag=True, help="The policy does not name the repository: its [defaults] are meant."
)
@click.option(
    "--hooks-dir",
    type=click.Path(path_type=Path),
    default=gate_install.HOOKS,
    show_default=True,
    help="Where hooks of Mercurial repositories are kept: not writable by pushers.",
)
@click.option(
    "--client",
    type=click.Choice(["python", "compiled"]),
    default="python",
    show_default=True,
    help="The git hook: a Python script, or a program built now by the C compiler, which costs a third.",
)
@click.option("--self-test/--no-self-test", default=True, help="Push a canary that must be rejected.")
@click.option("--force", is_flag=True, help="Replace a pre-receive hook that is not liftlock's.")
@_run_option
@json_option
def install(
    out: Output,
    path: Path,
    name: str,
    fail: str | None,
    hooks_dir: Path,
    client: str,
    run: Path,
    *,
    defaults: bool,
    self_test: bool,
    force: bool,
) -> None:
    """Put the gate's hook into the git or Mercurial repository at PATH, and prove that it works.

    When gated does not answer within two seconds the hook does as the policy says at this moment: open lets the push in
    with a note, closed rejects it. `status` shows when the policy says otherwise later. --fail may be stricter than the
    policy; without the self-test and with --fail, gated need not run.
    """
    repository = GateRepository.at(path)
    token = gate_install.canary_token()
    if fail is None or self_test:
        with GateClient(run) as gated:
            fail = gate_install.agreed(gated.ask("settings", repository=name), name, fail, defaults=defaults)
            if self_test:
                gated.ask("canary", token=token)
    written = gate_install.install(
        repository, name, run, fail, hooks_dir, compiled=client == "compiled", force=force
    )
    out.progress(f"installed {written}: when gated does not answer it fails {fail}")
    with contextlib.suppress(UnreachableError), GateClient(run) as gated:
        gated.ask("installed", repository=name, fail=fail)
    if self_test:
        gate_install.push_canary(repository, token)
        out.progress("a canary push was rejected by the gate, as it should be")
    found = {
        "hook": str(written),
        "repository": name,
        "fail": fail,
        "kind": repository.kind,
        "selfTest": self_test,
    }
    out.data(found, [f"{name}: the gate is installed" + ("" if self_test else ", not tested")])


@gate.command()
@click.option("--prometheus", is_flag=True, help="Write metrics in Prometheus' text form instead.")
@_run_option
@json_option
def status(out: Output, run: Path, *, prometheus: bool) -> int:
    """Show the age of the list, and when each hook last asked.

    Exit status 1 if a list is missing, frozen or refused, or a hook lets in what the policy wants rejected when gated is
    down.
    """
    with GateClient(run) as client:
        if prometheus:
            text = client.ask("metrics")["text"]
            out.data({"text": text}, text.splitlines())
            return Exit.OK
        found = client.ask("status")
    out.data(found, status_lines(found, out))
    troubled = any(each["policy"] == "closed" for each in found["disagreements"]) or any(
        not source["known"] or source["frozen"] or source["snapshotRefused"]
        for source in found["sources"].values()
    )
    return Exit.FAILED if troubled else Exit.OK


@gate.command()
@_NAME
@click.option("--bug", type=int, metavar="N", help="What is known of this bug.")
@click.option("--message", metavar="TEXT", help="What would become of a commit with this message.")
@click.option(
    "--message-file",
    type=click.File("rb"),
    help="The same, with the message in a file (- for standard input).",
)
@click.option("--ref", default="refs/heads/main", show_default=True, help="Where it would land.")
@_run_option
@json_option
def explain(
    out: Output, name: str, bug: int | None, message: str | None, message_file: Any, ref: str, run: Path
) -> None:
    """Explain what the gate knows of a bug, or what it makes of a commit message. Nothing is counted."""
    if message_file is not None:
        message = message_file.read(1_048_576).decode("latin-1")
    if (bug is None) == (message is None):
        raise UsageError("explain: expected one of --bug, --message and --message-file")
    with GateClient(run) as client:
        found = client.ask("explain", repository=name, bug=bug, message=message, ref=ref)
    lines = []
    for each in found["bugs"]:
        record = each["record"]
        known = (
            "nothing is known of it: it lands like any other"
            if record is None
            else f"{record['reason']}, {'blocked' if record['blocked'] else 'not blocked'}"
            f"{', closed' if record['closed'] else ''}, uplift: {' '.join(record['uplift']) or 'none'}"
        )
        lines.append(
            f"bug {each['bug']}: {known}{'; an override lets it pass' if each['overridden'] else ''}"
        )
    if message is not None:
        lines += [f"verdict: {found['outcome']}", *found["text"].splitlines()]
    age = found["ageS"]
    lines.append(f"the list is {'of unknown age' if age is None else f'{age:.0f} s old'}")
    out.data(found, lines)


@gate.command()
@_NAME
@click.argument("path", type=_FOLDER)
@click.option("--range", "wanted", metavar="RANGE", help="A git range or a Mercurial revset to replay.")
@click.option("--ref", default="refs/heads/main", show_default=True, help="As if it landed there.")
@click.option("--policy", type=click.File("r"), help="By this policy file, not by the one in force.")
@click.option(
    "--audit", is_flag=True, help="All that came since the last audit: report what slipped through."
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 3_600),
    default=0.0,
    show_default=True,
    help="Seconds for which an audit waits for a list that is new enough.",
)
@_run_option
@json_option
def replay(
    out: Output,
    name: str,
    path: Path,
    wanted: str | None,
    ref: str,
    policy: Any,
    run: Path,
    *,
    audit: bool,
    wait: float,
) -> int:
    """Judge commits that are in the repository at PATH already, by what is known now.

    With --range: what the rules would have rejected, to try a policy. With --audit: heads that moved since the last audit,
    whether a hook asked or not; exit status 1 if something slipped through. Without a list that feedd confirmed since gated
    started, nothing is audited and no head is remembered: exit status 6.
    """
    if audit == (wanted is not None):
        raise UsageError("replay: expected one of --range and --audit")
    repository = GateRepository.at(path)
    with GateClient(run) as client:
        if wanted is not None:
            text = policy.read() if policy is not None else None
            found = replay_repository(client, repository, name, wanted, ref, text)
            worst: int = Exit.OK
        else:
            found = audit_repository(client, repository, name, wait)
            worst = Exit.FAILED if found["slipped"] or found["lost"] else Exit.OK
    shown = found["slipped"] if audit else found["findings"]
    lines = [
        f"{each['revision'][:12]} bug {each['bug']}: {each['rule']} ({each['severity']}"
        + (f", {each['relaxed']})" if each["relaxed"] else ")")
        for each in shown
    ]
    lines.append(found["summary"])
    out.data(found, lines)
    return worst


@gate.command()
@click.option("--source", metavar="NAME", help="The feed's name; the default one if left out.")
@click.option(
    "--accept-drop", is_flag=True, help="Take a list that drops more than half of the sensitive bugs."
)
@_run_option
@json_option
def resync(out: Output, source: str | None, run: Path, *, accept_drop: bool) -> None:
    """Have the whole list sent again."""
    with GateClient(run) as client:
        found = client.ask("resync", source=source, accept_drop=accept_drop)
    told = "asked for it" if found["feedConnected"] else "feedd is not connected: it is asked when it comes"
    out.data(found, [f"{found['source']}: {told}"])


@gate.command()
@click.argument("bug", type=click.IntRange(1))
@click.option("--reason", required=True, help="Why; it is written down.")
@click.option("--hours", type=click.FloatRange(0, 720, min_open=True), default=4.0, show_default=True)
@click.option("--repository", metavar="NAME", help="In this repository alone.")
@click.option("--source", metavar="NAME", help="The feed's name; the repository's one if left out.")
@click.option(
    "--revoke", is_flag=True, help="End what lets the bug pass: in --repository alone, or everywhere."
)
@_run_option
@json_option
def override(
    out: Output,
    bug: int,
    reason: str,
    hours: float,
    repository: str | None,
    source: str | None,
    run: Path,
    *,
    revoke: bool,
) -> None:
    """Let commits that name BUG pass for some hours, whatever the rules say. It is written down with who did it."""
    with GateClient(run) as client:
        found = client.ask(
            "override",
            bug=bug,
            reason=reason,
            seconds=max(1, round(hours * 3600)),
            repository=repository,
            source=source,
            revoke=revoke,
            sudo=os.environ.get("SUDO_USER"),
        )
    if revoke:
        out.data(found, [f"bug {bug}: {found['revoked']} overrides ended"])
    else:
        out.data(found, [f"bug {bug} passes for {hours:g} hours, by {printable(found['override']['by'])}"])
