"""A package from the request to the index, with every real part: sandbox, keys, signatures, privileged worker, pypiserver."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from operations_world import Repository, operations_world

pytestmark = pytest.mark.process


def as_it_is(document: dict[str, Any], repository: Repository) -> None:
    pass


def test_a_package_is_built_approved_published_and_installs(tmp_path: Path) -> None:
    with operations_world("gadget", as_it_is) as world:
        world.seal("publish-gadget", "index-token", "canary-index-token-5f1c")
        robin = world.person("robin", "liftlock:request:publish-gadget", "liftlock:approve:publish-gadget")
        morgan = world.person("morgan", "liftlock:approve:publish-gadget")
        asked = world.ask(robin, "publish-gadget", {"version": "1.0.0"})
        waiting = world.wait(asked, "waiting")
        assert [each["path"] for each in waiting["frozen"]["stage1"]["files"]] == [
            "dist/gadget-1.0.0-py3-none-any.whl",
            "dist/gadget-1.0.0.tar.gz",
        ]
        world.approve(morgan, "morgan", waiting)
        done = world.wait(asked, "done")
        assert world.result(done)["verdict"] == "performed"
        subprocess.run(["/usr/bin/python3", "-m", "venv", tmp_path / "venv"], check=True)
        pip = [tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--index-url", f"{world.index}/simple/", "gadget==1.0.0"], check=True)
        told = [tmp_path / "venv/bin/python", "-c", "import gadget; print(gadget.bells(12, 30))"]
        assert subprocess.run(told, check=True, capture_output=True, text=True).stdout == "1\n"
