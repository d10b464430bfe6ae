"""The payload of a task, parsed and checked whole before anything of it is done.

Source: docs/reference/worker.md#payload
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

import msgspec

from liftlock.domain.inputs.caches import Cache, caches, check_apart
from liftlock.domain.inputs.declarations import Declaration, Mount, declarations
from liftlock.domain.inputs.fields import Fields, flag, list_of, one_of, size, text, unique, whole, wrong
from liftlock.domain.inputs.network import CLOSED, Network, network
from liftlock.domain.inputs.oci import Image, image
from liftlock.domain.inputs.own_directories import artifact_path, own_directories
from liftlock.domain.inputs.piping import check_made, outputs
from liftlock.domain.inputs.places import INPUTS, is_plain, overlaps, seen_at
from liftlock.domain.inputs.plan import order
from liftlock.domain.inputs.translation import native
from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.values.instants import parse_instant

MANIFEST_NAME = "public/inputs.json"
MANIFEST_INSIDE = f"{INPUTS}/inputs.json"
BACKING_LOG = "public/logs/live_backing.log"
LIVE_LOG = "public/logs/live.log"
RESERVED_ARTIFACTS = (
    MANIFEST_NAME,
    BACKING_LOG,
    LIVE_LOG,
    "public/chain-of-trust.json",
    "public/chain-of-trust.json.sig",
    "public/provenance.intoto.json",
)
RESERVED_ENV = frozenset(
    {
        "HOME",
        "RUN_ID",
        "TASKCLUSTER_ACCESS_TOKEN",
        "TASKCLUSTER_CERTIFICATE",
        "TASKCLUSTER_CLIENT_ID",
        "TASKCLUSTER_PROXY_URL",
        "TASKCLUSTER_ROOT_URL",
        "TASK_GROUP_ID",
        "TASK_ID",
    }
)
MAX_COMMANDS = 100
MAX_ARGUMENTS = 2000
MAX_STRING = 100_000
MAX_ENV = 500
MAX_TOTAL_CHARS = 900_000
"""Characters of one command with the environment: what the kernel takes, less what the worker adds."""
MAX_ARTIFACTS = 500
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}\Z", re.ASCII)
_ARTIFACT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?\Z", re.ASCII)


class Bounds(msgspec.Struct, frozen=True):
    """What the pool gives a task at most; a payload may ask for less."""

    memory_bytes: int
    pids: int
    cpu: float
    disk_bytes: int
    max_run_s: int
    max_artifact_bytes: int


class Resources(msgspec.Struct, frozen=True):
    """What this task gets."""

    memory_bytes: int
    pids: int
    cpu: float
    disk_bytes: int


class ArtifactSpec(msgspec.Struct, frozen=True):
    """One declared artifact: `path` is relative to the scratch."""

    name: str
    path: str
    type: Literal["file", "directory"]
    expires: datetime
    max_bytes: int


class Payload(msgspec.Struct, frozen=True):
    """What to do: inputs in the order of their preparation, commands in the order in which they run."""

    command: tuple[tuple[str, ...], ...]
    env: dict[str, str]
    max_run_s: int
    inputs: tuple[Declaration, ...]
    artifacts: tuple[ArtifactSpec, ...]
    api_proxy: bool
    resources: Resources
    retry_codes: frozenset[int]
    masked_env: tuple[str, ...]
    network: Network = CLOSED
    image: Image | None = None
    caches: tuple[Cache, ...] = ()
    purge_codes: frozenset[int] = frozenset()
    """Exit codes after which the caches are removed."""
    own: tuple[str, ...] = ()
    """Names of directories at the top of the root that the task gets as its own."""
    home: str = "build"
    """"image": it begins where its image says, with the home that its image names; "build": /build is both."""
    interactive: bool = False
    """The one command is a shell on a terminal, for people to type into."""


def parse(value: object, *, bounds: Bounds, task_expires: datetime) -> Payload:
    """Return the payload.

    Raises:
        InputValidationError: the first thing that is wrong: its path, what was expected, what was found.
    """
    fields = Fields(native(value), "payload")
    command = fields.take("command", _commands)
    nothing: dict[str, str] = {}
    env = fields.get("env", _env, nothing)
    max_run_s = fields.take("maxRunTime", whole(1, bounds.max_run_s))
    inputs = fields.get("inputs", declarations, ())
    own = fields.get("own", own_directories, ())
    artifacts = fields.get(
        "artifacts", lambda found, path: _artifacts(found, path, bounds, task_expires, own), ()
    )
    api_proxy, interactive = fields.get("features", _features, (False, False))
    resources = fields.get("resources", lambda found, path: _resources(found, path, bounds), _most(bounds))
    never: frozenset[int] = frozenset()
    retry_codes, purge_codes = fields.get("onExitStatus", _on_exit_status, (never, never))
    masked_env = fields.get(
        "maskedEnv", list_of(text(expected="a name of env", fits=_ENV_NAME.match), most=MAX_ENV), ()
    )
    given_image = fields.get("image", image, None)
    asked = fields.get("network", network, CLOSED)
    nothing_made: dict[str, str] = {}
    check_made(
        fields.get("outputs", outputs, nothing_made),
        [(one.name, one.type == "directory") for one in artifacts],
        "payload.outputs",
    )
    given_caches = fields.get("caches", caches, ())
    home = fields.get("home", one_of("build", "image"), "build")
    fields.done()
    for index, name in enumerate(masked_env):
        if name not in env:
            wrong(f"payload.maskedEnv[{index}]", "the name of a variable in env", name)
    _check_places(inputs)
    _check_caches(given_caches, inputs, artifacts)
    _check_total(command, env)
    return Payload(
        command,
        env,
        max_run_s,
        order(inputs),
        artifacts,
        api_proxy,
        resources,
        retry_codes,
        masked_env,
        asked,
        given_image,
        given_caches,
        purge_codes,
        own,
        home,
        interactive,
    )


def _commands(value: object, path: str) -> tuple[tuple[str, ...], ...]:
    """Read `[argv…]`, or a list of such lists."""
    if not isinstance(value, list) or not value:
        wrong(path, "a list of arguments, or a list of such lists, not empty", value)
    if all(isinstance(item, str) for item in value):
        return (_argv(value, path),)
    return list_of(_argv, least=1, most=MAX_COMMANDS)(value, path)


def _argv(value: object, path: str) -> tuple[str, ...]:
    argument = text(most=MAX_STRING, fits=lambda _: True)
    argv = list_of(argument, least=1, most=MAX_ARGUMENTS)(value, path)
    if not argv[0] or argv[0].startswith("-"):
        wrong(f"{path}[0]", "a program", argv[0])
    return argv


def _env(value: object, path: str) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_ENV:
        wrong(path, f"an object of at most {MAX_ENV} variables", value)
    read = text(most=MAX_STRING, fits=lambda _: True)
    for name in value:
        if not isinstance(name, str) or _ENV_NAME.match(name) is None:
            wrong(path, "names of [A-Za-z_][A-Za-z0-9_]*", name)
        if name in RESERVED_ENV:
            raise InputValidationError(
                f"{path}.{name}: this variable is the worker's own; leave it out", path=path
            )
    return {name: read(found, f"{path}.{name}") for name, found in value.items()}


def _artifacts(
    value: object, path: str, bounds: Bounds, task_expires: datetime, own: tuple[str, ...]
) -> tuple[ArtifactSpec, ...]:
    read = list_of(lambda one, at: _artifact(one, at, bounds, task_expires, own), most=MAX_ARTIFACTS)
    found = read(value, path)
    unique(((one.name, f"{path}[{index}].name") for index, one in enumerate(found)), "name")
    return found


def _artifact(
    value: object, path: str, bounds: Bounds, task_expires: datetime, own: tuple[str, ...]
) -> ArtifactSpec:
    fields = Fields(value, path)
    name = fields.take("name", _artifact_name)
    where = fields.take("path", lambda found, at: artifact_path(found, at, own))
    kind = fields.take("type", one_of("file", "directory"))
    expires = fields.get("expires", _instant, task_expires)
    most = fields.get("maxBytes", size(bounds.max_artifact_bytes), bounds.max_artifact_bytes)
    fields.done()
    if expires > task_expires:
        wrong(fields.at("expires"), "a time not after the task's own expires", expires.isoformat())
    return ArtifactSpec(name, where, "file" if kind == "file" else "directory", expires, most)


def _artifact_name(value: object, path: str) -> str:
    name = text(expected="an artifact's name (printable ASCII)", most=1024, fits=_ARTIFACT.match)(value, path)
    if not is_plain(name):
        wrong(path, "a name of plain parts between single slashes, without . and ..", name)
    if name in RESERVED_ARTIFACTS:
        wrong(path, "a name that is not the worker's own", name)
    return name


def _instant(value: object, path: str) -> datetime:
    if not isinstance(value, str):
        wrong(path, "a time like 2026-01-31T12:00:00.000Z", value)
    try:
        return parse_instant(value, what=path)
    except InputInvalidError as error:
        raise InputValidationError(error.message, path=path) from error


def _features(value: object, path: str) -> tuple[bool, bool]:
    """Return whether the API proxy, and whether a terminal is asked for."""
    fields = Fields(value, path)
    proxy = fields.get("taskclusterProxy", flag, default=False)
    interactive = fields.get("shell", flag, default=False)
    fields.done()
    return proxy, interactive


def _most(bounds: Bounds) -> Resources:
    return Resources(bounds.memory_bytes, bounds.pids, bounds.cpu, bounds.disk_bytes)


def _resources(value: object, path: str, bounds: Bounds) -> Resources:
    fields = Fields(value, path)
    memory = fields.get("memory", size(bounds.memory_bytes), bounds.memory_bytes)
    pids = fields.get("pids", whole(4, bounds.pids), bounds.pids)
    cpu = fields.get("cpu", lambda found, at: _cpu(found, at, bounds.cpu), bounds.cpu)
    disk = fields.get("disk", size(bounds.disk_bytes), bounds.disk_bytes)
    fields.done()
    if memory < 16 << 20:
        wrong(fields.at("memory"), "at least 16MiB", memory)
    return Resources(memory, pids, cpu, disk)


def _cpu(value: object, path: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.05 <= value <= most:
        wrong(path, f"a number of cores from 0.05 to {most:g}", value)
    return float(value)


def _on_exit_status(value: object, path: str) -> tuple[frozenset[int], frozenset[int]]:
    """Read the codes after which a task is tried again, and those after which its caches are removed."""
    fields = Fields(value, path)
    retry = fields.get("retry", list_of(whole(1, 255), most=255), ())
    purge = fields.get("purgeCaches", list_of(whole(1, 255), most=255), ())
    fields.done()
    return frozenset[int](retry), frozenset[int](purge)


def _check_places(inputs: tuple[Declaration, ...]) -> None:
    for one in inputs:
        if isinstance(one.place, Mount) and overlaps(one.place.path, MANIFEST_INSIDE):
            wrong(
                f"{one.at}.mount",
                f"a place other than {MANIFEST_INSIDE}, which is the manifest's",
                one.place.path,
            )


def _check_caches(
    found: tuple[Cache, ...], inputs: tuple[Declaration, ...], artifacts: tuple[ArtifactSpec, ...]
) -> None:
    """Refuse caches that hide an input or an artifact, or that an artifact is to be taken from."""
    places = [(f"the input {one.name}", one.place.path) for one in inputs if one.place.path]
    outputs = [(f"the artifact {one.name}", seen_at(one.path)) for one in artifacts if one.path != "."]
    check_apart(found, places + outputs)


def _check_total(command: tuple[tuple[str, ...], ...], env: dict[str, str]) -> None:
    variables = sum(len(name) + len(value.encode("utf-8", "replace")) for name, value in env.items())
    for index, argv in enumerate(command):
        total = variables + sum(len(one.encode("utf-8", "replace")) for one in argv)
        if total > MAX_TOTAL_CHARS:
            wrong(f"payload.command[{index}]", f"at most {MAX_TOTAL_CHARS} bytes together with env", total)
