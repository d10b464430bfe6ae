"""Images: every blob measured before anything parses it, layers unpacked in a sandbox, the root kept for the next task."""

from __future__ import annotations

import os
import platform
import stat
from collections.abc import AsyncIterator
from typing import Any, Protocol, assert_never

import msgspec

from liftlock.domain.inputs.manifest import Measured
from liftlock.domain.inputs.oci import (
    MANIFESTS,
    MAX_DOCUMENT_BYTES,
    MAX_LAYER_BYTES,
    Archive,
    Descriptor,
    Image,
    ImageConfig,
    Layout,
    Registry,
    compression,
    read_config,
    read_index,
    read_manifest,
    read_saved,
)
from liftlock.domain.inputs.policy import PoolPolicy
from liftlock.domain.inputs.registry_login import Logins
from liftlock.errors import InputValidationError, MalformedPayloadError, NotFoundError
from liftlock.ports.downloads import Downloader
from liftlock.ports.input_store import Blob, InputRejectedError, InputStore
from liftlock.ports.sandbox import ImageLayer, ImageRequest, Sandbox, Scratch, UnpackRequest
from liftlock.values.json import decode, digest
from liftlock.worker.fetching import Fetcher
from liftlock.worker.registry import RegistryBlobs
from liftlock.worker.trees import RunTrees

RECIPE = 1
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_READ_BYTES = 1 << 18


class ReadyImage(msgspec.Struct, frozen=True):
    """An image's root directory in the store, its environment, and what the manifest says of it.

    `directory` and `home`: where its programs begin, and the home it names; absolute and plain, or None.
    """

    root: str
    env: dict[str, str]
    command: tuple[str, ...]
    wire: dict[str, Any]
    directory: str | None = None
    home: str | None = None


class Blobs(Protocol):
    """Where an image's blobs come from."""

    async def get(self, found: Descriptor, what: str) -> Blob:
        """Return the stored blob, measured against digest and (if not 0) size."""
        ...


class Images:
    """Prepares the image of one run. `files`: the inputs that are files, by name."""

    def __init__(
        self,
        *,
        store: InputStore,
        sandbox: Sandbox,
        scratch: Scratch,
        downloader: Downloader | None,
        fetcher: Fetcher,
        policy: PoolPolicy,
        trees: RunTrees,
        logins: Logins,
    ) -> None:
        self._logins = logins
        self._store = store
        self._trees = trees
        self._sandbox = sandbox
        self._scratch = scratch
        self._downloader = downloader
        self._fetcher = fetcher
        self._policy = policy
        self._architecture = _MACHINES.get(platform.machine(), platform.machine())

    async def prepare(self, image: Image, files: dict[str, Blob]) -> ReadyImage:
        """Return the image, unpacked.

        Raises:
            InputValidationError, InputRejectedError: a blob or layer is not what was declared, or none was.
            LiftlockError: it can't be had.
        """
        source = image.source
        match source:
            case Registry():
                address = self._registry(source, image.at)
                login = self._logins.get(source.host)
                blobs: Blobs = RegistryBlobs(self._store, address, source.name, self._downloader, login)
                return await self._from_blobs(image.sha256, blobs)
            case Layout():
                directory = self._policy.layouts.get(source.name)
                if directory is None:
                    raise InputValidationError(
                        f"{image.at}.layout: the pool's policy names no {source.name!r}"
                    )
                return await self._from_blobs(image.sha256, _LayoutBlobs(self._store, directory))
            case Archive():
                archive = await self._archive(image, source, files)
                return await self._from_archive(image, archive)
            case _:
                assert_never(source)

    def _registry(self, source: Registry, at: str) -> str:
        address = self._policy.registries.get(source.host)
        if address is None:
            named = ", ".join(sorted(self._policy.registries)) or "it names none"
            raise InputValidationError(f"{at}.oci: expected a registry of the pool's policy ({named})")
        return address

    async def _archive(self, image: Image, source: Archive, files: dict[str, Blob]) -> Blob:
        if image.declaration is not None:
            return (await self._fetcher.fetch(image.declaration)).blob
        found = files.get(source.input)
        if found is None:
            raise InputValidationError(
                f"{image.at}.input: no input that is one file is called {source.input!r}"
            )
        return found

    async def _from_blobs(self, sha256: str | None, blobs: Blobs) -> ReadyImage:
        if sha256 is None:
            raise AssertionError("only an archive may have no digest")
        first = await blobs.get(Descriptor(sha256, 0, MANIFESTS[0]), "the image's manifest")
        inner = read_index(_read(first), architecture=self._architecture)
        if inner is not None:
            first = await blobs.get(inner, "the image's manifest")
        config_at, layers_at = read_manifest(_read(first))
        config_blob = await blobs.get(config_at, "the image's configuration")
        config = read_config(_read(config_blob), layers=len(layers_at), architecture=self._architecture)
        layers = [await blobs.get(one, f"layer {number}") for number, one in enumerate(layers_at, 1)]
        kinds = [compression(one.media_type) for one in layers_at]
        return await self._root(config, layers, kinds, {"manifest": first, "config": config_blob}, sha256)

    async def _from_archive(self, image: Image, archive: Blob) -> ReadyImage:
        """Unpack the archive as a tree of the store, then take its blobs by digest."""
        made = digest({"recipe": RECIPE, "imageArchive": archive.sha256})
        tree = self._trees.get(made)
        if tree is None:
            name = self._trees.new_name()
            request = UnpackRequest((archive.path,), self._scratch, tree=name, max_bytes=MAX_LAYER_BYTES)
            done = await self._sandbox.unpack(request)
            if done.problem is not None:
                raise InputRejectedError(f"the image's archive can't be unpacked: {done.problem}")
            tree = await self._trees.keep(name, made, done)
        layout = _LayoutBlobs(self._store, tree)
        if layout.has("index.json"):
            top = await layout.add("index.json", MAX_DOCUMENT_BYTES)
            if image.sha256 is not None:
                return await self._from_blobs(image.sha256, layout)
            return await self._from_blobs(_only_manifest(_read(top)), layout)
        if image.sha256 is not None:
            raise InputValidationError(
                f"{image.at}.digest: an archive of `docker save` has no manifest to compare; expected none"
            )
        return await self._from_saved(layout)

    async def _from_saved(self, layout: _LayoutBlobs) -> ReadyImage:
        saved = read_saved(_read(await layout.add("manifest.json", MAX_DOCUMENT_BYTES)))
        config_blob = await layout.add(saved.config, MAX_DOCUMENT_BYTES)
        layers = [await layout.add(one, MAX_LAYER_BYTES) for one in saved.layers]
        config = read_config(_read(config_blob), layers=len(layers), architecture=self._architecture)
        return await self._root(config, layers, ["none"] * len(layers), {"config": config_blob}, None)

    async def _root(
        self,
        config: ImageConfig,
        layers: list[Blob],
        kinds: list[str],
        documents: dict[str, Blob],
        sha256: str | None,
    ) -> ReadyImage:
        made = digest({"recipe": RECIPE, "diffIds": list(config.diff_ids)})
        root = self._trees.get(made)
        cached = root is not None
        if root is None:
            name = self._trees.new_name()
            given = tuple(
                ImageLayer(blob.path, kind, diff_id)
                for blob, kind, diff_id in zip(layers, kinds, config.diff_ids, strict=True)
            )
            done = await self._sandbox.unpack_image(ImageRequest(given, self._scratch, name))
            if done.problem is not None:
                raise InputRejectedError(f"the image can't be unpacked: {done.problem}")
            root = await self._trees.keep(name, made, done)
        files = [Measured(name, blob.sha256, blob.size) for name, blob in documents.items()]
        files += [Measured(f"layer {n}", blob.sha256, blob.size) for n, blob in enumerate(layers, 1)]
        wire: dict[str, Any] = {
            "files": [msgspec.to_builtins(one) for one in files],
            "diffIds": list(config.diff_ids),
            "tree": f"sha256:{made}",
            "cached": cached,
        }
        if sha256 is not None:
            wire["digest"] = f"sha256:{sha256}"
        return ReadyImage(root, config.env, config.command, wire, config.directory, config.home)


