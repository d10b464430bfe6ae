"""Exports, checkpoints and proofs of the audit log as files: what is verified without a server.

Source: docs/reference/audit.md#files
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from liftlock.cli.failures import UsageError
from liftlock.domain.audit.entry import Row
from liftlock.domain.audit.note import BadNoteError, Checkpoint, Verifier, open_checkpoint, parse_verifier
from liftlock.domain.audit.verification import Sequenced
from liftlock.errors import MalformedPayloadError
from liftlock.values.json import decode_as, encode

FORMAT: Final = "liftlock-audit/1"


class WireEntry(msgspec.Struct, frozen=True):
    """A place of the log as the API and an export say it; `leaf` is hexadecimal, empty if the tree has lost it."""

    seq: int
    leaf: str
    row: Row | None


class ExportHead(msgspec.Struct, frozen=True):
    """The first line of an export: the log's key and signed checkpoints. Places follow, one a line, from 0 on."""

    format: str
    key: str
    checkpoints: list[str]


class Inclusion(msgspec.Struct, frozen=True):
    """A file that proves one row: the path from its leaf to the root of the checkpoint; hashes are hexadecimal."""

    key: str
    entry: WireEntry
    path: list[str]
    checkpoint: str


class Consistency(msgspec.Struct, frozen=True):
    """A file that proves that one checkpoint's rows are the beginning of another's."""

    key: str
    old: str
    new: str
    path: list[str]


def sequenced(entry: WireEntry) -> Sequenced:
    """Return the place as the verification takes it."""
    return Sequenced(entry.seq, unhex(entry.leaf), entry.row)


def unhex(text: str) -> bytes:
    """Return the bytes of hexadecimal text; MalformedPayloadError if it is none."""
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise MalformedPayloadError(f"expected a hash in hexadecimal, got {text[:80]!r}") from error


def without_gaps(entries: Iterable[Sequenced]) -> Iterator[Sequenced]:
    """Yield the entries with every place that is left out as one without a row.

    Raises:
        MalformedPayloadError: the places are not in order: then what they say of the tree is not to be told.
    """
    expected = 0
    for entry in entries:
        if entry.seq < expected:
            raise MalformedPayloadError(
                f"place {entry.seq} stands after place {expected - 1}: this is no export"
            )
        for lost in range(expected, entry.seq):
            yield Sequenced(lost, b"", None)
        yield entry
        expected = entry.seq + 1


@contextmanager
def opened_export(path: Path) -> Iterator[tuple[ExportHead, Iterator[Sequenced]]]:
    """Yield the head of the export and its places, read as they are taken.

    Raises:
        UsageError: it can't be read, or is no export.
        MalformedPayloadError: a line of it is damaged; the message says which.
    """
    try:
        with path.open("rb") as file:
            head = decode_as(file.readline(), ExportHead, what=f"{path} line 1")
            if head.format != FORMAT:
                raise UsageError(
                    f"{path}: expected an export of the format {FORMAT}, got {head.format[:40]!r}"
                )
            yield head, _lines(path, file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _lines(path: Path, file: IO[bytes]) -> Iterator[Sequenced]:
    for number, line in enumerate(file, start=2):
        yield sequenced(decode_as(line, WireEntry, what=f"{path} line {number}"))


def write_export(out: IO[bytes], head: ExportHead, entries: Iterable[WireEntry]) -> int:
    """Write an export; return how many places it holds."""
    out.write(encode(head) + b"\n")
    count = 0
    for entry in entries:
        out.write(encode(entry) + b"\n")
        count += 1
    return count


def read_key(text: str) -> Verifier:
    """Return the key that `text` is, or that the file of this name holds."""
    if "+" not in text or Path(text).is_file():
        text = _read(Path(text))
    return parse_verifier(text)


def read_checkpoints(path: Path, verifier: Verifier) -> list[Checkpoint]:
    """Return all checkpoints of a file: one signed note, or several with an empty line between them.

    Raises:
        BadNoteError: one is malformed or not signed by the key; the message says where it stands.
    """
    blocks = [block for block in _read(path).strip("\n").split("\n\n") if block]
    found = []
    for at in range(-(-len(blocks) // 2)):
        note = "\n\n".join(blocks[2 * at : 2 * at + 2]) + "\n"
        try:
            found.append(open_checkpoint(note, verifier))
        except BadNoteError as error:
            raise BadNoteError(f"{path}, note {at + 1}: {error.message}") from error
    return found


def read_proof(path: Path) -> Inclusion | Consistency:
    """Return the proof in the file; UsageError if there is none."""
    text = _read(path)
    try:
        value: Any = json.loads(text)
        if isinstance(value, dict) and "entry" in value:
            return msgspec.convert(value, Inclusion)
        return msgspec.convert(value, Consistency)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: expected a proof that `liftlock audit proof` wrote: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
