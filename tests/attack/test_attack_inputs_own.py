"""A task's own directories at the top of its root: links in them, in their place, or in the image lead nowhere (B5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from liftlock.domain.inputs.policy import PoolPolicy
from oci_images import BuiltImage, build, entry, layer, link, shell_layer
from worker_world import MIB, World, world

pytestmark = pytest.mark.process
SHELL = shell_layer("readlink", "rmdir", "ln")


def artifact(path: str, kind: str = "file", name: str = "public/x") -> dict[str, str]:
    return {"name": name, "path": path, "type": kind}


async def in_image(worker: World, digest: str, script: str, **more: Any) -> tuple[str, str, Any]:
    """Run a script in the image as docker-worker's payloads have it."""
    image = {"layout": "here", "digest": f"sha256:{digest}"}
    run, outcome = await worker.run(
        {"command": ["sh", "-ec", script], "image": image, "home": "image", **more}
    )
    return outcome, worker.log(run), run


def layout(tmp_path: Path, *images: BuiltImage) -> None:
    """Write the images into one layout."""
    made = BuiltImage()
    for image in images:
        made.blobs |= image.blobs
    made.write_layout(tmp_path / "layout")


def policy(directory: Path) -> PoolPolicy:
    return PoolPolicy(layouts={"here": str(directory)})


NO_ARTIFACTS = {
    "ln -s /etc/passwd /data/x": "'/data/x': it is a symbolic link, or leads through one",
    "ln -s /build /data/d; echo >x": "'/data/d/x': it is a symbolic link, or leads through one",
    "ln -s /proc/self/root/etc /data/e": "'/data/e/passwd': it is a symbolic link, or leads through one",
    "mkfifo /data/f": "'/data/f': it is a fifo, not a regular file",
    "mkdir /data/g": "'/data/g': it is a directory, not a regular file",
    "true": "'/data/h': there is no such file",
}


async def test_a_link_in_a_tasks_own_directory_is_no_artifact(tmp_path: Path) -> None:
    said = list(NO_ARTIFACTS.values())
    artifacts = [artifact(one.split("'")[1], name=f"public/{number}") for number, one in enumerate(said)]
    async with world(tmp_path) as worker:
        run, outcome = await worker.shell("; ".join(NO_ARTIFACTS), own=["/data"], artifacts=artifacts)
        assert outcome == "failed"
        assert [worker.queue.errors[run, one["name"]][1] for one in artifacts] == said


async def test_a_tasks_own_directory_can_not_be_replaced_from_inside(tmp_path: Path) -> None:
    """What holds it is not there for the task; what is mounted can't be moved away, by the first command or later."""
    attempts = [
        "rmdir /data || echo no",
        "mv /data /data2 2>/dev/null || echo no",
        "ln -sfn /etc /data 2>/dev/null; test -L /data && echo yes || echo no",
        "ls -A /build/.root | wc -l",
        "rmdir /build/.root 2>/dev/null || echo no",
        "mv /build/.root /build/other 2>/dev/null || echo no",
        "mkdir /build/.root/x 2>/dev/null || echo no",
    ]
    commands = [["sh", "-c", "; ".join(attempts)], ["sh", "-ec", "echo mine >/data/x"]]
    async with world(tmp_path) as worker:
        run, outcome = await worker.run(
            {"command": commands, "own": ["/data"], "artifacts": [artifact("/data/x")]}
        )
        assert outcome == "completed", worker.queue.log_of(run)
        assert [line for line in worker.log(run).splitlines() if "rmdir:" not in line] == [
            "no", "no", "no", "0", "no", "no", "no",
        ]  # fmt: skip
        assert worker.queue.artifacts[run, "public/x"] == b"mine\n"


async def test_what_the_worker_keeps_there_is_no_part_of_build_as_an_artifact(tmp_path: Path) -> None:
    async with world(tmp_path) as worker:
        run, outcome = await worker.shell(
            "echo a >/data/hidden; echo b >shown", own=["/data"], artifacts=[artifact(".", "directory")]
        )
        assert outcome == "completed"
        names = [name for made, name in worker.queue.artifacts if made == run and name.startswith("public/x")]
        assert names == ["public/x/shown"]


async def test_a_cache_in_an_own_directory_is_not_led_elsewhere_by_the_command_before(tmp_path: Path) -> None:
    commands = [["sh", "-ec", "mv /data/p /data/q; ln -s /build /data/p"], ["echo", "ran"]]
    cache = {"name": "c", "mount": "/data/p/c"}
    async with world(tmp_path) as worker:
        made = {"command": commands, "own": ["/data"], "caches": [cache]}
        run, outcome = await worker.run(made, scopes=["worker:cache:c"])
        assert outcome == "worker-shutdown", "it is tried again, and ends so each time"
        assert "a cache cannot be placed at '/data/p/c'" in worker.queue.log_of(run)
        assert "ran" not in worker.log(run)


