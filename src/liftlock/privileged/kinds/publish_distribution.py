"""`publish-distribution`: an sdist and wheels, checked and uploaded to a package index, and compared with what it serves.

Source: docs/reference/operations.md#publish-distribution
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

import msgspec

from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.parsings import ReleaseQuestion, question, read_distributions
from liftlock.ports.confined_parser import Parsing
from liftlock.ports.package_index import IndexAddress
from liftlock.privileged.performing import (
    Performed,
    PerformRefusedError,
    Tools,
    Work,
    expect_required,
    expect_secret,
    settings_as,
)
from liftlock.privileged.publishing import SECRET, Place, ProjectName, Url, publish


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`name`: the project on the index. `versionField`: the field of the input that holds the approved version."""

    name: ProjectName
    upload: Url
    simple: Url
    user: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "__token__"
    version_field: str = "version"


class PublishDistribution:
    """Implements `performing.PrivilegedOperation`."""

    kind = "publish-distribution"
    parsings: Mapping[str, Parsing] = {}

    def check(self, operation: Operation) -> None:
        """Return if the settings are complete; see the protocol."""
        told = settings_as(operation, _Settings)
        expect_secret(operation, SECRET)
        expect_required(operation, told.version_field, "the version")

    async def perform(self, work: Work, tools: Tools) -> Performed:
        """Upload what the index does not have, then compare all that it serves; see the protocol."""
        told = settings_as(work.operation, _Settings)
        place = Place(IndexAddress(told.upload, told.simple), told.name, told.user)
        version = str(work.request.input.get(told.version_field, ""))
        files = {path.rpartition("/")[2]: content for path, content in work.files.items()}
        if len(files) != len(work.files):
            raise PerformRefusedError("two files have the same name", rule="names")
        asked = ReleaseQuestion(told.name, version, files)
        found = read_distributions(await tools.parser.parse("release", question(asked)))
        work.note(f"{told.name} {version}: {', '.join(one.filename for one in found)} are in order")
        uploaded = [
            one.filename for one in found if await publish(one, files[one.filename], place, work, tools)
        ]
        served = {one.filename: hashlib.sha256(files[one.filename]).hexdigest() for one in found}
        return Performed(
            f"published {told.name} {version} of revision {work.request.revision}",
            {
                "name": told.name,
                "version": version,
                "index": told.simple,
                "uploaded": uploaded,
                "served": served,
            },
        )
