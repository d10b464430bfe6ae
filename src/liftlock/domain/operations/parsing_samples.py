"""One good question for each parsing: asked once before the process is confined, so that all that it imports late is there.

What a later question would have to import (a codec, a parser) could not be opened any more.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import zipfile
from functools import cache

from liftlock.domain.operations.contract import Contract, Item
from liftlock.domain.operations.differences import DifferenceQuestion
from liftlock.domain.operations.parsings import (
    MembersQuestion,
    ProgramQuestion,
    ReleaseQuestion,
    TypesQuestion,
    question,
)
from liftlock.domain.operations.source_changes import Change

_METADATA = b"Metadata-Version: 2.1\nName: sample\nVersion: 1.0\nSummary: =?utf-8?q?=C3=B6?=\n\nText\n"
_EPOCH = (2020, 1, 1, 0, 0, 0)


@cache
def samples() -> dict[str, bytes]:
    """Return parsing → a question that it answers well."""
    contract = Contract([Item("a", "json", most=9), Item("b", "text")])
    release = ReleaseQuestion(
        "sample", "1.0", {"sample-1.0-py3-none-any.whl": _wheel(), "sample-1.0.tar.gz": _sdist()}
    )
    program = ProgramQuestion([Change("a.py", b"def f():\n  'x'\n", b'def f():\n    "x"\n')])
    return {
        "types": question(TypesQuestion(contract, {"a": b"{}", "b": "ö".encode()})),
        "release": question(release),
        "program": question(program),
    }


@cache
def showing_samples() -> dict[str, bytes]:
    """Return the same for what a control plane's process parses."""
    compared = DifferenceQuestion("sample-1.0.tar.gz", _sdist(), "source", "", {"ö.py": b"x\n"}, ["ö.py"])
    wheel = MembersQuestion("sample-1.0-py3-none-any.whl", _wheel())
    return {"members": question(wheel), "difference": question(compared)}


def _wheel() -> bytes:
    members = {
        "sample/ö.py": b"",
        "sample-1.0.dist-info/METADATA": _METADATA,
        "sample-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip('=')},{len(content)}\n"
        for path, content in members.items()
    )
    members["sample-1.0.dist-info/RECORD"] = (record + "sample-1.0.dist-info/RECORD,,\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _sdist() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in (("sample-1.0/PKG-INFO", _METADATA), ("sample-1.0/ö.py", b"")):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)
