"""Payloads that taskgraph generates for docker-worker and generic-worker, said as native ones; what can't be is refused.

A native payload passes as it is. Nothing is dropped silently: a key that changes what a task does and can't be honoured
is an InputValidationError that says so. Source: docs/reference/payload-translation.md
"""

from __future__ import annotations

from typing import Any, NoReturn

from liftlock.domain.inputs.fields import wrong
from liftlock.domain.inputs.own_directories import implied, top_of
from liftlock.domain.inputs.places import BUILD, is_plain
from liftlock.domain.inputs.upstream_artifacts import expanded
from liftlock.errors import InputValidationError

ARCHIVES = ("rar", "tar.bz2", "tar.gz", "tar.lz4", "tar.xz", "tar.zst", "zip")
_HARMLESS = frozenset(
    {"backingLog", "liveLog", "artifacts", "bulkLog", "chainOfTrust", "localLiveLog", "hideCmdWindow"}
)
"""Features that this worker always gives, or that mean nothing on Linux."""
_DOCKER_ONLY = ("capabilities", "devices", "supersederUrl")
_GENERIC_ONLY = ("mounts", "osGroups", "rdpInfo", "supersederUrl", "deviceInfo")


def native(value: object) -> object:
    """Return the native form of a payload; what is none of the three forms passes, to be refused where it is read.

    Raises:
        InputValidationError: it asks for something that can't be honoured; the message names it.
    """
    if not isinstance(value, dict):
        return value
    if _is_docker(value):
        return expanded(_docker(dict(value)))
    if any(key in value for key in _GENERIC_ONLY) or _has_foreign_features(value) or _has_unnamed(value):
        return expanded(_generic(dict(value)))
    return expanded(value)


def _is_docker(payload: dict[str, Any]) -> bool:
    image = payload.get("image")
    typed = isinstance(image, dict) and "type" in image
    by_name = isinstance(payload.get("artifacts"), dict) or "cache" in payload
    return isinstance(image, str) or typed or by_name or "capabilities" in payload


def _has_foreign_features(payload: dict[str, Any]) -> bool:
    features = payload.get("features")
    return isinstance(features, dict) and any(name != "taskclusterProxy" for name in features)


def _has_unnamed(payload: dict[str, Any]) -> bool:
    """Tell whether an artifact has no name, which only generic-worker permits: then its path is the name."""
    artifacts = payload.get("artifacts")
    return isinstance(artifacts, list) and any(
        isinstance(one, dict) and "name" not in one and "path" in one for one in artifacts
    )


def _docker(payload: dict[str, Any]) -> dict[str, Any]:
    for key in _DOCKER_ONLY:
        if payload.pop(key, None):
            _refuse(f"payload.{key}", "sandboxes have no privileges, devices or superseding")
    payload.pop("log", None)  # its name; this worker's log has one
    _common(payload)
    image = payload.get("image")
    if image is not None:
        payload["image"] = _image(image)
    caches = payload.pop("cache", None) or {}
    if not isinstance(caches, dict):
        wrong("payload.cache", "an object of names to paths", caches)
    if caches:
        payload["caches"] = [{"name": name, "mount": _trimmed(path)} for name, path in caches.items()]
    artifacts = payload.get("artifacts")
    if isinstance(artifacts, dict):
        payload["artifacts"] = [_docker_artifact(name, one) for name, one in artifacts.items()]
    if "command" not in payload:
        _refuse("payload.command", "missing; the entry point of an image is not run")
    return payload | _container(payload)