class _LayoutBlobs:
    """Blobs of an OCI layout in a directory; nothing in it is believed but what measures right."""

    def __init__(self, store: InputStore, directory: str) -> None:
        self._store = store
        self._directory = directory

    async def get(self, found: Descriptor, what: str) -> Blob:
        """Return the blob, measured."""
        stored = await self._store.verified(found.sha256)
        if stored is not None:
            return stored
        most = found.size or MAX_DOCUMENT_BYTES
        chunks = _chunks(self._directory, f"blobs/sha256/{found.sha256}")
        return await self._store.add(
            chunks, what=what, max_bytes=most, sha256=found.sha256, size=found.size or None
        )

    def has(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return os.path.lexists(f"{self._directory}/{path}")

    async def add(self, path: str, most: int) -> Blob:
        """Return a file of the layout as it measures."""
        return await self._store.add(_chunks(self._directory, path), what=path, max_bytes=most)


def _only_manifest(index: bytes) -> str:
    try:
        [one] = decode(index, what="index")["manifests"]
        digest = str(one["digest"])
    except (MalformedPayloadError, KeyError, TypeError, ValueError) as error:
        raise InputValidationError(
            "the image's archive: expected an index of exactly one image, or a digest that says which"
        ) from error
    if not digest.startswith("sha256:") or len(digest) != 71 or not digest[7:].isalnum():
        raise InputValidationError("the image's archive: expected a digest of sha256:…")
    return digest[7:]


async def _chunks(directory: str, name: str) -> AsyncIterator[bytes]:
    """Yield a file's bytes; a path that leaves `directory` by a link is refused: an archive may hold any link."""
    path = os.path.realpath(f"{directory}/{name}")  # noqa: ASYNC240 -- local, and nobody changes it meanwhile
    if not path.startswith(f"{os.path.realpath(directory)}/"):  # noqa: ASYNC240 -- as above
        raise InputRejectedError(f"the image's {name[:100]!r} leads out of it")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotFoundError(f"the image has no {path.rpartition('/')[2][:100]}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputRejectedError(f"the image's {path.rpartition('/')[2][:100]} is no file")
        while chunk := file.read(_READ_BYTES):
            yield chunk


def _read(blob: Blob) -> bytes:
    """Return a document's bytes, which were measured and are few."""
    with open(blob.path, "rb") as file:
        return file.read(MAX_DOCUMENT_BYTES)
