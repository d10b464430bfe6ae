"""The demo's git repositories: a bare one that people push to, and the developer's clone of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from liftlock.cli.failures import UsageError
from liftlock.processes.demo.report import DifferenceError

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "artifacts", "dist", ".ruff_cache")


@dataclass(frozen=True, slots=True)
class Repository:
    """`bare`: where liftlock fetches from; `clone`: where the developer works; `author`: `name <e-mail>`."""

    bare: Path
    clone: Path
    home: Path
    author: str
    email: str

    def create(self, example: Path, *, needs: str = ".taskcluster.yml") -> None:
        """Make both, the clone with the example's content, not yet committed."""
        if not (example / needs).is_file():
            raise UsageError(
                f"{example}: the example project is not there; run the demo from a checkout of liftlock"
            )
        self._git(self.home, "init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        shutil.copytree(example, self.clone, ignore=_LEFT_OUT)
        self._git(self.clone, "init", "--quiet", "--initial-branch=main")
        self._git(self.clone, "remote", "add", "origin", str(self.bare))

    def commit(self, message: str) -> str:
        """Commit everything in the clone; return the revision."""
        self._git(self.clone, "add", "--all")
        self._git(self.clone, "commit", "--quiet", "--message", message)
        return self._git(self.clone, "rev-parse", "HEAD")

    def push(self) -> str:
        """Push main; return what git and the repository's hooks said."""
        return self._git(self.clone, "push", "origin", "main")

    def _git(self, where: Path, *arguments: str) -> str:
        """Run git without anybody's configuration; return its output, both streams.

        Raises:
            DifferenceError: it ended with an error.
        """
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", self.author), ("EMAIL", self.email))
        }
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        done = subprocess.run(
            ["git", *arguments],
            cwd=where,
            env={
                **kept,
                **who,
                "HOME": str(self.home),
                "GIT_CONFIG_NOSYSTEM": "1",
                "LOGNAME": self.author.lower(),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o022,
            check=False,
        )
        if done.returncode:
            raise DifferenceError(f"git {arguments[0]} ended with {done.returncode}: {done.stdout.strip()}")
        return done.stdout.strip()
