"""Make a Mercurial checkout from a bundle, and verify it. Runs inside a sandbox: no network, no configuration but ours.

Input: `/run/liftlock/plan.json`. Output: one line of JSON with the problem or null. hg itself compares each changeset,
manifest and file with its node when it takes them out of the bundle.

Source: hg help bundlespec, hg help environment (HGRCPATH, HGRCSKIPREPO, HGPLAIN)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

PLAN = "/run/liftlock/plan.json"
BASE = "/build"
HG = "/usr/bin/hg"
ENV = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - inside the sandbox
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "HGRCPATH": "",
    "HGRCSKIPREPO": "1",
    "HGPLAIN": "1",
}
CONFIG = ("ui.interactive=no", "subrepos.allowed=no", "server.validate=yes", "ui.merge=internal:fail")


class HgError(Exception):
    """An hg command failed; the text is what it said."""


def main() -> None:
    """Do it; print {"problem": text or null}."""
    with open(PLAN, encoding="utf-8") as file:
        plan = json.load(file)
    problem = None
    try:
        checkout(f"{BASE}/{plan['path']}", plan["bundle"], plan["revision"], plan["origin"])
    except HgError as error:
        problem = str(error)
    except OSError as error:
        problem = f"{error.filename or 'hg'}: {error.strerror}"
    json.dump({"problem": problem}, sys.stdout)


def checkout(target: str, bundle: str, revision: str, origin: str) -> None:
    """Make the checkout or raise HgError."""
    if not os.access(HG, os.X_OK):
        raise HgError(f"{HG} is missing; sandboxes see /usr only: apt-get install mercurial")
    if os.path.realpath(target) != target:
        raise HgError(f"{target} leads through a link")
    if os.path.isdir(target) and os.listdir(target):
        raise HgError(f"{target} is not empty")
    with open(bundle, "rb") as file:
        if file.read(4) != b"HG20":
            raise HgError("it is no bundle of Mercurial's: expected an input `git` of a git repository")
    os.makedirs(target, exist_ok=True)
    hg(None, "init", target)
    with open(f"{target}/.hg/hgrc", "w", encoding="utf-8") as file:
        file.write(f"[paths]\ndefault = {origin}\n")
    hg(target, "unbundle", "--quiet", bundle)
    hg(target, "update", "--quiet", "--clean", "--rev", revision)
    parents = hg(target, "log", "--rev", "parents()", "--template", "{node} ").split()
    if parents != [revision]:
        raise HgError(f"the parent is {' '.join(parents) or 'none'}, expected {revision}")


def hg(directory: str | None, *arguments: str) -> str:
    """Return what hg printed, stripped; or raise HgError."""
    place = [] if directory is None else ["--cwd", directory]
    options = [part for each in CONFIG for part in ("--config", each)]
    done = subprocess.run(
        [HG, *place, *options, *arguments],
        env=ENV,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
        raise HgError(f"hg {arguments[0]}: {words}")
    return done.stdout.decode(errors="replace").strip()


if __name__ == "__main__":
    main()
