"""The inputs that a task declares: kinds, where they go, what is promised of their bytes.

Source: docs/reference/worker.md#inputs
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from liftlock.domain.inputs.fields import Fields, flag, list_of, size, text, unique, whole, wrong
from liftlock.domain.inputs.piping import OUTPUT
from liftlock.domain.inputs.places import build_path, mount_path, overlaps, relative_path
from liftlock.domain.inputs.promises import (
    NOTHING,
    Promise,
    Signature,
    promise,
    sha256,
    sha512,
    signature,
    url,
)
from liftlock.errors import InputValidationError
from liftlock.values.ids import is_task_id

MAX_INPUTS = 200
MAX_RAW_CHARS = 256 * 1024
MAX_UNPACK_BYTES = 64 << 30
DEFAULT_UNPACK_BYTES = 2 << 30
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
_REVISION = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})\Z", re.ASCII)
_NODE = 40
_PROJECT = re.compile(r"[a-zA-Z0-9_-]{1,50}\Z", re.ASCII)
_ARTIFACT = re.compile(r"[\x20-\x7e]{1,1024}\Z", re.ASCII)
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z\Z", re.ASCII)
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f<>\"\\]{1,1000}\Z")


class Mount(msgspec.Struct, frozen=True):
    """Read-only at `path` (absolute, below /inputs); `archive`: as the tree that it unpacks to, kept for the next task."""

    path: str
    archive: bool = False
    strip: int = 0
    max_bytes: int = 2 << 30


class Unpack(msgspec.Struct, frozen=True):
    """A writable copy below /build that belongs to the task; archives are unpacked, `strip` leading names dropped."""

    path: str
    strip: int = 0
    max_bytes: int = DEFAULT_UNPACK_BYTES
    archive: bool = True
    """False: the file is copied to `path` as it is."""


class Served(msgspec.Struct, frozen=True):
    """At no path: answered by the locked package index inside the sandbox's network."""

    path: str = ""


Place = Mount | Unpack | Served


class Git(msgspec.Struct, frozen=True):
    """A recorded revision of a registered project, or of the project whose identity is `url`; one of both is given."""

    revision: str
    project: str | None = None
    url: str | None = None


class Mercurial(Git, frozen=True):
    """The same, of a project that is a Mercurial repository."""


class Lock(msgspec.Struct, frozen=True):
    """A lock file inside the input called `input`; `path` is relative to it, None if the input is the file."""

    input: str
    path: str | None = None


class Pip(msgspec.Struct, frozen=True):
    """The wheels that a lock file names, each by digest, as one importable tree."""

    lock: Lock


class TaskArtifact(msgspec.Struct, frozen=True):
    """An artifact of another task's last run. `sha256`: what it must measure, None if the task does not promise it."""

    task_id: str
    artifact: str
    sha256: str | None = None


class TaskOutput(msgspec.Struct, frozen=True):
    """The output called `output` of the one dependency called `label`."""

    label: str
    output: str


class Raw(msgspec.Struct, frozen=True):
    """The text itself, as UTF-8."""

    content: str


class Url(msgspec.Struct, frozen=True):
    """What an address gives."""

    url: str


class Tooltool(msgspec.Struct, frozen=True):
    """A file of the pool's tooltool server, found by its sha512; size and digest are the promise."""

    filename: str


class IndexArtifact(msgspec.Struct, frozen=True):
    """An artifact of the task that is indexed at `namespace` when the input is fetched."""

    namespace: str
    artifact: str


class Npm(msgspec.Struct, frozen=True):
    """The packages that a package-lock.json names, each by its sha512, from the policy's npm registry."""

    lock: Lock


class Answer(msgspec.Struct, frozen=True):
    """One answer of an earlier snapshot: what it was to, and the digest of what it held."""

    path: str
    sha256: str


class Snapshot(msgspec.Struct, frozen=True):
    """The index called `index` by the pool's policy as it was at `before`; with `answers`, replayed from the store."""

    index: str
    before: str
    answers: tuple[Answer, ...] | None = None


Source = Git | Pip | TaskArtifact | TaskOutput | Raw | Url | Tooltool | IndexArtifact | Npm | Snapshot
Kind = Literal["git", "hg", "pip", "task", "raw", "url", "tooltool", "index", "npm", "index-snapshot"]


class Declaration(msgspec.Struct, frozen=True):
    """One declared input; `at` is its path in the payload, for messages."""

    name: str
    kind: Kind
    source: Source
    place: Place
    at: str
    promise: Promise = NOTHING
    signature: Signature | None = None


