"""Sdists and wheels, read and never run: names, metadata, RECORD, and that nothing in them is not what it seems.

Meant for a confined process: the bytes are hostile. Errors name the file and the rule.

Source: the binary and source distribution formats of the Python packaging specifications
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from email.parser import HeaderParser
from typing import Final, Literal, TypeVar

import msgspec
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from liftlock.domain.operations.contract import is_plain_path
from liftlock.errors import InputValidationError

MAX_MEMBERS: Final = 20_000
MAX_UNPACKED_BYTES: Final = 512 << 20
MAX_METADATA_BYTES: Final = 1 << 20
_UNRECORDED: Final = (".dist-info/RECORD", ".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")
_UTF8_FLAG: Final = 0x800
_ENCRYPTED_FLAG: Final = 0x1
Read = TypeVar("Read")


class Distribution(msgspec.Struct, frozen=True):
    """One file as it is. `files`: path → sha256, for an sdist without its top folder; `metadata`: header → values."""

    filename: str
    kind: Literal["sdist", "bdist_wheel"]
    name: str
    version: str
    python: str
    files: dict[str, str]
    metadata: dict[str, list[str]]


def read_distribution(filename: str, content: bytes) -> Distribution:
    """Return what a distribution is.

    Raises:
        InputValidationError: its name, its form, its metadata or its RECORD is not in order; the message names the file.
    """
    return _read(filename, content, _wheel, _sdist)


def unpacked(filename: str, content: bytes) -> dict[str, bytes]:
    """Return path → content of what is packed, for an sdist without its top folder; errors as `read_distribution`.

    Metadata and RECORD are not looked at: this is for showing what a distribution holds, whether it is in order or not.
    """
    return _read(filename, content, _wheel_files, _sdist_files)


def _read(
    filename: str, content: bytes, wheel: Callable[[str, bytes], Read], sdist: Callable[[str, bytes], Read]
) -> Read:
    try:
        if filename.endswith(".whl"):
            return wheel(filename, content)
        if filename.endswith(".tar.gz"):
            return sdist(filename, content)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise InputValidationError(f"{filename}: it can't be read: {error}") from error
    except (NotImplementedError, RuntimeError, UnicodeError) as error:
        raise InputValidationError(
            f"{filename}: it is packed in a way that is not accepted: {error}"
        ) from error
    raise InputValidationError(f"{filename}: expected a wheel (.whl) or an sdist (.tar.gz)")


def check_release(found: Iterable[Distribution], name: str, version: str) -> None:
    """Raise InputValidationError unless every distribution is of exactly this project and version."""
    wanted = (canonicalize_name(name), _version(version, "version"))
    for one in found:
        said = (canonicalize_name(one.name), _version(one.version, one.filename))
        if said != wanted:
            raise InputValidationError(
                f"{one.filename}: it is {one.name} {one.version}, and what was approved is {name} {version}"
            )


def _wheel(filename: str, content: bytes) -> Distribution:
    try:
        name, version, _build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise InputValidationError(f"{filename}: {error}") from error
    files = _wheel_files(filename, content)
    folder = _dist_info(filename, files)
    metadata = _metadata(filename, _needed(filename, files, f"{folder}/METADATA"))
    _needed(filename, files, f"{folder}/WHEEL")
    _check_record(filename, files, _needed(filename, files, f"{folder}/RECORD"))
    python = ".".join(sorted({tag.interpreter for tag in tags}))
    return _checked(filename, "bdist_wheel", str(name), version, python, files, metadata)


def _wheel_files(filename: str, content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _check_zip(filename, content, archive)
        return {one.filename: archive.read(one) for one in archive.infolist() if not one.is_dir()}


def _check_zip(filename: str, content: bytes, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    _check_paths(
        filename, [one.filename.removesuffix("/") if one.is_dir() else one.filename for one in members]
    )
    if sum(one.file_size for one in members) > MAX_UNPACKED_BYTES:
        raise InputValidationError(f"{filename}: it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    if not content.startswith(b"PK\x03\x04") or archive.comment or min(one.header_offset for one in members):
        raise InputValidationError(f"{filename}: something stands before or after the archive")
    for one in members:
        mode = one.external_attr >> 16
        if mode and not (
            stat.S_ISREG(mode) or (one.is_dir() and stat.S_ISDIR(mode)) or stat.S_IFMT(mode) == 0
        ):
            raise InputValidationError(f"{filename}: {one.filename} is no regular file")
        if one.flag_bits & _ENCRYPTED_FLAG:
            raise InputValidationError(f"{filename}: {one.filename} is encrypted")
        if not one.filename.isascii() and not one.flag_bits & _UTF8_FLAG:
            raise InputValidationError(f"{filename}: {one.filename!r} is not named in UTF-8")


def _check_paths(filename: str, paths: list[str]) -> None:
    """Refuse paths that lead elsewhere, and two that are one on some file system."""
    if not 1 <= len(paths) <= MAX_MEMBERS:
        raise InputValidationError(f"{filename}: expected 1 to {MAX_MEMBERS} members, found {len(paths)}")
    seen: set[str] = set()
    for path in paths:
        if not is_plain_path(path):
            raise InputValidationError(f"{filename}: {path[:200]!r} leads out of the archive")
        folded = path.casefold()
        if folded in seen:
            raise InputValidationError(f"{filename}: {path[:200]!r} is there twice")
        seen.add(folded)


def _dist_info(filename: str, files: dict[str, bytes]) -> str:
    expected = "-".join(filename.split("-")[:2]) + ".dist-info"
    found = sorted(
        {path.partition("/")[0] for path in files if path.partition("/")[0].endswith(".dist-info")}
    )
    if len(found) != 1 or found[0].casefold() != expected.casefold():
        raise InputValidationError(
            f"{filename}: expected one folder {expected}, found {', '.join(found) or 'none'}"
        )
    return found[0]


def _needed(filename: str, files: dict[str, bytes], path: str) -> bytes:
    if path not in files:
        raise InputValidationError(f"{filename}: {path} is missing")
    return files[path]


def _check_record(filename: str, files: dict[str, bytes], record: bytes) -> None:
    """Compare every file with its line in RECORD, and every line with its file."""
    listed: set[str] = set()
    for row in csv.reader(io.StringIO(record.decode())):
        if len(row) != 3 or row[0] in listed:
            raise InputValidationError(
                f"{filename}: RECORD: expected one line `path,hash,size` a file, got {row!r:.200}"
            )
        path, algorithm_digest, size = row
        listed.add(path)
        if path.endswith(_UNRECORDED):
            continue
        content = files.get(path)
        if content is None:
            raise InputValidationError(f"{filename}: RECORD lists {path[:200]!r}, which is not there")
        expected = "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        if algorithm_digest != expected or size != str(len(content)):
            raise InputValidationError(
                f"{filename}: {path} is not what RECORD says: expected {expected}, {len(content)}"
            )
    missing = sorted(path for path in set(files) - listed if not path.endswith(_UNRECORDED))
    if missing:
        raise InputValidationError(f"{filename}: RECORD does not list {missing[0][:200]!r}")


def _sdist(filename: str, content: bytes) -> Distribution:
    try:
        name, version = parse_sdist_filename(filename)
    except InvalidSdistFilename as error:
        raise InputValidationError(f"{filename}: {error}") from error
    files = _sdist_files(filename, content)
    metadata = _metadata(filename, _needed(filename, files, "PKG-INFO"))
    return _checked(filename, "sdist", str(name), version, "source", files, metadata)


def _sdist_files(filename: str, content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(_gunzipped(filename, content)), mode="r:") as archive:
        members = archive.getmembers()
        _check_paths(filename, [one.name for one in members])
        for one in members:
            if not (one.isreg() or one.isdir()):
                raise InputValidationError(f"{filename}: {one.name} is neither a regular file nor a folder")
        top = filename.removesuffix(".tar.gz")
        if {one.name.partition("/")[0] for one in members} != {top}:
            raise InputValidationError(f"{filename}: expected everything in the one folder {top}")
        return {one.name.removeprefix(f"{top}/"): _content(archive, one) for one in members if one.isreg()}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _gunzipped(filename: str, content: bytes) -> bytes:
    """Return what one gzip member holds, at most `MAX_UNPACKED_BYTES`, with nothing behind it."""
    unpacker = zlib.decompressobj(wbits=31)
    found = unpacker.decompress(content, MAX_UNPACKED_BYTES + 1)
    if len(found) > MAX_UNPACKED_BYTES:
        raise InputValidationError(f"{filename}: it unpacks to more than {MAX_UNPACKED_BYTES} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise InputValidationError(f"{filename}: it ends early, or something stands behind its end")
    return found


def _metadata(filename: str, content: bytes) -> dict[str, list[str]]:
    if len(content) > MAX_METADATA_BYTES:
        raise InputValidationError(f"{filename}: its metadata are larger than {MAX_METADATA_BYTES} bytes")
    parsed = HeaderParser().parsestr(content.decode())
    found: dict[str, list[str]] = {}
    for key, value in parsed.items():
        found.setdefault(key, []).append(str(value))
    body = parsed.get_payload()
    if isinstance(body, str) and body.strip():
        found.setdefault("Description", [body])
    for key in ("Metadata-Version", "Name", "Version"):
        if len(found.get(key, ())) != 1:
            raise InputValidationError(
                f"{filename}: its metadata have {len(found.get(key, ()))} {key}, expected one"
            )
    return found


def _checked(
    filename: str,
    kind: Literal["sdist", "bdist_wheel"],
    name: str,
    version: Version,
    python: str,
    files: dict[str, bytes],
    metadata: dict[str, list[str]],
) -> Distribution:
    said = (canonicalize_name(metadata["Name"][0]), _version(metadata["Version"][0], filename))
    if said != (canonicalize_name(name), version):
        raise InputValidationError(
            f"{filename}: its name says {name} {version}, its metadata {metadata['Name'][0]} {metadata['Version'][0]}"
        )
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}
    return Distribution(
        filename, kind, metadata["Name"][0], metadata["Version"][0], python, digests, metadata
    )


def _version(text: str, what: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise InputValidationError(f"{what}: {error}") from error
