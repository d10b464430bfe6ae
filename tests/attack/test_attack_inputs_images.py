"""Attacks by images: swapped layers, wrong diff_ids, whiteouts and entries through links, set-id bits, devices."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fakes.certified_signer import CertifiedSigner, produced
from hostile_server import HostileServer, hostile_server
from liftlock.domain.inputs.policy import PoolPolicy
from oci_images import BuiltImage, build, entry, layer, link, sha256, shell_layer
from worker_world import World, world

pytestmark = pytest.mark.process
SHELL = shell_layer()


def policy(directory: Path) -> PoolPolicy:
    return PoolPolicy(layouts={"here": str(directory)})


async def run(tmp_path: Path, image: BuiltImage, script: str) -> tuple[str, str, dict[str, Any]]:
    """Run a script in an image; return outcome, output with the worker's own lines, and manifest."""
    directory = tmp_path / "layout"
    image.write_layout(directory)
    async with world(tmp_path, policy=policy(directory)) as worker:
        return await in_image(worker, image, script)


async def in_image(worker: World, image: BuiltImage, script: str) -> tuple[str, str, dict[str, Any]]:
    asked = {"layout": "here", "digest": f"sha256:{image.digest}"}
    made, outcome = await worker.run({"command": ["sh", "-c", script], "image": asked})
    return outcome, worker.queue.log_of(made), json.loads(worker.queue.artifacts[made, "public/inputs.json"])


async def test_an_image_is_the_root_of_the_sandbox_and_kept_for_the_next_task(tmp_path: Path) -> None:
    base = layer(
        entry("opt/old", b"old"), entry("opt/gone", b"x"), entry("srv/a", b"a"), entry("srv/b", b"b")
    )
    top = layer(
        entry("opt/.wh.gone"),
        entry("srv/c", b"c"),
        entry("srv/.wh..wh..opq"),
        entry("tool", b"#!/bin/sh\n", mode=0o4755),
        entry("dev0", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    )
    image = build(SHELL, base, top, env=["FROM_IMAGE=yes", "HOME=/root", "TASK_ID=forged"])
    directory = tmp_path / "layout"
    image.write_layout(directory)
    async with world(tmp_path, policy=policy(directory)) as worker:
        script = "ls /opt /srv / ; stat -c %a /tool; echo $FROM_IMAGE $HOME $TASK_ID; cat /usr/bin/python3"
        outcome, said, manifest = await in_image(worker, image, script)
        assert outcome == "failed", "the host's /usr is not there"
        lines = said.splitlines()
        assert "gone" not in lines
        assert [one for one in lines if one in ("a", "b", "c", "old", "dev0")] == ["old", "c"]
        assert "555" in lines
        assert any(line.startswith("yes /build AAAA") for line in lines)
        assert manifest["image"]["digest"] == f"sha256:{image.digest}"
        assert manifest["image"]["cached"] is False
        _, _, manifest = await in_image(worker, image, "true")
        assert manifest["image"]["cached"] is True


async def test_a_swapped_layer_ends_the_task_before_it_starts(tmp_path: Path) -> None:
    image = build(SHELL, layer(entry("a", b"a")))
    image.blobs[image.layers[1]] = image.blobs[image.layers[0]]
    outcome, said, _ = await run(tmp_path, image, "echo ran")
    assert outcome == "malformed-payload"
    assert "the image: layer 2: it has more than" in said
    assert "command 1" not in said


async def test_a_flipped_byte_of_a_layer_names_declared_and_observed(tmp_path: Path) -> None:
    image = build(SHELL, layer(entry("a", b"a")))
    name = image.layers[1]
    content = image.blobs[name]
    image.blobs[name] = content[:-1] + bytes((content[-1] ^ 1,))
    outcome, said, _ = await run(tmp_path, image, "echo ran")
    assert outcome == "malformed-payload"
    assert f"layer 2: declared sha256 {name}, observed " in said


async def test_a_wrong_diff_id_is_refused_after_unpacking_and_nothing_is_kept(tmp_path: Path) -> None:
    real = build(SHELL)
    wrong = build(SHELL, diff_ids=["sha256:" + "0" * 64])
    assert real.digest != wrong.digest
    directory = tmp_path / "layout"
    wrong.write_layout(directory)
    async with world(tmp_path, policy=policy(directory)) as worker:
        for _ in range(2):
            outcome, said, _ = await in_image(worker, wrong, "echo ran")
            assert outcome == "malformed-payload"
            assert "declared diff_id sha256:000" in said
        left = [path.name for path in (worker.machine.store / "trees").iterdir()]
        assert left == []


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([link("etc2", "/etc"), entry("etc2/.wh.passwd")], "leads through something that is no directory"),
        ([link("out", "/inputs"), entry("out/x", b"x")], "leads through something that is no directory"),
        (
            [link("out", "../../.."), entry("out/.wh..wh..opq")],
            "leads through something that is no directory",
        ),
        ([entry("../x", b"x")], "leads out of its directory by '..'"),
        ([entry("a/.wh...", b"")], "leads out of its directory by '..'"),
        ([link("h", "../../etc/passwd", tarfile.LNKTYPE)], "leads out of its directory by '..'"),
        ([link("s", "/etc/passwd"), link("h", "s", tarfile.LNKTYPE)], "leads to no file of the image"),
        ([entry(".wh.")], "names nothing"),
    ],
)
async def test_entries_that_lead_elsewhere_refuse_the_image(
    tmp_path: Path, entries: list[tuple[tarfile.TarInfo, bytes]], said: str
) -> None:
    outcome, log, _ = await run(tmp_path, build(SHELL, layer(*entries)), "echo ran")
    assert outcome == "malformed-payload"
    assert said in log