def _container(payload: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a task find itself as in a container: where it begins, and where else it may write."""
    listed = [*_places(payload.get("artifacts"), "path"), *_places(payload.get("caches"), "mount")]
    own = implied(tuple(listed), ())
    return {"home": "image"} | ({"own": [f"/{name}" for name in own]} if own else {})


def _places(found: object, key: str) -> list[str]:
    items = found if isinstance(found, list) else []
    return [one[key] for one in items if isinstance(one, dict) and isinstance(one.get(key), str)]


def _trimmed(path: object) -> object:
    """Return a directory's path without the slash that may end it."""
    return (path.rstrip("/") or path) if isinstance(path, str) else path


def _generic(payload: dict[str, Any]) -> dict[str, Any]:
    for key in ("osGroups", "rdpInfo", "supersederUrl", "deviceInfo"):
        if payload.pop(key, None):
            _refuse(f"payload.{key}", "sandboxes have one user and no devices")
    _common(payload)
    if _has_unnamed(payload):
        payload["artifacts"] = [
            {"name": one.get("path"), **one} if isinstance(one, dict) else one for one in payload["artifacts"]
        ]
    mounts = payload.pop("mounts", [])
    if not isinstance(mounts, list):
        wrong("payload.mounts", "a list", mounts)
    caches = [_cache(one, index) for index, one in enumerate(mounts) if _is_cache(one)]
    if caches:
        payload["caches"] = [*payload.get("caches", []), *caches]
    inputs = [_mount(one, index) for index, one in enumerate(mounts) if not _is_cache(one)]
    if inputs:
        payload["inputs"] = [*payload.get("inputs", []), *inputs]
    return payload


def _common(payload: dict[str, Any]) -> None:
    features = payload.get("features")
    if isinstance(features, dict):
        kept = {}
        for name, asked in features.items():
            if name in ("taskclusterProxy", "shell"):
                kept[name] = asked
            elif asked and name not in _HARMLESS:
                _refuse(f"payload.features.{name}", "this feature is not offered")
        payload["features"] = kept


def _image(value: object) -> object:
    if isinstance(value, str):
        return {"oci": value}
    if not isinstance(value, dict):
        wrong(
            "payload.image",
            "a name with a digest, or {type: task-image | indexed-image | docker-image}",
            value,
        )
    found = dict(value)
    match found.pop("type", None):
        case "docker-image":
            return {"oci": found.get("name")}
        case "task-image":
            return {"task": {"id": found.get("taskId"), "artifact": found.get("path")}}
        case "indexed-image":
            return {"index": {"namespace": found.get("namespace"), "artifact": found.get("path")}}
        case None:
            return value
        case kind:
            return wrong("payload.image.type", "task-image, indexed-image or docker-image", kind)


def _docker_artifact(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        wrong(f"payload.artifacts.{name}", "an object", value)
    kind = value.get("type")
    path = value.get("path")
    if kind in ("volume", "directory"):
        kind, path = "directory", _trimmed(path)
    if not isinstance(path, str) or (
        path.startswith("/") and not path.startswith(f"{BUILD}/") and top_of(path) is None
    ):
        _refuse(
            f"payload.artifacts.{name}.path",
            f"{str(path)[:200]!r} lies where no task can write; expected {BUILD}, /builds/worker or another directory"
            " that is not the system's",
        )
    made = {"name": name, "path": path, "type": kind}
    return made | ({"expires": value["expires"]} if "expires" in value else {})


def _is_cache(value: object) -> bool:
    return isinstance(value, dict) and "cacheName" in value


def _cache(value: dict[str, Any], index: int) -> dict[str, Any]:
    at = f"payload.mounts[{index}]"
    if "content" in value:
        _refuse(f"{at}.content", "a cache begins empty; expected a mount of its own for the content")
    for key in value:
        if key not in ("cacheName", "directory"):
            wrong(f"{at}.{key}", "cacheName and directory only", key)
    where = value.get("directory")
    if not isinstance(where, str) or not is_plain(where):
        wrong(f"{at}.directory", "a path of plain names below the task's directory", where)
    return {"name": value["cacheName"], "mount": f"{BUILD}/{where}"}


def _mount(value: object, index: int) -> dict[str, Any]:
    at = f"payload.mounts[{index}]"
    if not isinstance(value, dict):
        wrong(at, "an object", value)
    content = value.get("content")
    if not isinstance(content, dict):
        wrong(f"{at}.content", "an object", content)
    where = value.get("file", value.get("directory"))
    if not isinstance(where, str) or not is_plain(where):
        wrong(at, "file or directory, a path of plain names below the task's directory", where)
    unpack: dict[str, Any] = {"to": f"{BUILD}/{where}"}
    if "directory" in value:
        if value.get("format") not in ARCHIVES:
            wrong(f"{at}.format", f"one of {', '.join(ARCHIVES)}", value.get("format"))
    elif "raw" not in content:
        unpack["archive"] = False
    return {"name": f"mount-{index}", **_content(content, at), "unpack": unpack}


def _content(content: dict[str, Any], at: str) -> dict[str, Any]:
    sha256 = {"sha256": content["sha256"]} if content.get("sha256") else {}
    if "taskId" in content:
        return {"task": {"id": content["taskId"], "artifact": content.get("artifact"), **sha256}}
    if "namespace" in content:
        return {"index": {"namespace": content["namespace"], "artifact": content.get("artifact"), **sha256}}
    if "url" in content:
        return {"url": content["url"], **sha256}
    if "raw" in content:
        return {"raw": {"content": content["raw"]}}
    return _refuse(f"{at}.content", "expected taskId with artifact, namespace with artifact, url or raw")


def _refuse(path: str, why: str) -> NoReturn:
    raise InputValidationError(f"{path}: can't be honoured: {why}", path=path)
