"""Tasks that taskgraph generates for docker-worker, in their images: at home in /builds/worker, with artifacts from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.certified_signer import CertifiedSigner, produced
from oci_images import build, entry, layer, shell_layer
from sandboxes import KINDS
from worker_world import world

pytestmark = pytest.mark.process
IMAGE = "Qt3GMzT0Qq2rIcp0oYl9sA"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_task_of_docker_worker_is_at_home_in_its_image(tmp_path: Path, kind: str) -> None:
    home = layer(
        entry("builds/worker/bin/tool", b"echo a tool of the image\n", mode=0o755), entry("home/me/x")
    )
    image = build(shell_layer("mkdir"), home, env=["HOME=/builds/worker"], directory="/builds/worker")
    script = (
        "pwd; echo $HOME; sh bin/tool; echo built >artifacts/a.txt; echo log >/home/me/log.txt;"
        " ls checkouts; echo source >checkouts/src; mkdir -p out/deep; echo x >out/deep/x"
    )
    payload: dict[str, Any] = {
        "image": {"type": "task-image", "taskId": IMAGE, "path": "public/image.tar"},
        "command": ["sh", "-ec", script],
        "maxRunTime": 60,
        "env": {"TASKCLUSTER_CACHES": "/builds/worker/checkouts"},
        "cache": {"demo-checkouts": "/builds/worker/checkouts"},
        "artifacts": {
            "public/build": {"type": "directory", "path": "/builds/worker/artifacts/"},
            "public/empty": {"type": "volume", "path": "/builds/worker/nothing"},
            "public/log.txt": {"type": "file", "path": "/home/me/log.txt"},
            "public/out": {"type": "directory", "path": "/builds/worker/out"},
        },
        "features": {"chainOfTrust": True},
    }
    async with world(tmp_path, kind=kind) as worker:
        worker.queue.others = produced(CertifiedSigner(), IMAGE, {"public/image.tar": image.archive()})
        for seen in ("", "src\n"):
            run, outcome = await worker.run(payload, scopes=["docker-worker:cache:demo-checkouts"])
            assert outcome == "completed", worker.queue.log_of(run)
            assert worker.log(run) == f"/builds/worker\n/builds/worker\na tool of the image\n{seen}"
            made = {name: data for (one, name), data in worker.queue.artifacts.items() if one == run}
            assert {name: data for name, data in made.items() if name.startswith("public/build")} == {
                "public/build/a.txt": b"built\n"
            }
            assert (made["public/log.txt"], made["public/out/deep/x"]) == (b"log\n", b"x\n")


async def test_without_an_image_a_directory_of_the_tasks_own_begins_empty(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        script = "ls -A /home /tmp; df -P /tmp /home | wc -l; echo y >/tmp/y; echo x >/home/x"
        files = [{"name": f"public/{name}", "path": path, "type": "file"}
                 for name, path in (("x", "/home/x"), ("y", "/tmp/y"))]  # fmt: skip
        run, outcome = await worker.shell(script, own=["/home", "/tmp"], artifacts=files)
        assert outcome == "completed", worker.queue.log_of(run)
        assert worker.log(run).startswith("/home:\n\n/tmp:\n")
        assert worker.queue.artifacts[run, "public/y"] == b"y\n"
