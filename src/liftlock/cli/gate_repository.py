"""A repository on this machine as the gate's commands see it: git or Mercurial, its heads and its history."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from liftlock.cli.failures import UsageError

TIMEOUT_S: Final = 600
MAX_KNOWN: Final = 1_000
"""Known heads in one of Mercurial's revsets: one argument may have 128 KiB."""
_FORM: Final = r"{node}\0{p2.node}\0{branch}\0{desc}\0\1"
_NONE: Final = "0" * 40


@dataclass(frozen=True, slots=True)
class GateRepository:
    """`folder`: where the objects are (`.git` itself, or the folder that holds `.hg`)."""

    folder: Path
    kind: Literal["git", "mercurial"]

    @classmethod
    def at(cls, path: Path) -> GateRepository:
        """Return the repository at `path`; raises UsageError if there is none."""
        path = path.resolve()
        if (path / ".hg").is_dir():
            return cls(path, "mercurial")
        for folder in (path / ".git", path):
            if (folder / "objects").is_dir() and (folder / "HEAD").exists():
                return cls(folder, "git")
        raise UsageError(f"{path}: expected a git or Mercurial repository")

    def run(self, arguments: Sequence[str], *, given: bytes | None = None) -> bytes:
        """Return what git or hg wrote; raises UsageError with what it complained of.

        Run by root it runs as the repository's owner: what the repository's settings bring about happens as that user.
        """
        owner = self.as_owner()
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": os.environ.get("HOME", "/nonexistent") if not owner else "/nonexistent",
            "LC_ALL": "C",
            "HGPLAIN": "1",
            "HGENCODING": "utf-8",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }
        command = (
            ["git", f"--git-dir={self.folder}", *arguments]
            if self.kind == "git"
            else ["hg", "--repository", str(self.folder), *arguments]
        )
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command,
            input=given,
            capture_output=True,
            env=environment,
            cwd="/",
            timeout=TIMEOUT_S,
            check=False,
            **owner,
        )
        if done.returncode:
            raise UsageError(
                f"{self.folder}: {command[0]} {arguments[0]}: {done.stderr.decode('utf-8', 'replace').strip()[:500]}"
            )
        return done.stdout

    def as_owner(self) -> dict[str, Any]:
        """Return what makes root start a program as the repository's owner; nothing for anybody else."""
        if os.geteuid() != 0:
            return {}
        owner = self.folder.stat()
        return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}

    def heads(self) -> dict[str, str]:
        """Return ref to revision; a Mercurial head is called by its branch and its revision."""
        if self.kind == "git":
            lines = self.run(["for-each-ref", "--format=%(objectname) %(refname)"]).decode("utf-8", "replace")
            return {name: revision for revision, name in (line.split(" ", 1) for line in lines.splitlines())}
        lines = self.run(["log", "-r", "head()", "-T", "{node} {branch}\n"]).decode("utf-8", "replace")
        return {
            f"{branch}@{node}": node for node, branch in (line.split(" ", 1) for line in lines.splitlines())
        }

    def commits(self, wanted: str, without: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
        """Yield the commits of `wanted` (a revision or a range) that none of `without` has, as gated takes them."""
        if self.kind == "git":
            yield from self._git_commits(wanted, self._present(without))
        else:
            yield from self._changesets(wanted, without)

    def _present(self, revisions: Iterable[str]) -> list[str]:
        """Return those that the repository still has: one program for all of them."""
        asked = list(revisions)
        answers = self.run(
            ["cat-file", "--batch-check"], given="".join(f"{each}\n" for each in asked).encode()
        )
        return [
            each
            for each, answer in zip(asked, answers.splitlines(), strict=True)
            if not answer.endswith(b" missing")
        ]

    def _git_commits(self, wanted: str, without: Sequence[str]) -> Iterator[dict[str, Any]]:
        # The known heads go by standard input: a command line has no room for thousands.
        given = "".join(f"^{each}\n" for each in without).encode()
        listed = self.run(["rev-list", "--stdin", "--end-of-options", wanted, "--"], given=given)
        data, at = self.run(["cat-file", "--batch", "--buffer"], given=listed), 0
        while at < len(data):
            line = data.index(b"\n", at)
            name, _, size = data[at:line].split(b" ")
            content = data[line + 1 : line + 1 + int(size)]
            head, _, message = content.partition(b"\n\n")
            yield {
                "revision": name.decode(),
                "merge": head.count(b"\nparent ") > 1,
                "message": message.decode("latin-1"),
            }
            at = line + 2 + int(size)

    def _changesets(self, wanted: str, without: Iterable[str]) -> Iterator[dict[str, Any]]:
        first, *others = self._revsets(wanted, list(without))
        new = [set(self.run(["log", "-r", each, "-T", "{node}\n"]).split()) for each in others]
        for entry in self.run(["log", "-r", first, "-T", _FORM]).split(b"\0\1")[:-1]:
            node, second, branch, message = entry.split(b"\0", 3)
            if not all(node in each for each in new):
                continue
            yield {
                "revision": node.decode(),
                "merge": second.decode() != _NONE,
                "branch": branch.decode("utf-8", "replace"),
                "message": message.decode("latin-1"),
            }

    def _revsets(self, wanted: str, known: Sequence[str]) -> list[str]:
        """Return revsets whose intersection is what none of `known` has, each short enough for a command line."""
        return [
            f"only({wanted}, {' + '.join(f'present({each})' for each in known[at : at + MAX_KNOWN])})"
            for at in range(0, len(known), MAX_KNOWN)
        ] or [wanted]

    def ref_name(self, head: str) -> str:
        """Return what a head of `heads` is called in the policy."""
        return head if self.kind == "git" else head.rpartition("@")[0]


def moved(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the heads that are new or elsewhere than before."""
    return {name: revision for name, revision in now.items() if before.get(name) != revision}