def declarations(value: object, path: str) -> tuple[Declaration, ...]:
    """Read `payload.inputs`.

    Raises:
        InputValidationError: at the first item that is malformed, names something twice, or lies in another's way.
    """
    found = list_of(_declaration, most=MAX_INPUTS)(value, path)
    unique(((one.name, f"{one.at}.name") for one in found), "name")
    for index, one in enumerate(found):
        for earlier in found[:index]:
            if isinstance(one.place, Served) or isinstance(earlier.place, Served):
                continue
            if overlaps(one.place.path, earlier.place.path):
                raise InputValidationError(
                    f"{one.at}: {one.place.path} lies in the way of {earlier.name} at {earlier.place.path};"
                    " expected places apart",
                    path=one.at,
                )
    return found


def artifact(kind: Literal["task", "index"], value: object, path: str) -> Declaration:
    """Read the artifact that something other than an input names, `value` being what stands at `path`."""
    found = _READERS[kind](value, path)
    if isinstance(found, _Labelled):
        wrong(path, "a task's id and an artifact", "a label")
    if isinstance(found, _Promised):
        return Declaration(kind, kind, found.source, Served(), path, found.promise)
    return Declaration(kind, kind, found, Served(), path, Promise(found.sha256))


def _declaration(value: object, path: str) -> Declaration:
    fields = Fields(value, path)
    name = fields.take(
        "name", text(expected="a name of [A-Za-z0-9_.-], at most 64 characters", fits=_NAME.match)
    )
    present = [kind for kind in _READERS if fields.has(kind)]
    if len(present) != 1:
        raise InputValidationError(
            f"{path}: expected exactly one of {', '.join(_READERS)}, found {', '.join(present) or 'none'}",
            path=path,
        )
    kind = present[0]
    source: Any = fields.take(kind, _READERS[kind])
    if isinstance(source, _Labelled):
        output = fields.take("output", text(expected="the name of an output", fits=OUTPUT.match))
        source = _Promised(TaskOutput(source.label, output), Promise(source.sha256))
    promised = _promise(fields, source)
    signed = fields.get("verify", signature, None) if _is_file(source) else None
    place = _place(fields, source)
    fields.done()
    if isinstance(source, _Promised):
        source, promised = source.source, source.promise
    return Declaration(name, kind, source, place, path, promised, signed)


class _Promised(msgspec.Struct, frozen=True):
    """A source whose own object held the promise."""

    source: Source
    promise: Promise


class _Labelled(msgspec.Struct, frozen=True):
    """A dependency by its label; which of its outputs stands beside it."""

    label: str
    sha256: str | None


def _is_file(source: object) -> bool:
    return isinstance(source, Url | TaskArtifact | _Promised)


def _promise(fields: Fields, source: object) -> Promise:
    if isinstance(source, Url):
        return promise(fields)
    return Promise(source.sha256) if isinstance(source, TaskArtifact) else NOTHING


def _place(fields: Fields, source: object) -> Place:
    mounted, unpacked = fields.has("mount"), fields.has("unpack")
    if isinstance(source, Snapshot) and (mounted or unpacked):
        wrong(fields.path, "neither mount nor unpack for a snapshot, which is served", "one of them")
    if isinstance(source, Npm) and mounted:
        wrong(fields.at("mount"), "unpack: {to: /build/…}, or nothing: then the packages are served", "mount")
    if isinstance(source, Snapshot | Pip | Npm) and not mounted and not unpacked:
        return Served()
    if mounted == unpacked:
        raise InputValidationError(
            f"{fields.path}: expected exactly one of mount and unpack, found {'both' if mounted else 'none'}",
            path=fields.path,
        )
    if mounted:
        if isinstance(source, Git):
            raise InputValidationError(
                f"{fields.at('mount')}: a repository is a checkout that the task owns; expected unpack: {{to: /build/…}}",
                path=fields.at("mount"),
            )
        return fields.take("mount", lambda value, path: _mount(value, path, source))
    return fields.take("unpack", lambda value, path: _unpack(value, path, source))


def _mount(value: object, path: str, source: object) -> Mount:
    """Read `/inputs/…`, or `{path, unpack: true, strip, maxBytes}` for the tree of an archive."""
    if not isinstance(value, dict):
        return Mount(mount_path(value, path))
    fields = Fields(value, path)
    where = fields.take("path", mount_path)
    archive = fields.get("unpack", flag, default=False)
    strip = fields.get("strip", whole(0, 20), 0)
    most = fields.get("maxBytes", size(MAX_UNPACK_BYTES), DEFAULT_UNPACK_BYTES)
    fields.done()
    if (archive or strip) and not (archive and _is_file(source)):
        wrong(path, "unpack and strip only for an input that is an archive", value)
    return Mount(where, archive, strip, most)


def _unpack(value: object, path: str, source: object) -> Unpack:
    fields = Fields(value, path)
    to = fields.take("to", build_path)
    strip = fields.get("strip", whole(0, 20), 0)
    most = fields.get("maxBytes", size(MAX_UNPACK_BYTES), DEFAULT_UNPACK_BYTES)
    writable = fields.get("writable", _yes, default=True)
    archive = fields.get("archive", flag, default=not isinstance(source, Raw))
    if strip and not (archive and _is_file(source)):
        wrong(fields.at("strip"), "0 for what is no archive", strip)
    fields.done()
    assert writable
    return Unpack(to, strip, most, archive)


