"""The payload: what is accepted, and how each mistake is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from liftlock.errors import InputValidationError
from liftlock.ports.queue_client import RunKey
from liftlock.worker.environment import environment
from liftlock.worker.payload import RESERVED_ENV, Bounds, Payload, parse

BOUNDS = Bounds(4 << 30, 512, 2.0, 20 << 30, 3600, 1 << 30)
EXPIRES = datetime(2027, 1, 1, tzinfo=UTC)


def read(**given: Any) -> Payload:
    return parse({"command": ["true"], "maxRunTime": 60, **given}, bounds=BOUNDS, task_expires=EXPIRES)


def refused(**given: Any) -> str:
    with pytest.raises(InputValidationError) as caught:
        read(**given)
    return caught.value.message


def test_one_command_or_a_list_of_them() -> None:
    assert read(command=["sh", "-c", ""]).command == (("sh", "-c", ""),)
    assert read(command=[["a"], ["b", "c"]]).command == (("a",), ("b", "c"))


@pytest.mark.parametrize(
    "command", [[], [[]], [["a"], []], "true", [["a"], "b"], [""], [["\0"]], [[1]], ["-x"], None]
)
def test_what_is_no_command_is_refused(command: Any) -> None:
    assert refused(command=command).startswith("payload.command")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"comand": []}, "payload.comand: unknown key; expected one of: artifacts, caches, command, env, features, home, image, inputs, maskedEnv, maxRunTime, network, onExitStatus, outputs, own, resources"),
        ({"maxRunTime": 3601}, "payload.maxRunTime: expected an integer from 1 to 3600, found 3601"),
        ({"maxRunTime": True}, "payload.maxRunTime: expected an integer from 1 to 3600, found True"),
        ({"env": {"A B": "x"}}, "payload.env: expected names of [A-Za-z_][A-Za-z0-9_]*, found 'A B'"),
        ({"env": {"A": 1}}, "payload.env.A: expected text, found 1"),
        ({"env": {"A": "x\0"}}, "payload.env.A: expected text, found 'x\\x00'"),
        ({"features": {"dind": True}}, "payload.features.dind: can't be honoured: this feature is not offered"),
        ({"network": {"default": "all"}}, "payload.network.default: expected one of none, open, found 'all'"),
        ({"network": {"allow": [{"host": "x"}]}}, "payload.network.allow[0].port: missing; it must be given (found beside it: nothing else)"),
        ({"resources": {"memory": "5GiB"}}, f"payload.resources.memory: expected a size from 1 to {4 << 30} bytes, such as 512MiB, found '5GiB'"),
        ({"resources": {"cpu": 3}}, "payload.resources.cpu: expected a number of cores from 0.05 to 2, found 3"),
        ({"maskedEnv": ["A"]}, "payload.maskedEnv[0]: expected the name of a variable in env, found 'A'"),
        ({"onExitStatus": {"retry": [0]}}, "payload.onExitStatus.retry[0]: expected an integer from 1 to 255, found 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_path_and_what_was_expected(given: Any, message: str) -> None:
    assert refused(**given) == message


@pytest.mark.parametrize("name", sorted(RESERVED_ENV))
def test_variables_of_the_worker_can_not_be_set(name: str) -> None:
    assert refused(env={name: "x"}) == f"payload.env.{name}: this variable is the worker's own; leave it out"


@pytest.mark.parametrize(
    "name",
    ["../x", "/x", "a//b", "a/../b", ".", "a/.", "ä", " a", "public/inputs.json", "public/logs/live.log", ""],
)
def test_artifacts_have_safe_names(name: str) -> None:
    artifact = {"name": name, "path": "x", "type": "file"}
    assert refused(artifacts=[artifact]).startswith("payload.artifacts[0].name: expected ")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "/build/../etc", "a//b", "", "a\0", "a/../../b"])
def test_artifacts_lie_below_build(path: str) -> None:
    artifact = {"name": "public/x", "path": path, "type": "file"}
    assert refused(artifacts=[artifact]).startswith("payload.artifacts[0].path: expected ")


def test_an_artifact_expires_with_its_task_at_the_latest() -> None:
    artifact = {"name": "public/x", "path": "/build/x", "type": "file"}
    [found] = read(artifacts=[artifact]).artifacts
    assert (found.path, found.expires) == ("x", EXPIRES)
    [found] = read(artifacts=[artifact | {"expires": "2027-01-01T00:00:00.000Z"}]).artifacts
    assert found.expires == EXPIRES
    message = refused(artifacts=[artifact | {"expires": "2027-01-01T00:00:00.001Z"}])
    assert message.startswith(
        "payload.artifacts[0].expires: expected a time not after the task's own expires"
    )


def test_the_place_of_the_manifest_is_not_to_be_had() -> None:
    value = {"name": "x", "raw": {"content": ""}, "mount": "/inputs/inputs.json"}
    assert "a place other than /inputs/inputs.json" in refused(inputs=[value])


def test_less_than_the_pool_gives_may_be_asked_for() -> None:
    given = read(resources={"memory": "512MiB", "pids": 16, "cpu": 0.5, "disk": 1 << 20}).resources
    assert (given.memory_bytes, given.pids, given.cpu, given.disk_bytes) == (512 << 20, 16, 0.5, 1 << 20)


def test_the_environment_is_exactly_what_was_said_and_what_a_task_may_know() -> None:
    run = RunKey("TASK", 2)
    payload = read(env={"A": "b", "LANG": "de_DE.UTF-8"}, features={"taskclusterProxy": True})
    assert environment(run, {"taskGroupId": "GROUP"}, payload, "http://root", "http://127.0.0.1:1", {}) == {
        "A": "b",
        "HOME": "/build",
        "LANG": "de_DE.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "RUN_ID": "2",
        "TASKCLUSTER_PROXY_URL": "http://127.0.0.1:1",
        "TASKCLUSTER_ROOT_URL": "http://root",
        "TASK_GROUP_ID": "GROUP",
        "TASK_ID": "TASK",
    }
    without = environment(run, {}, read(), "http://root", "http://127.0.0.1:1", {})
    assert "TASKCLUSTER_PROXY_URL" not in without
    assert without["TASK_GROUP_ID"] == "TASK"
