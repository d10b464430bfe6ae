"""Images: how a task names one, and what the documents of an image say, read only after their bytes were verified.

Source: the image specification of the Open Container Initiative; docs/reference/inputs.md#images
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from liftlock.domain.inputs.declarations import Declaration, artifact
from liftlock.domain.inputs.fields import Fields, text, wrong
from liftlock.domain.inputs.places import is_plain
from liftlock.errors import InputValidationError, MalformedPayloadError
from liftlock.values.json import decode_as

MAX_DOCUMENT_BYTES = 4 << 20
MAX_LAYERS = 200
MAX_LAYER_BYTES = 32 << 30
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_REFERENCE = re.compile(
    r"([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?)/([a-z0-9]+(?:[._/-]{1,2}[a-z0-9]+){0,30})@sha256:([0-9a-f]{64})\Z",
    re.ASCII,
)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}\Z", re.ASCII)
_WORKERS_OWN = frozenset({"HOME", "TASK_ID", "RUN_ID", "TASK_GROUP_ID", "HOSTNAME"})


class Registry(msgspec.Struct, frozen=True):
    """An image of a registry that the pool's policy names."""

    host: str
    name: str


class Layout(msgspec.Struct, frozen=True):
    """An OCI layout in a directory that the pool's policy names."""

    name: str


class Archive(msgspec.Struct, frozen=True):
    """The file of another input: an OCI layout or what `docker save` writes, as a tar of any compression."""

    input: str


class Image(msgspec.Struct, frozen=True):
    """The image of a task; `sha256` of its manifest, None for an archive that holds one image and was verified itself.

    `declaration`: the artifact that is the archive, where the image names one.
    """

    source: Registry | Layout | Archive
    sha256: str | None
    at: str
    declaration: Declaration | None = None


class Descriptor(msgspec.Struct, frozen=True):
    """A blob that a document refers to."""

    sha256: str
    size: int
    media_type: str


class ImageConfig(msgspec.Struct, frozen=True):
    """What of an image's configuration counts here. `directory` and `home`: absolute and plain, or None."""

    diff_ids: tuple[str, ...]
    env: dict[str, str]
    command: tuple[str, ...]
    directory: str | None = None
    home: str | None = None


def image(value: object, path: str) -> Image:
    """Read `image`: `{oci: "host/name@sha256:…"}`, or one of `layout`, `input`, `task`, `index`, with `digest`."""
    fields = Fields(value, path)
    kinds = [kind for kind in ("oci", "layout", "input", "task", "index") if fields.has(kind)]
    if len(kinds) != 1:
        raise InputValidationError(
            f"{path}: expected exactly one of oci, layout, input, task, index, found {', '.join(kinds) or 'none'}",
            path=path,
        )
    if fields.has("verify"):
        wrong(fields.at("verify"), "nothing: signatures of images are not offered by this worker", "verify")
    if kinds == ["oci"]:
        found = fields.take("oci", _reference)
    else:
        sha256 = fields.get("digest", _digest, None)
        found = _elsewhere(fields, kinds[0], sha256, path)
    fields.done()
    return found


def _elsewhere(fields: Fields, kind: str, sha256: str | None, path: str) -> Image:
    name = text(expected="a name", fits=_NAME.match)
    if kind == "layout":
        if sha256 is None:
            wrong(fields.at("digest"), "the digest of the image's manifest", None)
        return Image(Layout(fields.take("layout", name)), sha256, path)
    if kind == "input":
        return Image(Archive(fields.take("input", name)), sha256, path)
    if kind == "task":
        declared = fields.take("task", lambda found, at: artifact("task", found, at))
    else:
        declared = fields.take("index", lambda found, at: artifact("index", found, at))
    return Image(Archive("image"), sha256, path, declared)


def _reference(value: object, path: str) -> Image:
    match = _REFERENCE.match(value) if isinstance(value, str) else None
    if match is None:
        wrong(path, "an image by digest: host/name@sha256:…; tags change and are not taken", value)
    return Image(Registry(match[1], match[2]), match[3], path)


def _digest(value: object, path: str) -> str:
    match = _DIGEST.match(value) if isinstance(value, str) else None
    if match is None:
        wrong(path, "sha256: and 64 hexadecimal digits", value)
    return match[1]


def read_index(content: bytes, *, architecture: str) -> Descriptor | None:
    """Return the manifest for `architecture` that an index names; None: the document is no index.

    Raises:
        InputValidationError: it names none for linux on it, or several.
    """
    said = _document(content, "an image's index")
    if "manifests" not in said:
        return None
    entries = [one for one in _list(said, "manifests") if isinstance(one, dict)]
    fitting = [one for one in entries if _fits(one.get("platform"), architecture)]
    if len(fitting) != 1:
        raise InputValidationError(
            f"the image's index: expected one manifest for linux/{architecture}, found {len(fitting)} of {len(entries)}"
        )
    return _descriptor(fitting[0], MAX_DOCUMENT_BYTES, "the image's index")