async def test_an_absolute_name_lies_inside_of_the_image(tmp_path: Path) -> None:
    outcome, said, _ = await run(tmp_path, build(SHELL, layer(entry("/opt/abs", b"inside"))), "cat /opt/abs")
    assert outcome == "completed"
    assert "inside" in said


async def test_a_layer_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    """Sparse content of 20 GiB: its tar header says so before it is read."""
    image = build(SHELL, layer(entry("a", b"a")))
    info = tarfile.TarInfo("huge")
    info.size = 20 << 30
    bomb = info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    image = build(SHELL, bomb)
    outcome, said, _ = await run(tmp_path, image, "echo ran")
    assert outcome == "malformed-payload"
    assert "unpacks to more than" in said


async def test_a_registry_gives_an_image_by_digest_only(tmp_path: Path) -> None:
    image = build(SHELL, layer(entry("opt/hello", b"from a registry\n")))
    async with hostile_server() as server:
        for name, content in image.blobs.items():
            kind = "manifests" if name == image.digest else "blobs"
            server.file(f"/v2/team/base/{kind}/sha256:{name}", content)
        rules = PoolPolicy(registries={"registry.example": server.url("")}, private_addresses=(server.place,))
        async with world(tmp_path, policy=rules) as worker:
            reference = f"registry.example/team/base@sha256:{image.digest}"
            made, outcome = await worker.run({"command": ["cat", "/opt/hello"], "image": {"oci": reference}})
            assert (outcome, worker.log(made)) == ("completed", "from a registry\n")
            made, outcome = await worker.run(
                {"command": ["true"], "image": {"oci": "registry.example/team/base:latest"}}
            )
            assert outcome == "malformed-payload"
            assert "tags change and are not taken" in worker.queue.log_of(made)
            other = reference.replace("registry.example", "evil.example")
            made, outcome = await worker.run({"command": ["true"], "image": {"oci": other}})
            assert outcome == "malformed-payload"
            assert "expected a registry of the pool's policy (registry.example)" in worker.queue.log_of(made)


def guarded(server: HostileServer, path: str, content: bytes, token: str) -> None:
    """Serve `content` to who shows the token, and a challenge to everybody else."""
    server.file(path, content)
    answer = server.routes[path]
    assert isinstance(answer, bytes)
    realm = (
        f'Bearer realm="{server.url("/token")}",service="registry.example",scope="repository:team/base:pull"'
    )
    refusal = f"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {realm}\r\ncontent-length: 0\r\n\r\n".encode()

    async def give(writer: asyncio.StreamWriter) -> None:
        is_shown = f"authorization: bearer {token}\r\n" in server.asked[-1].lower()
        writer.write(answer if is_shown else refusal)
        await writer.drain()

    server.routes[path] = give


