"""A package index as it was at an instant: which files of an answer of the simple API had been uploaded by then. Pure.

Source: the simple repository API, version 1.1 (`upload-time`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import msgspec

from liftlock.domain.inputs.declarations import Snapshot
from liftlock.errors import InputInvalidError, InputValidationError, MalformedPayloadError
from liftlock.values.instants import parse_instant
from liftlock.values.json import decode

MAX_FILES = 20_000


class IndexedFile(msgspec.Struct, frozen=True):
    """A file that had been uploaded: its sha256 as the index says, and of its metadata where that is offered."""

    filename: str
    url: str
    sha256: str
    metadata_sha256: str | None


def before(source: Snapshot, path: str) -> datetime:
    """Return the instant of a snapshot, or raise InputValidationError."""
    try:
        return parse_instant(source.before, what=path)
    except InputInvalidError as error:
        raise InputValidationError(error.message, path=path) from error


def as_of(content: bytes, url: str, instant: datetime) -> tuple[list[dict[str, Any]], list[IndexedFile]]:
    """Return what an answer's `files` were at `instant`: entries for the task without addresses, and where they lie.

    Files without an upload time or a sha256 are left out: nothing is known of them.

    Raises:
        InputValidationError: the answer is none of the simple API's JSON.
    """
    try:
        said = decode(content, what="answer")
        files = said["files"]
    except (MalformedPayloadError, KeyError, TypeError) as error:
        raise InputValidationError("the index does not answer with the simple API's JSON") from error
    if not isinstance(files, list) or len(files) > MAX_FILES:
        raise InputValidationError(f"the index lists more than {MAX_FILES} files, or no list")
    entries, found = [], []
    for one in files:
        file = _file(one, url, instant)
        if file is not None:
            kept = {
                key: one[key] for key in ("requires-python", "yanked", "size", "upload-time") if key in one
            }
            entries.append({"filename": file.filename, "hashes": {"sha256": file.sha256}, **kept})
            found.append(file)
    return entries, found


def _file(one: Any, url: str, instant: datetime) -> IndexedFile | None:
    if not isinstance(one, dict):
        return None
    hashes, uploaded = one.get("hashes"), one.get("upload-time")
    name, where = one.get("filename"), one.get("url")
    if not isinstance(hashes, dict) or not all(isinstance(each, str) for each in (uploaded, name, where)):
        return None
    sha256 = hashes.get("sha256")
    if not isinstance(sha256, str) or len(sha256) != 64 or "/" in str(name):
        return None
    try:
        if parse_instant(str(uploaded), what="upload-time") >= instant:
            return None
    except InputInvalidError:
        return None
    offered = one.get("core-metadata", one.get("data-dist-info-metadata"))
    metadata = offered.get("sha256") if isinstance(offered, dict) else None
    return IndexedFile(str(name), urljoin(url, str(where)), sha256, metadata)
