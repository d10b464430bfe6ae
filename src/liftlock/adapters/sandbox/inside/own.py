"""Copy directories of an image into the scratch, as the task's own. Runs inside a sandbox.

Input: `/run/liftlock/plan.json`: {names, sources: name → directory, made: directories below .root}. Output: one line of
JSON. Links are copied as links, and none is followed or written through.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from typing import Any

PLAN = "/run/liftlock/plan.json"
BASE = "/build/.root"


def main() -> None:
    """Do it; print {"problem": text or null}."""
    with open(PLAN, encoding="utf-8") as file:
        plan = json.load(file)
    try:
        problem = make(plan)
    except shutil.Error as error:
        source, _, why = error.args[0][0]
        problem = f"{source}: {why}"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
    json.dump({"problem": problem}, sys.stdout)


def make(plan: Any) -> str | None:
    """Make and fill the directories; return a problem or None."""
    os.mkdir(BASE, 0o755)
    for name in plan["names"]:
        target = f"{BASE}/{name}"
        if name in plan["sources"]:
            shutil.copytree(plan["sources"][name], target, symlinks=True)
        else:
            os.mkdir(target, 0o755)
    for root, directories, files in os.walk(BASE):
        for path in (f"{root}/{name}" for name in (*directories, *files)):
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode):
                os.chmod(path, stat.S_IMODE(mode) | (0o700 if stat.S_ISDIR(mode) else 0o600))
    for path in plan["made"]:
        problem = directory(path)
        if problem is not None:
            return problem
    return None


def directory(path: str) -> str | None:
    """Make a directory with its parents, never through a link; return a problem or None."""
    place = BASE
    for name in path.split("/"):
        place = f"{place}/{name}"
        try:
            kind = os.lstat(place).st_mode
        except FileNotFoundError:
            os.mkdir(place, 0o755)
            continue
        if not stat.S_ISDIR(kind):
            return f"/{path}: {place.removeprefix(BASE)} is not a directory (a link is never followed)"
    return None


if __name__ == "__main__":
    main()
