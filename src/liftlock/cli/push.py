"""`liftlock push`: the push log, doorbells, and consent to what a push brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.gate_install import HOOKS, install_mercurial_ring
from liftlock.cli.output import Output, printable
from liftlock.cli.post_receive import install

_PROJECT = click.argument("project", metavar="PROJECT")
_MAX_SUBJECT = 60


@click.group()
def push() -> None:
    """See pushes, and tell liftlock of them."""


@push.command()
@_PROJECT
@click.option("--branch", metavar="NAME", help="Pushes to this branch only.")
@click.option("--revision", metavar="SHA", help="Pushes that brought this revision.")
@click.option("--after", type=int, metavar="ID", help="Pushes with a greater number.")
@click.option("--before", type=int, metavar="ID", help="Pushes with a smaller number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@api_command
def ls(
    api: Api,
    out: Output,
    project: str,
    branch: str | None,
    revision: str | None,
    after: int | None,
    before: int | None,
    limit: int,
) -> None:
    """List the pushes of PROJECT, the newest first."""
    wanted = {"branch": branch, "revision": revision, "afterId": after, "beforeId": before, "limit": limit}
    query = {name: str(value) for name, value in wanted.items() if value is not None}
    found = api.get("pushes", "project", project, "pushes", query=query)["pushes"]
    rows = [
        [
            str(each["id"]),
            each["branch"],
            each["revision"][:12],
            each["owner"]
            + ("" if each["ownerStanding"] == "authenticated" else f" ({each['ownerStanding']})"),
            each["decision"]["state"],
            each["taskId"] or "-",
            each["message"].partition("\n")[0][:_MAX_SUBJECT],
        ]
        for each in found
    ]
    out.data(found, out.table(["id", "branch", "revision", "owner", "decision", "task", "subject"], rows))


@push.command()
@_PROJECT
@click.argument("number", type=int, metavar="ID")
@api_command
def show(api: Api, out: Output, project: str, number: int) -> int:
    """Show one push of PROJECT. Exit status 1 if its decision task could not be started."""
    found = api.get("pushes", "project", project, "push", str(number))
    shown = {key: value for key, value in found.items() if key not in ("decision", "alerts", "message")}
    decision = found["decision"]
    failed = decision["state"] == "failed"
    out.data(
        found,
        [
            *(f"{key}: {printable(str(value))}" for key, value in shown.items()),
            out.styled(
                f"decision: {decision['state']} {decision['text']}".rstrip(), "red" if failed else "bold"
            ),
            *(out.styled(f"alert: {alert}", "yellow") for alert in found["alerts"]),
            "",
            *(f"    {printable(line)}" for line in found["message"].splitlines()),
        ],
    )
    return Exit.FAILED if failed else Exit.OK


@push.command()
@_PROJECT
@click.argument("number", type=int, metavar="ID")
@api_command
def retry(api: Api, out: Output, project: str, number: int) -> None:
    """Decide a push of PROJECT again whose decision failed, after its role was given what it lacked, say."""
    found = api.post("pushes", "project", project, "push", str(number), "retry")
    out.data(found, [f"push {number} of {project} is decided again"])


@push.command()
@_PROJECT
@click.option(
    "--claim",
    "claims",
    nargs=3,
    multiple=True,
    metavar="BRANCH REVISION PUSHER",
    help="Who pushed what. Counts as authenticated with pushes:vouch-pusher:PROJECT.",
)
@api_command
def notify(api: Api, out: Output, project: str, claims: tuple[tuple[str, str, str], ...]) -> None:
    """Ring: tell liftlock that PROJECT may have moved. It looks for itself."""
    said = [{"branch": branch, "revision": revision, "pusher": pusher} for branch, revision, pusher in claims]
    api.post("pushes", "doorbell", project, payload={"claims": said})
    out.data({"project": project, "rung": True}, [f"rang for {project}"])


@push.command("install-hook")
@_PROJECT
@click.argument("repository", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--force", is_flag=True, help="Replace a post-receive hook that is not liftlock's.")
@click.option(
    "--hooks-dir",
    type=click.Path(path_type=Path),
    default=HOOKS,
    show_default=True,
    help="Where hooks of Mercurial repositories are kept: not writable by pushers.",
)
@api_command
def install_hook(
    api: Api, out: Output, project: str, repository: Path, hooks_dir: Path, *, force: bool
) -> None:
    """Make pushes to the git or Mercurial REPOSITORY on this machine ring for PROJECT.

    The hook holds no credentials. It leaves each ring in liftlock's drop box, if that is on this machine, and rings by
    HTTP (git alone); it never delays or fails a push.
    """
    drop_box = api.get("pushes", "project", project).get("dropBox")
    usable = drop_box if drop_box is not None and Path(drop_box).is_dir() else None
    if (repository / ".hg").is_dir():
        path = install_mercurial_ring(repository, project, usable, hooks_dir)
    else:
        path = install(repository, api.url("pushes", "doorbell", project), project, usable, force=force)
    if usable is None:
        out.progress(
            "liftlock's drop box is not on this machine: rings go by HTTP alone, and the poll finds the rest"
        )
    out.data({"hook": str(path), "dropBox": usable}, [f"installed {path}"])


@push.command()
@api_command
def waiting(api: Api, out: Output) -> None:
    """List contents of .taskcluster.yml that wait for consent, or lost it by a stricter policy."""
    found = api.get("pushes", "admissions")["admissions"]
    rows = [
        [
            each["trustDomain"],
            str(each["level"]),
            each["permission"],
            each["state"],
            each["digest"],
            each["at"],
        ]
        for each in found
    ]
    out.data(found, out.table(["trust domain", "level", "permission", "state", "digest", "since"], rows))


@push.command()
@click.argument("digest", metavar="SHA256")
@click.option("--trust-domain", required=True, metavar="NAME")
@click.option("--level", required=True, type=click.IntRange(1, 3))
@click.option("--permission", required=True, metavar="NAME")
@api_command
def admit(api: Api, out: Output, digest: str, trust_domain: str, level: int, permission: str) -> None:
    """Let the content of .taskcluster.yml with this full SHA256 take effect for actions of a permission.

    You need pushes:admit-hooks:LEVEL:PERMISSION, and you must not be who pushed it.
    """
    payload: dict[str, Any] = {
        "digest": digest,
        "trustDomain": trust_domain,
        "level": level,
        "permission": permission,
    }
    found = api.post("pushes", "admissions", payload=payload)
    out.data(found, [f"{digest} is admitted for {permission} at level {level}, by {printable(found['by'])}"])