def _yes(value: object, path: str) -> bool:
    """Read the only value that `writable` may have: what lies below /build is the task's own."""
    if value is not True:
        wrong(path, "true (use mount for what shall be read-only)", value)
    return True


def _git(value: object, path: str) -> Git:
    fields = Fields(value, path)
    revision = fields.take(
        "revision", text(expected="a revision of 40 or 64 hexadecimal digits", fits=_REVISION.match)
    )
    project = fields.get(
        "project", _optional(text(expected="1 to 50 of [a-zA-Z0-9_-]", fits=_PROJECT.match)), None
    )
    url = fields.get("url", _optional(text(expected="an http(s) address", fits=_URL.match)), None)
    if (project is None) == (url is None):
        raise InputValidationError(f"{path}: expected exactly one of project and url", path=path)
    fields.done()
    return Git(revision, project, url)


def _mercurial(value: object, path: str) -> Mercurial:
    found = _git(value, path)
    if len(found.revision) != _NODE:
        wrong(f"{path}.revision", f"a changeset of {_NODE} hexadecimal digits", found.revision)
    return Mercurial(found.revision, found.project, found.url)


def _pip(value: object, path: str) -> Pip:
    fields = Fields(value, path)
    lock = fields.take("lock", _lock)
    fields.done()
    return Pip(lock)


def _lock(value: object, path: str) -> Lock:
    fields = Fields(value, path)
    name = fields.take("input", text(expected="the name of another input", fits=_NAME.match))
    inside = fields.get("path", _optional(relative_path), None)
    fields.done()
    return Lock(name, inside)


def _task(value: object, path: str) -> TaskArtifact | _Labelled:
    fields = Fields(value, path)
    if fields.has("label"):
        label = fields.take("label", text(expected="the label of a dependency", most=255))
        digest = fields.get("sha256", _optional(sha256), None)
        fields.done()
        return _Labelled(label, digest)
    task_id = fields.take("id", text(expected="a taskId", fits=is_task_id))
    artifact = fields.take(
        "artifact", text(expected="an artifact's name (printable ASCII)", fits=_ARTIFACT.match)
    )
    digest = fields.get("sha256", _optional(sha256), None)
    fields.done()
    return TaskArtifact(task_id, artifact, digest)


def _raw(value: object, path: str) -> Raw:
    fields = Fields(value, path)
    content = fields.take("content", text(most=MAX_RAW_CHARS, fits=_is_text))
    fields.done()
    return Raw(content)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _optional(read: Any) -> Any:
    return lambda value, path: None if value is None else read(value, path)


def _npm(value: object, path: str) -> Npm:
    fields = Fields(value, path)
    lock = fields.take("lock", _lock)
    fields.done()
    return Npm(lock)


def _tooltool(value: object, path: str) -> _Promised:
    fields = Fields(value, path)
    digest = fields.take("sha512", sha512)
    length = fields.take("size", size(1 << 40))
    filename = fields.take("filename", relative_path)
    fields.done()
    return _Promised(Tooltool(filename), Promise(sha512=digest, size=length))


def _index(value: object, path: str) -> _Promised:
    fields = Fields(value, path)
    namespace = fields.take("namespace", text(expected="a namespace of the index", fits=_ARTIFACT.match))
    artifact = fields.take(
        "artifact", text(expected="an artifact's name (printable ASCII)", fits=_ARTIFACT.match)
    )
    promised = promise(fields)
    fields.done()
    return _Promised(IndexArtifact(namespace, artifact), promised)


def _snapshot(value: object, path: str) -> Snapshot:
    fields = Fields(value, path)
    index = fields.take("index", text(expected="the name of an index of the pool's policy", fits=_NAME.match))
    before = fields.take("before", text(expected="a time like 2026-01-31T12:00:00Z", fits=_INSTANT.match))
    answers = fields.get("answers", list_of(_answer, most=20_000), None)
    fields.done()
    return Snapshot(index, before, answers)


def _answer(value: object, path: str) -> Answer:
    fields = Fields(value, path)
    where = fields.take("path", text(expected="a path", most=2000))
    digest = fields.take("sha256", sha256)
    fields.done()
    return Answer(where, digest)


def _url(value: object, path: str) -> Url:
    return Url(url(value, path))


_READERS: dict[Kind, Any] = {
    "git": _git,
    "hg": _mercurial,
    "pip": _pip,
    "task": _task,
    "raw": _raw,
    "url": _url,
    "tooltool": _tooltool,
    "index": _index,
    "npm": _npm,
    "index-snapshot": _snapshot,
}
