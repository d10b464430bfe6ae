"""A real bare repository and a working copy that pushes to it."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str, **environment: str) -> str:
    """Run git as Robin without anybody's configuration, and return what it said."""
    done = subprocess.run(
        ["git", "-c", "user.name=Robin", "-c", "user.email=robin@example.org", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return (done.stdout + done.stderr).strip()


def new_source(folder: Path) -> Path:
    """Make `widget.git` below `folder`, and return a working copy beside it whose origin it is."""
    work = folder / "work"
    work.mkdir()
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "widget.git")
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "remote", "add", "origin", str(folder / "widget.git"))
    return work


def commit(work: Path, content: str) -> str:
    """Commit `content` as .taskcluster.yml, and return the revision."""
    (work / ".taskcluster.yml").write_text(content)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--allow-empty", "-m", "Subject\x1b[31m\n\nBody")
    return git(work, "rev-parse", "HEAD")