async def test_links_of_an_image_are_copied_and_never_followed(tmp_path: Path) -> None:
    entries = [
        entry("builds/worker/real", b"of the image"),
        link("builds/worker/passwd", "/etc/passwd"),
        link("builds/worker/up", "../../../../../.."),
    ]
    image = build(SHELL, layer(*entries), directory="/builds/worker")
    layout(tmp_path, image)
    async with world(tmp_path, policy=policy(tmp_path / "layout")) as worker:
        script = "readlink passwd up; cat real; echo more >>real; echo new >/builds/file"
        own = {"own": ["/builds"], "artifacts": [artifact("/builds/worker/passwd")]}
        outcome, said, run = await in_image(worker, image.digest, script, **own)
        assert said == "/etc/passwd\n../../../../../..\nof the image\n"
        assert outcome == "failed", "the artifact is a link"
        assert worker.queue.errors[run, "public/x"][1].endswith("it is a symbolic link, or leads through one")
        outcome, said, _ = await in_image(worker, image.digest, "cat real; ls /builds")
        assert (outcome, said) == ("completed", "of the imageworker\n"), "the image itself was not written to"


async def test_an_image_that_has_a_link_where_the_task_writes_is_refused(tmp_path: Path) -> None:
    out = {"own": ["/builds"], "artifacts": [artifact("/builds/out/a", "directory")]}
    is_no_directory = "/builds is a link or a file in the image"
    tried = [
        ([link("builds", "/inputs")], {"own": ["/builds"]}, is_no_directory),
        ([entry("builds", b"a file")], {"own": ["/builds"]}, is_no_directory),
        (
            [entry("builds/x"), link("builds/out", "/build")],
            out,
            "/builds/out is not a directory (a link is never followed)",
        ),
    ]
    images = [build(SHELL, layer(*entries)) for entries, _, _ in tried]
    layout(tmp_path, *images)
    async with world(tmp_path, policy=policy(tmp_path / "layout")) as worker:
        for image, (_, more, said) in zip(images, tried, strict=True):
            outcome, _, run = await in_image(worker, image.digest, "echo ran", **more)
            assert outcome == "malformed-payload"
            assert said in worker.queue.log_of(run)
            assert "command 1" not in worker.queue.log_of(run)


async def test_an_image_does_not_choose_where_a_command_begins_by_a_link(tmp_path: Path) -> None:
    entries = layer(entry("builds/x"), link("builds/link", "/inputs"), link("out", "/inputs"))
    directories = ["/builds/link", "/out/x", "/usr", "/", "relative", "/builds/../etc"]
    images = [build(SHELL, entries, directory=one, env=[f"HOME={one}"]) for one in directories]
    layout(tmp_path, *images)
    async with world(tmp_path, policy=policy(tmp_path / "layout")) as worker:
        for image in images:
            outcome, said, run = await in_image(worker, image.digest, "pwd")
            assert (outcome, said) == ("completed", "/build\n"), worker.queue.log_of(run)


async def test_an_image_that_does_not_fit_into_the_scratch_ends_the_task_before_it_starts(
    tmp_path: Path,
) -> None:
    image = build(SHELL, layer(entry("builds/large", bytes(80 * MIB))))
    layout(tmp_path, image)
    async with world(tmp_path, policy=policy(tmp_path / "layout")) as worker:
        outcome, _, run = await in_image(worker, image.digest, "echo ran", own=["/builds"])
        assert outcome == "malformed-payload"
        assert "the task's own directories can't be made: " in worker.queue.log_of(run)
        outcome, said, _ = await in_image(worker, image.digest, "echo again")
        assert (outcome, said) == ("completed", "again\n")


async def test_a_command_whose_directory_is_gone_begins_at_the_top_of_it(tmp_path: Path) -> None:
    image = build(SHELL, layer(entry("builds/x")), directory="/builds/worker")
    layout(tmp_path, image)
    async with world(tmp_path, policy=policy(tmp_path / "layout")) as worker:
        script = "pwd; cd /; rmdir /builds/worker; ln -s /inputs /builds/worker"
        asked = {"layout": "here", "digest": f"sha256:{image.digest}"}
        commands = [["sh", "-ec", script], ["sh", "-ec", "pwd"]]
        run, outcome = await worker.run({"command": commands, "image": asked, "home": "image"})
        assert (outcome, worker.log(run)) == ("completed", "/builds/worker\n/builds\n")
