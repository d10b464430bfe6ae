"""One privileged operation performed by itself: admitted work, a confined parser in this process, real git."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.direct_parser import DirectParser
from fakes.fake_package_index import FakePackageIndex
from liftlock.adapters.git.targets import GitTargets
from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.parsings import PARSINGS
from liftlock.privileged.kinds_installed import installed, parsings_of
from liftlock.privileged.performing import Performed, PrivilegedOperation, Tools, Work
from liftlock.values.secret import Secret
from operation_builders import frozen, operation

INPUT = {
    "type": "object",
    "properties": {"version": {"type": "string"}},
    "required": ["version"],
    "additionalProperties": False,
}


@dataclass(slots=True)
class Bench:
    """A workbench in `folder`: `secrets` by name within the operation; `notes` are what was told."""

    folder: Path
    secrets: dict[str, str] = field(default_factory=dict)
    index: FakePackageIndex = field(default_factory=FakePackageIndex)
    notes: list[str] = field(default_factory=list)

    @property
    def tools(self) -> Tools:
        parser = DirectParser(parsings_of(installed(()), PARSINGS))
        return Tools(parser, self.index, GitTargets(self.folder / "targets"))

    def checked(self, kind: str, settings: dict[str, Any], **changes: Any) -> tuple[PrivilegedOperation, Any]:
        """Return the kind and an operation of it, checked as at the start."""
        stage2 = {"kind": kind, "settings": settings, "secrets": {name: name for name in self.secrets}}
        made = operation(**({"input": INPUT, "stage2": stage2} | changes))
        one = installed(())[kind]
        one.check(made)
        return one, made

    async def perform(
        self,
        kind: str,
        settings: dict[str, Any],
        files: Mapping[str, bytes],
        request: FrozenRequest | None = None,
        **changes: Any,
    ) -> Performed:
        """Perform the operation on these files."""
        one, made = self.checked(kind, settings, **changes)
        work = Work(
            request or frozen(), made, files, lambda name: Secret(self.secrets[name]), self.notes.append
        )
        return await one.perform(work, self.tools)


@dataclass(slots=True)
class Bare:
    """A bare repository that is pushed to, and a clone in which history is made."""

    folder: Path

    @property
    def address(self) -> str:
        return str(self.folder / "bare.git")

    @classmethod
    def make(cls, folder: Path) -> Bare:
        made = cls(folder)
        folder.mkdir()
        made.git("init", "--quiet", "--bare", "-b", "main", made.address, where=folder)
        made.git("init", "--quiet", "-b", "main", str(folder / "clone"), where=folder)
        made.git("remote", "add", "origin", made.address)
        return made

    def git(self, *arguments: str, where: Path | None = None) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=Robin", "-c", "user.email=robin@example.org", *arguments],
            cwd=where or self.folder / "clone",
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, text: str, branch: str = "main", files: Mapping[str, str] | None = None) -> str:
        """Add a commit and push it as `branch`; return its id."""
        for path, content in {"text": text, **(files or {})}.items():
            target = self.folder / "clone" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", text)
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def at(self, reference: str) -> str | None:
        """Return where the reference points in the bare repository."""
        listed = self.git("ls-remote", self.address, reference)
        return listed.split("\t")[0] or None
