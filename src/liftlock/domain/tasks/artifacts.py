"""Artifacts: what a run may create, what may replace what, how links are followed, what a browser may render.

Source: docs/reference/queue.md#artifacts
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, assert_never

import msgspec

from liftlock.domain.scopes.satisfaction import AllOf, Expression
from liftlock.domain.tasks.lifecycle import Conflict, Run
from liftlock.errors import InputInvalidError, InputValidationError
from liftlock.values.instants import format_ms, parse_instant, to_ms

Storage = Literal["s3", "object", "reference", "link", "error"]
Encoding = Literal["identity", "gzip"]

GRACE_AFTER_EXCEPTION = timedelta(minutes=25)
"""How long after an exception a worker may still add logs and other traces of the run."""
MAX_NAME = 1024
"""Characters of an artifact's name."""
MAX_LINK_HOPS = 32
MAX_LIVE_LOG_BYTES = 64 * 1024 * 1024
"""Bytes of a live log that are kept while the task runs; the final log has no such bound."""
MAX_LIVE_CHUNK_BYTES = 1024 * 1024
PUBLIC = "public/"
_NAME = re.compile(r"[\x20-\x7e]{1,1024}\Z", re.ASCII)
_TYPE = re.compile(r"[\x20-\x7e]{1,255}\Z", re.ASCII)
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f<>\"]+\Z")
_ENCODINGS: dict[str, Encoding] = {"": "identity", "identity": "identity", "gzip": "gzip", "x-gzip": "gzip"}
_SAFE_INLINE = frozenset(
    {
        "application/json",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/log",
        "text/plain",
    }
)
"""Content types that a browser shows without running anything in them."""


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    storage_type: Storage
    expires: str
    content_type: Annotated[str, msgspec.Meta(max_length=255)] | None = None
    content_length: Annotated[int, msgspec.Meta(ge=0)] | None = None
    url: str | None = None
    artifact: str | None = None
    reason: (
        Literal[
            "file-missing-on-worker",
            "invalid-resource-on-worker",
            "too-large-file-on-worker",
            "file-not-readable-on-worker",
        ]
        | None
    ) = None
    message: Annotated[str, msgspec.Meta(max_length=4096)] | None = None


class Declared(msgspec.Struct, frozen=True):
    """What a run says of an artifact when it creates it. `target` is the URL of a reference, the name of a link."""

    storage: Storage
    content_type: str
    expires_ms: int
    target: str | None = None
    reason: str | None = None
    message: str | None = None


class Content(msgspec.Struct, frozen=True):
    """The stored bytes, as measured by us.

    `blob` is the sha256 of the stored (perhaps compressed) bytes and their key; `sha256` and `length` are of the
    uncompressed content. All digests are lower-case hexadecimal.
    """

    blob: str
    stored_bytes: int
    encoding: Encoding
    sha256: str
    length: int
    sha512: str | None = None


class Artifact(msgspec.Struct, frozen=True):
    """One artifact of one run. `content` is None until an upload is complete, and for types without bytes."""

    name: str
    declared: Declared
    content: Content | None = None
    upload_id: str | None = None

    @property
    def visible(self) -> bool:
        """Whether readers may see it: half an upload is nothing."""
        return self.content is not None or self.declared.storage in ("reference", "link", "error")


def artifact_name(text: str) -> str:
    """Parse an artifact's name: 1 to 1024 printable ASCII characters, slashes included."""
    if _NAME.match(text) is None:
        raise InputInvalidError(
            f"artifact name: expected 1 to {MAX_NAME} printable ASCII characters, got {text[:128]!r}"
        )
    return text


def need_to_read(name: str) -> Expression:
    """Return what somebody needs to read an artifact of that name: nothing if it is public by its name."""
    return AllOf() if name.startswith(PUBLIC) else f"queue:get-artifact:{name}"


def declare(given: Mapping[str, Any], *, task_expires_ms: int, now: datetime) -> Declared:
    """Return what the body of createArtifact declares.

    Raises:
        InputValidationError: a field is missing, unknown or of the wrong form.
        InputInvalidError: it expires after its task or in the past, or a field does not fit the storage type.
    """
    try:
        parsed = msgspec.convert(dict(given), _Given)
    except msgspec.ValidationError as error:
        raise InputValidationError(f"artifact: {error}") from error
    expires_ms = to_ms(parse_instant(parsed.expires, what="expires"))
    if expires_ms > task_expires_ms:
        raise InputInvalidError(
            f"expires: {parsed.expires} is after the task's own, {format_ms(task_expires_ms)}; make it that or earlier"
        )
    if expires_ms <= to_ms(now):
        raise InputInvalidError(f"expires: {parsed.expires} has passed")
    _expect_fields(parsed)
    kind = "application/binary" if parsed.content_type is None else parsed.content_type
    if parsed.storage_type == "error":
        kind = "application/json"
    if _TYPE.match(kind) is None:
        raise InputInvalidError(f"contentType: expected printable ASCII, got {kind[:64]!r}")
    return Declared(parsed.storage_type, kind, expires_ms, _target(parsed), parsed.reason, parsed.message)


_FIELDS: dict[Storage, tuple[frozenset[str], frozenset[str]]] = {
    "s3": (frozenset({"content_type"}), frozenset({"content_length"})),
    "object": (frozenset({"content_type"}), frozenset({"content_length"})),
    "reference": (frozenset({"content_type", "url"}), frozenset()),
    "link": (frozenset({"artifact"}), frozenset({"content_type"})),
    "error": (frozenset({"reason", "message"}), frozenset()),
}
"""Storage type → fields it needs, further fields it may have."""