@pytest.mark.parametrize("given", ["good", "bad"])
async def test_a_registry_that_wants_a_token_of_everybody_is_shown_the_one_it_gives(
    tmp_path: Path, given: str
) -> None:
    image = build(SHELL, layer(entry("opt/hello", b"by token\n")))
    async with hostile_server() as server:
        for name, content in image.blobs.items():
            kind = "manifests" if name == image.digest else "blobs"
            guarded(server, f"/v2/team/base/{kind}/sha256:{name}", content, "good")
        where = "/token?scope=repository%3Ateam%2Fbase%3Apull&service=registry.example"
        server.file(where, json.dumps({"token": given}).encode())
        rules = PoolPolicy(registries={"registry.example": server.url("")}, private_addresses=(server.place,))
        async with world(tmp_path, policy=rules) as worker:
            reference = f"registry.example/team/base@sha256:{image.digest}"
            made, outcome = await worker.run({"command": ["cat", "/opt/hello"], "image": {"oci": reference}})
            tokens = [head for head in server.asked if head.startswith(f"GET {where} ")]
            assert len(tokens) == 1, "it is asked for once"
            assert "authorization" not in tokens[0].lower()
            if given == "good":
                assert (outcome, worker.log(made)) == ("completed", "by token\n")
            else:
                assert outcome == "resource-unavailable"
                assert "HTTP 401" in worker.queue.log_of(made)


async def test_an_archive_of_another_task_is_an_image(tmp_path: Path) -> None:
    image = build(SHELL, layer(entry("opt/hello", b"from an archive\n")))
    producer = "Qt3GMzT0Qq2rIcp0oYl9sA"
    async with world(tmp_path) as worker:
        worker.queue.others = produced(CertifiedSigner(), producer, {"public/image.tar": image.archive()})
        asked = {"task": {"id": producer, "artifact": "public/image.tar"}}
        made, outcome = await worker.run({"command": ["cat", "/opt/hello"], "image": asked})
        assert (outcome, worker.log(made)) == ("completed", "from an archive\n"), worker.queue.log_of(made)


async def test_an_archive_whose_layers_lead_out_by_a_link_is_refused(tmp_path: Path) -> None:
    """What `docker save` writes names its layers by path: a link among them must not reach the worker's own files."""
    secret = tmp_path / "state"
    secret.mkdir()
    (secret / "key").write_bytes(b"the worker's own")
    config = {"os": "linux", "rootfs": {"diff_ids": ["sha256:" + "0" * 64]}}
    saved = [{"Config": "c.json", "Layers": ["out/key"]}]
    archive = layer(
        link("out", str(secret)),
        entry("c.json", json.dumps(config).encode()),
        entry("manifest.json", json.dumps(saved).encode()),
    )
    producer = "Qt3GMzT0Qq2rIcp0oYl9sA"
    async with world(tmp_path) as worker:
        worker.queue.others = produced(CertifiedSigner(), producer, {"public/image.tar": archive})
        asked = {"task": {"id": producer, "artifact": "public/image.tar"}}
        made, outcome = await worker.run({"command": ["true"], "image": asked})
        assert outcome == "malformed-payload"
        assert "the image's 'out/key' leads out of it" in worker.queue.log_of(made)


async def test_what_docker_save_writes_is_an_image(tmp_path: Path) -> None:
    config = {"os": "linux", "rootfs": {"diff_ids": [f"sha256:{sha256(SHELL)}"]}}
    saved = [{"Config": "c.json", "Layers": ["a/layer.tar"]}]
    archive = layer(
        entry("c.json", json.dumps(config).encode()),
        entry("a/layer.tar", SHELL),
        entry("manifest.json", json.dumps(saved).encode()),
    )
    producer = "Qt3GMzT0Qq2rIcp0oYl9sA"
    async with world(tmp_path) as worker:
        worker.queue.others = produced(CertifiedSigner(), producer, {"public/image.tar": archive})
        asked = {"type": "task-image", "taskId": producer, "path": "public/image.tar"}
        made, outcome = await worker.run({"command": ["sh", "-c", "echo hello"], "image": asked})
        assert (outcome, worker.log(made)) == ("completed", "hello\n"), worker.queue.log_of(made)
