"""Make a git checkout from a bundle, and verify it. Runs inside a sandbox: no network, no configuration but ours.

Input: `/run/liftlock/plan.json`. Output: one line of JSON with the problem or null.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

PLAN = "/run/liftlock/plan.json"
BASE = "/build"
ENV = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - inside the sandbox
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_LFS_SKIP_SMUDGE": "1",
}


class GitError(Exception):
    """A git command failed; the text is what it said."""


def main() -> None:
    """Do it; print {"problem": text or null}."""
    with open(PLAN, encoding="utf-8") as file:
        plan = json.load(file)
    problem = None
    try:
        checkout(f"{BASE}/{plan['path']}", plan["bundle"], plan["revision"], plan["origin"], plan["branch"])
    except GitError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or 'git'}: {error.strerror}"
    json.dump({"problem": problem}, sys.stdout)


def checkout(target: str, bundle: str, revision: str, origin: str, branch: str | None) -> None:
    """Make the checkout or raise GitError."""
    if os.path.realpath(target) != target:
        raise GitError(f"{target} leads through a link")
    if os.path.isdir(target) and os.listdir(target):
        raise GitError(f"{target} is not empty")
    os.makedirs(target, exist_ok=True)
    with open(bundle, "rb") as file:
        if file.read(2) == b"HG":
            raise GitError("it is a Mercurial repository: expected an input `hg`")
    algorithm = "sha256" if len(revision) == 64 else "sha1"
    git(
        None,
        "init",
        "--quiet",
        "--template=",
        "--initial-branch=main",
        f"--object-format={algorithm}",
        target,
    )
    git(target, "config", "remote.origin.url", origin)
    git(target, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    git(target, "bundle", "unbundle", bundle)
    if git(target, "cat-file", "-t", revision) != "commit":
        raise GitError(f"{revision} is no commit")
    if branch is None:
        git(target, "checkout", "--quiet", "--force", "--detach", revision)
    else:
        git(target, "update-ref", f"refs/remotes/origin/{branch}", revision)
        git(target, "checkout", "--quiet", "--force", "--no-track", "-B", branch, revision)
    head = git(target, "rev-parse", "--verify", "HEAD^{commit}")
    if head != revision:
        raise GitError(f"HEAD is {head}, expected {revision}")
    git(target, "fsck", "--full", "--no-dangling", "--no-progress")


def git(directory: str | None, *arguments: str) -> str:
    """Return what git printed, stripped; or raise GitError."""
    place = [] if directory is None else ["-C", directory]
    done = subprocess.run(
        ["git", *place, *arguments], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
        raise GitError(f"git {arguments[0]}: {words}")
    return done.stdout.decode(errors="replace").strip()


if __name__ == "__main__":
    main()