def _expect_fields(parsed: _Given) -> None:
    needed, optional = _FIELDS[parsed.storage_type]
    for field in ("content_type", "content_length", "url", "artifact", "reason", "message"):
        present = getattr(parsed, field) is not None
        if present and field not in needed | optional:
            raise InputInvalidError(
                f"{_camel(field)}: not a field of an artifact of storageType {parsed.storage_type}"
            )
        if not present and field in needed:
            raise InputInvalidError(
                f"{_camel(field)}: missing for an artifact of storageType {parsed.storage_type}"
            )


def _camel(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(part.title() for part in rest)


def _target(parsed: _Given) -> str | None:
    if parsed.url is not None and _URL.match(parsed.url) is None:
        raise InputInvalidError(f"url: expected an http(s) URL, got {parsed.url[:128]!r}")
    return parsed.url if parsed.artifact is None else artifact_name(parsed.artifact)


class Create(msgspec.Struct, frozen=True):
    """Store this declaration: there is none of that name yet, or it may be replaced."""

    declared: Declared


class Same(msgspec.Struct, frozen=True):
    """The same is there already; with a later `expires_ms` if that is to be extended."""

    extend_to_ms: int | None


def admit(existing: Artifact | None, declared: Declared) -> Create | Same | Conflict:
    """Return what declaring an artifact does when `existing` has its name already.

    Immutable, but: a reference gives way to a reference or a link; `expires` may become later.
    """
    if existing is None:
        return Create(declared)
    old = existing.declared
    if msgspec.structs.replace(old, expires_ms=declared.expires_ms) == declared:
        if declared.expires_ms < old.expires_ms:
            return Conflict(
                f"artifact {existing.name!r} exists and expires {format_ms(old.expires_ms)}; it can only be made later"
            )
        return Same(declared.expires_ms if declared.expires_ms > old.expires_ms else None)
    if old.storage == "reference" and declared.storage in ("reference", "link"):
        return Create(declared)
    return Conflict(
        f"artifact {existing.name!r} exists with other properties (storageType {old.storage},"
        f" contentType {old.content_type}) and artifacts are immutable"
    )


def may_write(runs: tuple[Run, ...], run_id: int, now_ms: int) -> Conflict | None:
    """Return None if run `run_id` may create or fill artifacts at `now_ms`, else why not.

    It may while it runs and its claim holds, and until `GRACE_AFTER_EXCEPTION` after it ended as an exception; a
    worker that let its claim lapse may not.
    """
    if not 0 <= run_id < len(runs):
        return Conflict(f"the task has no run {run_id}")
    run = runs[run_id]
    match run.state:
        case "running":
            if run.taken_until_ms is not None and now_ms < run.taken_until_ms:
                return None
            return Conflict(f"the claim on run {run_id} has lapsed; stop working on it")
        case "exception":
            until = (run.resolved_ms or 0) + GRACE_AFTER_EXCEPTION // timedelta(milliseconds=1)
            fenced = run.started_ms is None or run.reason_resolved == "claim-expired"
            if not fenced and now_ms < until:
                return None
            return Conflict(
                f"run {run_id} ended as an exception ({run.reason_resolved}); its artifacts are closed"
            )
        case "pending" | "completed" | "failed":
            return Conflict(f"run {run_id} is {run.state}: artifacts are created while it is running")
        case _:
            assert_never(run.state)


def follow(
    name: str, find: Callable[[str], Artifact | None], allow: Callable[[str], None]
) -> Artifact | None:
    """Return the artifact that `name` leads to over any links, or None if there is none.

    Args:
        find: The run's artifact of a name.
        allow: Raises unless the caller may read the artifact of a name; asked at every hop, before it is looked up.
    Raises:
        InputInvalidError: the links form a cycle, or more than `MAX_LINK_HOPS`.
        Whatever `allow` raises.
    """
    seen: list[str] = []
    while True:
        allow(name)
        if name in seen:
            raise InputInvalidError(f"artifact links form a cycle: {' -> '.join([*seen, name])[:2000]}")
        if len(seen) == MAX_LINK_HOPS:
            raise InputInvalidError(f"artifact {seen[0]!r}: more than {MAX_LINK_HOPS} links in a row")
        seen.append(name)
        found = find(name)
        if found is None or found.declared.storage != "link":
            return found
        name = found.declared.target or ""


def encoding_of(header: str | None) -> Encoding:
    """Return the encoding that a Content-Encoding header names.

    Raises:
        InputInvalidError: one that we cannot measure the content of.
    """
    found = _ENCODINGS.get((header or "").strip().lower())
    if found is None:
        raise InputInvalidError(f"Content-Encoding: expected gzip, identity or none, got {header!r}")
    return found


def is_safe_inline(content_type: str) -> bool:
    """Tell whether a browser may show this content in place; everything else is offered as a download."""
    return content_type.partition(";")[0].strip().lower() in _SAFE_INLINE


def wire_of(artifact: Artifact) -> dict[str, Any]:
    """Return an entry of listArtifacts and the answer of artifactInfo."""
    wire: dict[str, Any] = {
        "name": artifact.name,
        "storageType": artifact.declared.storage,
        "contentType": artifact.declared.content_type,
        "expires": format_ms(artifact.declared.expires_ms),
    }
    if artifact.content is not None:
        wire["contentLength"] = artifact.content.length
        wire["sha256"] = artifact.content.sha256
    return wire


def object_name(task_id: str, run_id: int, name: str) -> str:
    """Return the name under which an artifact of storage type object is kept by the object service."""
    return f"t/{task_id}/{run_id}/{name}"
