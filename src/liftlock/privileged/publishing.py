"""Putting one distribution on an index: upload what it does not have, then compare what it serves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from liftlock.domain.operations.distributions import Distribution
from liftlock.ports.package_index import IndexAddress, IndexFailedError, Release
from liftlock.privileged.performing import PerformRefusedError, Tools, Work

SECRET: Final = "token"  # noqa: S105 -- the name of a secret
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$", max_length=500)]
ProjectName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=100)
]
_REPEATED: Final = {
    "Classifier": "classifiers",
    "Platform": "platform",
    "Supported-Platform": "supported_platform",
    "Requires-Dist": "requires_dist",
    "Requires-External": "requires_external",
    "Provides-Dist": "provides_dist",
    "Obsoletes-Dist": "obsoletes_dist",
    "Project-URL": "project_urls",
    "Provides-Extra": "provides_extra",
    "License-File": "license_file",
    "Dynamic": "dynamic",
}
_SINGLE: Final = {
    "Metadata-Version": "metadata_version",
    "Summary": "summary",
    "Description": "description",
    "Description-Content-Type": "description_content_type",
    "Home-page": "home_page",
    "Download-URL": "download_url",
    "Author": "author",
    "Author-email": "author_email",
    "Maintainer": "maintainer",
    "Maintainer-email": "maintainer_email",
    "License": "license",
    "License-Expression": "license_expression",
    "Keywords": "keywords",
    "Requires-Python": "requires_python",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where: the index, the project on it, and who uploads; the password is the secret `token`."""

    address: IndexAddress
    project: str
    user: str


async def publish(one: Distribution, content: bytes, place: Place, work: Work, tools: Tools) -> bool:
    """Return whether the file was uploaded now; the index serves exactly it afterwards.

    Raises:
        PerformRefusedError: the index has another file of that name.
        IndexFailedError: it was not taken, or is not served as it was uploaded.
    """
    wanted = hashlib.sha256(content).hexdigest()
    there = await tools.index.served(place.address, place.project, one.filename)
    if there not in (None, wanted):
        raise PerformRefusedError(
            f"{one.filename}: the index has another file of that name already (sha256 {there})",
            rule="published",
        )
    if there is not None:
        work.note(f"{one.filename}: the index serves it already, as sha256 {there}")
        return False
    token = work.secret(SECRET)
    release = Release(one.filename, content, upload_fields(one, content))
    await tools.index.upload(place.address, release, place.user, token)
    work.note(f"{one.filename}: uploaded")
    there = await tools.index.served(place.address, place.project, one.filename)
    if there != wanted:
        raise IndexFailedError(
            f"{one.filename}: uploaded as sha256 {wanted}, and the index serves {there or 'nothing'}"
        )
    work.note(f"{one.filename}: served as sha256 {there}")
    return True


def upload_fields(one: Distribution, content: bytes) -> tuple[tuple[str, str], ...]:
    """Return what the upload's form says of the file, as twine says it."""
    fields: list[tuple[str, str]] = [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("filetype", one.kind),
        ("pyversion", one.python),
        ("name", one.name),
        ("version", one.version),
        ("md5_digest", hashlib.md5(content, usedforsecurity=False).hexdigest()),
        ("sha256_digest", hashlib.sha256(content).hexdigest()),
        ("blake2_256_digest", hashlib.blake2b(content, digest_size=32).hexdigest()),
    ]
    for header, key in _SINGLE.items():
        fields += [(key, value) for value in one.metadata.get(header, [])[:1]]
    for header, key in _REPEATED.items():
        fields += [(key, value) for value in one.metadata.get(header, [])]
    return tuple(fields)
