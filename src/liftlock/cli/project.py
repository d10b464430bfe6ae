"""`liftlock project`: register repositories, and see how fetching from them goes."""

from __future__ import annotations

from typing import Any

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.output import Output, printable

_PROJECT = click.argument("name", metavar="PROJECT")


@click.group()
def project() -> None:
    """Register repositories."""


@project.command()
@_PROJECT
@click.option(
    "--identity", required=True, metavar="URL", help="https://HOST/PATH: names the repository in roles."
)
@click.option(
    "--fetch", required=True, metavar="ADDRESS", help="Path or URL that its objects are fetched from."
)
@click.option(
    "--level", required=True, type=click.IntRange(1, 3), help="1: tries, 2: a project, 3: releases."
)
@click.option(
    "--branch",
    "branches",
    multiple=True,
    default=["main"],
    show_default=True,
    help="A branch, or a prefix and *.",
)
@click.option("--trust-domain", required=True, metavar="NAME", help="Which action hooks it shares.")
@click.option("--vcs", type=click.Choice(["git", "hg"]), default="git", show_default=True)
@click.option("--decide-existing", is_flag=True, help="Decide the branches that are there already.")
@api_command
def register(
    api: Api,
    out: Output,
    name: str,
    identity: str,
    fetch: str,
    level: int,
    branches: tuple[str, ...],
    trust_domain: str,
    vcs: str,
    *,
    decide_existing: bool,
) -> None:
    """Register a repository as PROJECT. It is fetched at once.

    You need pushes:manage-project:PROJECT, and the repository's roles: assume:repo:HOST/PATH:*.
    """
    payload = {
        "identityUrl": identity,
        "fetchUrl": fetch,
        "vcs": vcs,
        "level": level,
        "branches": list(branches),
        "trustDomain": trust_domain,
        "decideExisting": decide_existing,
    }
    made = api.put("pushes", "project", name, payload=payload)
    out.data(made, [f"{name} is registered; its pushes run with roles {_role(made)}:branch:BRANCH"])


project.add_command(register, "add")


@project.command()
@api_command
def ls(api: Api, out: Output) -> None:
    """List the projects."""
    found = api.get("pushes", "projects")["projects"]
    rows = [
        [
            each["project"],
            str(each["level"]),
            each["trustDomain"],
            ", ".join(each["branches"]),
            each["identityUrl"],
        ]
        for each in found
    ]
    out.data(found, out.table(["project", "level", "trust domain", "branches", "identity"], rows))


@project.command()
@_PROJECT
@api_command
def show(api: Api, out: Output, name: str) -> None:
    """Show PROJECT, and what its last fetch said."""
    found = api.get("pushes", "project", name)
    look = found["lastLook"]
    out.data(
        found,
        [
            *(f"{key}: {printable(str(value))}" for key, value in found.items() if key != "lastLook"),
            f"last looked at: {look['at'] or 'never'}",
            *([out.styled(f"  {look['error']}", "red")] if look["error"] else []),
        ],
    )


@project.command()
@_PROJECT
@api_command
def rm(api: Api, out: Output, name: str) -> None:
    """Remove PROJECT; its push log stays."""
    api.delete("pushes", "project", name)
    out.data({"project": name, "removed": True}, [f"{name} is removed"])


def _role(made: dict[str, Any]) -> str:
    return "repo:" + str(made["identityUrl"]).removeprefix("https://")
