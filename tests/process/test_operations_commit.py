"""Files become commits, with every real part: the formatter in the sandbox, the comparison, the plumbing, the push."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from operations_world import Repository, operations_world

pytestmark = pytest.mark.process


def pushed_here(document: dict[str, Any], repository: Repository) -> None:
    """Let the privileged worker push to the repository, whoever it runs as."""
    for each in document["operations"].values():
        each["stage2"]["settings"]["address"] = str(repository.bare)
    for folder, _, files in os.walk(repository.bare):
        os.chmod(folder, 0o777)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o666)


def test_a_branch_is_formatted_by_compare_and_swap_and_main_never() -> None:
    with operations_world("format", pushed_here, index=False, people=("robin",)) as world:
        world.repository.git("checkout", "--quiet", "-b", "feature")
        head = world.repository.commit("A feature", {"src/knots/more.py": "x = [ 1,2 ]\n"})
        pushed_here({"operations": {}}, world.repository)
        robin = world.person("robin", "liftlock:request:format")
        done = world.wait(world.ask(robin, "format", {}, "feature"), "done")
        facts = world.result(done)["facts"]
        assert facts["changed"] == ["src/knots/more.py"]
        world.repository.git("fetch", "--quiet")
        log = world.repository.git("log", "--format=%H %P", "-1", "origin/feature")
        assert log == f"{facts['commit']} {head}"
        assert world.repository.git("show", "origin/feature:src/knots/more.py") == "x = [1, 2]"
        shown = subprocess.run(
            ["git", "-C", world.repository.bare, "fsck", "--strict"], capture_output=True, check=True
        )
        assert b"error" not in shown.stderr
        main = world.ask(robin, "format", {}, "main")
        failed = world.wait(main, "failed")
        assert world.result(failed)["rule"] == "protected"
