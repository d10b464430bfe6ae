"""`liftlock config export` and `import`: what a server has, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.config_live import read_live
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output
from liftlock.domain.configuration.exported import exported
from liftlock.domain.configuration.resources import Kind, Resources

_HERE: tuple[Kind, ...] = ("Role", "Client", "Hook", "Project", "WorkerPool", "ActionPolicy")
_ANYWHERE: tuple[Kind, ...] = ("Role", "Client", "Hook", "WorkerPool")
_NEW_FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
_NAME = click.option("--name", default="exported", show_default=True, help="The configuration's name.")


@click.command()
@_NEW_FOLDER
@_NAME
@api_command
def export(api: Api, out: Output, folder: Path, name: str) -> None:
    """Write what the server has as files into the new FOLDER. Secrets are left out."""
    _write(out, read_live(api, _HERE), folder, name)


@click.command(name="import")
@_NEW_FOLDER
@_NAME
@api_command
def import_(api: Api, out: Output, folder: Path, name: str) -> None:
    """Write what a Taskcluster-compatible deployment has as files into the new FOLDER.

    TASKCLUSTER_ROOT_URL names it. Roles, clients, hooks and worker pools are read; pools of other providers lose
    their settings. Credentials are needed only for what it does not show to everybody.
    """
    _write(out, read_live(api, _ANYWHERE, foreign=True), folder, name)


def _write(out: Output, live: Resources, folder: Path, name: str) -> None:
    """Write the files; raises UsageError if the folder exists and is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: expected a new folder, or an empty one")
    folder.mkdir(parents=True, exist_ok=True)
    documents: dict[str, Any] = exported(live, name)
    for file, document in documents.items():
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
        (folder / file).write_text(text, encoding="utf-8")
    out.data({"files": sorted(documents), "resources": len(live)}, [f"{len(live)} resources in {folder}"])
