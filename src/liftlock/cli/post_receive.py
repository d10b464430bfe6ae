"""The post-receive hook of a git repository: rings and gets out of the way.

It runs as whoever pushes, with that user's rights, so it holds no secret and is believed in nothing.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Final

from liftlock.cli.failures import UsageError

MARK: Final = "# liftlock: rings for a project; see `liftlock push install-hook`"


def script(url: str, project: str, drop_box: str | None) -> str:
    """Return the hook's text for a doorbell at `url`."""
    template = (resources.files("liftlock.cli") / "post_receive_stub.py").read_text(encoding="utf-8")
    values = {"URL": url, "PROJECT": project, "DROP_BOX": drop_box or ""}
    for name, value in values.items():
        template = template.replace(f'{name} = ""  # set by install-hook', f"{name} = {value!r}")
    return f"#!/usr/bin/python3 -SI\n{MARK}\n{template}"


def install(repository: Path, url: str, project: str, drop_box: str | None, *, force: bool) -> Path:
    """Write the hook into the repository as a whole and return its path.

    Raises:
        UsageError: that is no git repository, or has a post-receive hook of somebody else's.
    """
    folder = repository / ".git" if (repository / ".git").is_dir() else repository
    if not (folder / "objects").is_dir():
        raise UsageError(f"{repository}: expected a git repository")
    path = folder / "hooks" / "post-receive"
    if path.exists() and not force and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(
            f"{path} exists and is not liftlock's: call it from one script, or replace it with --force"
        )
    path.parent.mkdir(exist_ok=True)
    staged = path.with_name(f"post-receive.{os.getpid()}")
    staged.write_text(script(url, project, drop_box), encoding="utf-8")
    staged.chmod(0o755)
    staged.replace(path)
    return path
