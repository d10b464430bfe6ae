"""Sdists and wheels, good ones and hostile ones, in memory."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping

METADATA = "Metadata-Version: 2.1\nName: gadget\nVersion: 1.0\nSummary: Bells\nClassifier: A\nClassifier: B\n\nText of it\n"
WHEEL_NAME, SDIST_NAME = "gadget-1.0-py3-none-any.whl", "gadget-1.0.tar.gz"
INFO = "gadget-1.0.dist-info"


def record_of(members: Mapping[str, bytes]) -> bytes:
    lines = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')},{len(content)}"
        for path, content in members.items()
    ]
    return "\n".join([*lines, f"{INFO}/RECORD,,", ""]).encode()


def wheel(
    *,
    metadata: str = METADATA,
    extra: Mapping[str, bytes] | None = None,
    unlisted: Mapping[str, bytes] | None = None,
    record: Callable[[bytes], bytes] = lambda found: found,
    change: Callable[[zipfile.ZipInfo], None] = lambda info: None,
    without: str = "",
) -> bytes:
    """Return a wheel; `unlisted` files are not in RECORD, `change` is called with each member before it is written."""
    members = {
        "gadget/__init__.py": b"x = 1\n",
        f"{INFO}/METADATA": metadata.encode(),
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\n",
        **(extra or {}),
    }
    members.pop(without, None)
    written = {**members, f"{INFO}/RECORD": record(record_of(members)), **(unlisted or {})}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in written.items():
            info = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            change(info)
            archive.writestr(info, content)
    return buffer.getvalue()


def sdist(
    *,
    metadata: str = METADATA,
    members: Mapping[str, bytes] | None = None,
    special: tuple[tarfile.TarInfo, ...] = (),
    top: str = "gadget-1.0",
) -> bytes:
    """Return an sdist; `special` members are added as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in {f"{top}/PKG-INFO": metadata.encode(), **(members or {})}.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for one in special:
            archive.addfile(one, io.BytesIO(b""))
    return gzip.compress(buffer.getvalue(), mtime=0)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a member that is no regular file."""
    made = tarfile.TarInfo(name)
    made.type = kind
    made.linkname = target
    return made