def read_manifest(content: bytes) -> tuple[Descriptor, tuple[Descriptor, ...]]:
    """Return the configuration and the layers, lowest first, that a manifest names."""
    said = _document(content, "an image's manifest")
    if said.get("schemaVersion") != 2 or "config" not in said:
        raise InputValidationError("the image's manifest: expected schemaVersion 2 with config and layers")
    config = _descriptor(said["config"], MAX_DOCUMENT_BYTES, "the image's manifest")
    found = _list(said, "layers")
    if not 0 < len(found) <= MAX_LAYERS:
        raise InputValidationError(
            f"the image's manifest: expected 1 to {MAX_LAYERS} layers, found {len(found)}"
        )
    return config, tuple(_descriptor(one, MAX_LAYER_BYTES, "the image's manifest") for one in found)


def read_config(content: bytes, *, layers: int, architecture: str) -> ImageConfig:
    """Return what counts of a configuration, which must be for linux on `architecture` and have `layers` diff_ids."""
    said = _document(content, "an image's configuration")
    platform = (said.get("os", "linux"), said.get("architecture", architecture))
    if platform != ("linux", architecture):
        raise InputValidationError(
            f"the image is for {platform[0]!r}/{platform[1]!r}; expected linux/{architecture}"
        )
    rootfs = said.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != layers:
        raise InputValidationError(
            f"the image's configuration: expected a diff_id for each of {layers} layers"
        )
    for one in diff_ids:
        if not isinstance(one, str) or _DIGEST.match(one) is None:
            raise InputValidationError("the image's configuration: expected diff_ids of sha256:…")
    inner = said.get("config")
    inner = inner if isinstance(inner, dict) else {}
    said_env = _variables(inner.get("Env"))
    return ImageConfig(
        tuple(diff_ids),
        {
            name: content
            for name, content in said_env.items()
            if name not in _WORKERS_OWN and not name.startswith("TASKCLUSTER_")
        },
        _command(inner),
        _absolute(inner.get("WorkingDir")),
        _absolute(said_env.get("HOME")),
    )


def _variables(value: object) -> dict[str, str]:
    found = {}
    for one in value if isinstance(value, list) else []:
        if isinstance(one, str) and "\0" not in one:
            name, _, content = one.partition("=")
            if _VARIABLE.match(name):
                found[name] = content
    return found


def _absolute(value: object) -> str | None:
    """Return an absolute path of plain names without the slash that may end it; None: it is none."""
    found = value.rstrip("/") if isinstance(value, str) else ""
    return found if found.startswith("/") and is_plain(found[1:]) else None


def _command(config: dict[str, Any]) -> tuple[str, ...]:
    parts = [config.get(key) or [] for key in ("Entrypoint", "Cmd")]
    if not all(isinstance(part, list) and all(isinstance(one, str) for one in part) for part in parts):
        return ()
    return tuple(one for part in parts for one in part)


def compression(media_type: str) -> str:
    """Return how a layer is compressed; InputValidationError: it is of a kind that is never unpacked."""
    kind = media_type.rpartition(".")[2]
    if media_type.endswith(("tar+gzip", "tar.gzip")):
        return "gzip"
    if media_type.endswith("tar+zstd"):
        return "zstd"
    if kind == "tar":
        return "none"
    raise InputValidationError(
        f"a layer of the kind {media_type[:100]!r}; expected a tar, plain, gzip or zstd"
    )


def _document(content: bytes, what: str) -> dict[str, Any]:
    try:
        return decode_as(content, dict[str, Any], what=what)
    except MalformedPayloadError as error:
        raise InputValidationError(f"{what}: expected a JSON object") from error


def _list(said: dict[str, Any], key: str) -> list[Any]:
    found = said.get(key)
    if not isinstance(found, list):
        raise InputValidationError(f"the image's document: expected a list {key}")
    return found


def _descriptor(value: Any, most: int, what: str) -> Descriptor:
    digest = value.get("digest") if isinstance(value, dict) else None
    match = _DIGEST.match(digest) if isinstance(digest, str) else None
    size = value.get("size") if match is not None else None
    if match is None or type(size) is not int or not 0 <= size <= most:
        raise InputValidationError(f"{what}: expected digests of sha256:… and sizes of at most {most}")
    return Descriptor(match[1], size, str(value.get("mediaType", "")))


def _fits(platform: Any, architecture: str) -> bool:
    return isinstance(platform, dict) and (platform.get("os"), platform.get("architecture")) == (
        "linux",
        architecture,
    )


class SavedImage(msgspec.Struct, frozen=True):
    """One image of what `docker save` writes: paths inside the archive."""

    config: str
    layers: tuple[str, ...]


def read_saved(content: bytes) -> SavedImage:
    """Return the one image of a `manifest.json` that `docker save` wrote."""
    try:
        images = decode_as(content, list[dict[str, Any]], what="manifest.json")
        config, layers = images[0]["Config"], tuple(images[0]["Layers"])
    except (MalformedPayloadError, KeyError, IndexError, TypeError) as error:
        raise InputValidationError("the archive's manifest.json: expected a list of images") from error
    paths = [config, *layers]
    if (
        len(images) != 1
        or not 0 < len(layers) <= MAX_LAYERS
        or not all(isinstance(one, str) for one in paths)
    ):
        raise InputValidationError("the archive: expected exactly one image with layers")
    for one in paths:
        if one.startswith("/") or ".." in one.split("/"):
            raise InputValidationError(f"the archive's manifest.json: {one[:100]!r} leads out of the archive")
    return SavedImage(config, layers)
