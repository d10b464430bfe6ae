"""`promote-release`: exactly the files that were staged, by the digests that people approved, go to the index for everybody.

Source: docs/reference/operations.md#promote-release
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.parsings import ReleaseQuestion, question, read_distributions
from liftlock.domain.operations.promotion import Staged, parse_manifest, read_staged
from liftlock.ports.confined_parser import Parsing
from liftlock.ports.package_index import IndexAddress
from liftlock.privileged.performing import (
    Performed,
    PerformRefusedError,
    Tools,
    Work,
    WrongSettingsError,
    expect_required,
    expect_secret,
    settings_as,
)
from liftlock.privileged.publishing import SECRET, Place, ProjectName, Url, publish

MAX_FILE_BYTES: Final = 256 << 20
MAX_TOTAL_BYTES: Final = 512 << 20


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`staging`: the simple index that is promoted from. `manifest`: the one file of stage 1 that says what is promoted."""

    name: ProjectName
    staging: Url
    upload: Url
    simple: Url
    user: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "__token__"
    version_field: str = "version"
    manifest: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "release.json"


class PromoteRelease:
    """Implements `performing.PrivilegedOperation`."""

    kind = "promote-release"
    parsings: Mapping[str, Parsing] = {"manifest": parse_manifest}

    def check(self, operation: Operation) -> None:
        """Return if the settings are complete and the manifest alone can cross; see the protocol."""
        told = settings_as(operation, _Settings)
        expect_secret(operation, SECRET)
        expect_required(operation, told.version_field, "the version")
        if [(item.names, item.least, item.most) for item in operation.contract.files] != [
            (told.manifest, 1, 1)
        ]:
            raise WrongSettingsError(
                f"operations.{operation.name}.contract.files: expected one item, names {told.manifest}, least 1, most 1: what is promoted is"
                " taken from the staging index"
            )

    async def perform(self, work: Work, tools: Tools) -> Performed:
        """Fetch what the manifest names, compare, check, and publish it; see the protocol."""
        told = settings_as(work.operation, _Settings)
        version = str(work.request.input.get(told.version_field, ""))
        answer = await tools.parser.parse(f"{self.kind}.manifest", work.files[told.manifest])
        files = await _staged(read_staged(answer), told, work, tools)
        answer = await tools.parser.parse("release", question(ReleaseQuestion(told.name, version, files)))
        found = read_distributions(answer)
        place = Place(IndexAddress(told.upload, told.simple), told.name, told.user)
        uploaded = [
            one.filename for one in found if await publish(one, files[one.filename], place, work, tools)
        ]
        served = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
        return Performed(
            f"promoted {told.name} {version} from {told.staging} to {told.simple}",
            {
                "name": told.name,
                "version": version,
                "index": told.simple,
                "uploaded": uploaded,
                "served": served,
            },
        )


async def _staged(wanted: list[Staged], told: _Settings, work: Work, tools: Tools) -> dict[str, bytes]:
    """Return filename → content, each of the digest that was approved."""
    found: dict[str, bytes] = {}
    left = MAX_TOTAL_BYTES
    for one in wanted:
        content = await tools.index.fetch(
            told.staging, told.name, one.filename, max_bytes=min(MAX_FILE_BYTES, left)
        )
        if content is None:
            raise PerformRefusedError(f"{one.filename}: the staging index does not have it", rule="staged")
        digest = hashlib.sha256(content).hexdigest()
        if digest != one.sha256:
            raise PerformRefusedError(
                f"{one.filename}: the staging index serves sha256 {digest}, and what was approved is {one.sha256}",
                rule="staged",
            )
        left -= len(content)
        found[one.filename] = content
        work.note(f"{one.filename}: staged as it was approved, sha256 {digest}")
    return found
