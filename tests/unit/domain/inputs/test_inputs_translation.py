"""Payloads of docker-worker and generic-worker, as taskgraph makes them, become native ones or are refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.domain.inputs.declarations import TaskArtifact, Unpack, Url
from liftlock.domain.inputs.oci import Archive, Registry
from liftlock.domain.inputs.translation import native
from liftlock.errors import InputValidationError
from liftlock.worker.payload import Bounds, Payload, parse

TASK = "Qt3GMzT0Qq2rIcp0oYl9sA"
DIGEST = "a" * 64


def read(**payload: Any) -> Payload:
    bounds = Bounds(1 << 30, 64, 2.0, 1 << 30, 3600, 1 << 30)
    given = {"command": ["true"], "maxRunTime": 60, **payload}
    return parse(given, bounds=bounds, task_expires=datetime(2030, 1, 1, tzinfo=UTC))


def test_a_native_payload_passes_as_it_is() -> None:
    given = {"command": ["true"], "image": {"oci": "x"}, "artifacts": []}
    assert native(given) is given


def test_a_docker_worker_payload_is_translated() -> None:
    found = read(
        image={"type": "task-image", "taskId": TASK, "path": "public/image.tar.zst"},
        log="public/logs/live.log",
        features={"taskclusterProxy": True, "chainOfTrust": True, "dind": False},
        artifacts={
            "public/build": {"type": "directory", "path": "/build/out", "expires": "2029-01-01T00:00:00.000Z"}
        },
        onExitStatus={"retry": [4], "purgeCaches": [4]},
        capabilities={},
        env={"A": "b"},
    )
    assert found.image is not None
    assert isinstance(found.image.source, Archive)
    assert found.image.declaration is not None
    assert found.image.declaration.source == TaskArtifact(TASK, "public/image.tar.zst")
    assert (found.api_proxy, found.retry_codes) == (True, {4})
    [artifact] = found.artifacts
    assert (artifact.name, artifact.path, artifact.type) == ("public/build", "out", "directory")
    assert (found.home, found.own) == ("image", ())


def test_artifacts_and_caches_of_docker_worker_may_lie_where_its_tasks_have_them() -> None:
    found = read(
        image="host.example/x@sha256:" + DIGEST,
        artifacts={
            "public/build": {"type": "directory", "path": "/builds/worker/artifacts/"},
            "public/log": {"type": "volume", "path": "/builds/worker/logs"},
            "public/one": {"type": "file", "path": "/tmp/one.txt"},
            "public/own": {"type": "file", "path": "/build/out"},
        },
        cache={"deps-v1": "/work/checkouts/"},
    )
    assert found.own == ("builds", "tmp", "work")
    assert [(one.path, one.type) for one in found.artifacts] == [
        (".root/builds/worker/artifacts", "directory"),
        (".root/builds/worker/logs", "directory"),
        (".root/tmp/one.txt", "file"),
        ("out", "file"),
    ]
    assert found.caches[0].path == "/work/checkouts"


def test_an_image_by_digest_stays_one_and_a_tag_is_refused() -> None:
    found = read(image=f"registry.example/a/b@sha256:{DIGEST}").image
    assert found is not None
    assert (found.source, found.sha256) == (Registry("registry.example", "a/b"), DIGEST)
    with pytest.raises(InputValidationError, match="tags change and are not taken"):
        read(image="debian:12")


def test_mounts_become_inputs() -> None:
    found = read(
        mounts=[
            {
                "content": {"taskId": TASK, "artifact": "public/t.tar.gz"},
                "directory": "fetches/t",
                "format": "tar.gz",
            },
            {"content": {"url": "https://x.example/f", "sha256": DIGEST}, "file": "f"},
            {"content": {"raw": "hello"}, "file": "greeting"},
        ],
        osGroups=[],
    ).inputs
    assert [one.source for one in found][:2] == [
        TaskArtifact(TASK, "public/t.tar.gz"),
        Url("https://x.example/f"),
    ]
    assert [one.place for one in found] == [
        Unpack("/build/fetches/t"),
        Unpack("/build/f", archive=False),
        Unpack("/build/greeting", archive=False),
    ]
    assert found[1].promise.sha256 == DIGEST


def test_upstream_artifacts_become_inputs_below_cot() -> None:
    one = {"taskId": TASK, "taskType": "build", "paths": ["public/a.zip", "public/b/c"], "formats": ["gpg"]}
    found = read(
        upstreamArtifacts=[one], inputs=[{"name": "x", "raw": {"content": ""}, "mount": "/inputs/x"}]
    )
    assert [each.name for each in found.inputs] == ["x", "upstream-0-0", "upstream-0-1"]
    assert found.inputs[1].source == TaskArtifact(TASK, "public/a.zip")
    assert found.inputs[2].place == Unpack(f"/build/cot/{TASK}/public/b/c", archive=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"paths": []}, "payload.upstreamArtifacts[0].paths: expected a list of 1 to 200 items"),
        (
            {"paths": ["../a"]},
            "payload.upstreamArtifacts[0].paths[0]: expected an artifact's name of plain parts",
        ),
        (
            {"paths": ["/a"]},
            "payload.upstreamArtifacts[0].paths[0]: expected an artifact's name of plain parts",
        ),
        ({"taskId": "x"}, "payload.upstreamArtifacts[0].taskId: expected a taskId"),
        ({"optional": True}, "payload.upstreamArtifacts[0].optional: unknown key"),
        ({"taskType": None}, "payload.upstreamArtifacts[0].taskType: expected text"),
    ],
)
def test_upstream_artifacts_of_another_form_are_refused(change: dict[str, Any], said: str) -> None:
    one = {"taskId": TASK, "taskType": "build", "paths": ["public/a"], "formats": []}
    with pytest.raises(InputValidationError) as caught:
        read(upstreamArtifacts=[one | change])
    assert caught.value.message.startswith(said)


def test_caches_of_both_workers_become_caches() -> None:
    docker = read(image="host.example/x@sha256:" + DIGEST, cache={"deps-v1": "/builds/worker/checkouts"})
    assert [(one.name, one.path, one.level) for one in docker.caches] == [
        ("deps-v1", "/builds/worker/checkouts", None)
    ]
    mounts = [{"cacheName": "deps", "directory": "c"}, {"content": {"raw": "hello"}, "file": "greeting"}]
    generic = read(mounts=mounts, onExitStatus={"retry": [4], "purgeCaches": [72]})
    assert [(one.name, one.path) for one in generic.caches] == [("deps", "/build/c")]
    assert [one.name for one in generic.inputs] == ["mount-1"]
    assert (generic.retry_codes, generic.purge_codes) == ({4}, {72})


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"cache": {"a": "/usr/b"}}, "payload.caches[0].mount: expected an absolute path of plain names"),
        ({"cache": ["a"]}, "payload.cache: expected an object of names to paths"),
        ({"capabilities": {"privileged": True}}, "payload.capabilities: can't be honoured"),
        ({"features": {"dind": True}}, "payload.features.dind: can't be honoured"),
        (
            {"features": {"runAsAdministrator": True}},
            "payload.features.runAsAdministrator: can't be honoured",
        ),
        (
            {"mounts": [{"cacheName": "c", "directory": "../d"}]},
            "payload.mounts[0].directory: expected a path of plain names",
        ),
        (
            {"mounts": [{"cacheName": "c", "directory": "d", "content": {"raw": ""}}]},
            "payload.mounts[0].content: can't be honoured: a cache begins empty",
        ),
        (
            {"mounts": [{"content": {"base64": "eA=="}, "file": "f"}]},
            "payload.mounts[0].content: can't be honoured",
        ),
        (
            {"mounts": [{"content": {"raw": "x"}, "file": "../f"}]},
            "payload.mounts[0]: expected file or directory",
        ),
        (
            {"mounts": [{"content": {"raw": "x"}, "directory": "d", "format": "7z"}]},
            "payload.mounts[0].format",
        ),
        ({"osGroups": ["docker"]}, "payload.osGroups: can't be honoured"),
        (
            {"artifacts": {"public/a": {"type": "file", "path": "/usr/share/a"}}},
            "payload.artifacts.public/a.path: can't be honoured: '/usr/share/a' lies where no task can write",
        ),
        (
            {"artifacts": {"public/a": {"type": "directory", "path": "/builds/../etc"}}},
            "payload.artifacts.public/a.path: can't be honoured: '/builds/../etc' lies where no task can write",
        ),
        (
            {"artifacts": {"public/a": {"type": "file", "path": "/builds/worker/a/"}}},
            "payload.artifacts.public/a.path: can't be honoured: '/builds/worker/a/' lies where no task can write",
        ),
        ({"image": {"type": "oci-magic"}}, "payload.image.type"),
    ],
)
def test_what_can_not_be_honoured_is_said(payload: dict[str, Any], said: str) -> None:
    with pytest.raises(InputValidationError) as caught:
        read(**payload)
    assert caught.value.message.startswith(said)


def test_an_artifact_without_a_name_is_named_by_its_path() -> None:
    found = read(artifacts=[{"type": "file", "path": "public/a.txt"}])
    assert [(one.name, one.path) for one in found.artifacts] == [("public/a.txt", "public/a.txt")]


@pytest.mark.parametrize(
    ("feature", "is_honoured"),
    [
        ("taskclusterProxy", True),
        ("chainOfTrust", True),
        ("hideCmdWindow", True),
        ("allowPtrace", False),
        ("runAsAdministrator", False),
        ("runTaskAsCurrentUser", False),
        ("dind", False),
        ("interactive", False),
    ],
)
def test_every_feature_that_taskgraph_asks_for_is_honoured_or_refused_by_name(
    feature: str, is_honoured: bool
) -> None:
    if is_honoured:
        read(features={feature: True})
        return
    with pytest.raises(InputValidationError, match=f"payload.features.{feature}: can't be honoured"):
        read(features={feature: True})


def test_devices_that_taskgraph_asks_for_are_refused_by_name() -> None:
    with pytest.raises(InputValidationError, match=r"payload\.capabilities: can't be honoured"):
        read(capabilities={"devices": {"loopbackVideo": True}})


def test_the_payloads_of_taskgraphs_builders_are_taken_as_they_are() -> None:
    """What its builders write for a task with a cache, a retry, and an image of the tree."""
    docker = read(
        image={"path": "public/image.tar.zst", "taskId": TASK, "type": "task-image"},
        env={"SCCACHE_DISABLE": "1", "TASKCLUSTER_CACHES": "/builds/worker/checkouts"},
        command=["/usr/local/bin/run-task", "--", "true"],
        maxRunTime=60,
        onExitStatus={"retry": [72], "purgeCaches": [72]},
        cache={f"demo-level-1-checkouts-v3-{'a' * 20}-{TASK}": "/builds/worker/checkouts"},
        artifacts={},
        features={"chainOfTrust": True, "taskclusterProxy": True},
    )
    assert docker.api_proxy
    assert docker.caches[0].path == "/builds/worker/checkouts"
    generic = read(
        command=[["true"]],
        maxRunTime=60,
        env={"SCCACHE_DISABLE": "1"},
        artifacts=[{"path": "out/x", "type": "file", "name": "public/x"}],
        mounts=[{"cacheName": "demo-level-1-pip", "directory": "pip"}],
        features={"chainOfTrust": True},
    )
    assert generic.caches[0].name == "demo-level-1-pip"
