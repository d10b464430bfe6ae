"""Copy files into the scratch, making parents, never through a link. Runs inside a sandbox.

Input: `/run/liftlock/plan.json`, a list of [source, path relative to /build, executable]. Output: one line of JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys

PLAN = "/run/liftlock/plan.json"
BASE = "/build"


def main() -> None:
    """Do it; print {"problem": text or null}."""
    with open(PLAN, encoding="utf-8") as file:
        plan = json.load(file)
    problem = None
    for source, path, executable in plan:
        try:
            problem = place(source, path, 0o755 if executable else 0o644)
        except OSError as error:
            problem = f"{path}: {error.strerror}"
        if problem is not None:
            break
    json.dump({"problem": problem}, sys.stdout)


def place(source: str, path: str, mode: int) -> str | None:
    """Copy one file; return a problem or None."""
    target = f"{BASE}/{path}"
    parent = BASE
    for name in path.split("/")[:-1]:
        parent = f"{parent}/{name}"
        try:
            kind = os.lstat(parent).st_mode
        except FileNotFoundError:
            os.mkdir(parent, 0o755)
            continue
        if not stat.S_ISDIR(kind):
            return f"{path}: {parent} is not a directory (a link is never followed)"
    if os.path.lexists(target):
        if os.path.isdir(target) and not os.path.islink(target):
            return f"{path}: a directory is in its place"
        os.unlink(target)
    with open(source, "rb") as reading, open(target, "xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
    os.chmod(target, mode)
    return None


if __name__ == "__main__":
    main()
