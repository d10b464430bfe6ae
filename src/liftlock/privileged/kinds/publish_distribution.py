"""`publish-distribution`: an sdist and wheels, checked and uploaded to a package index, and compared with what it serves.

Source: docs/reference/operations.md#publish-distribution
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from liftlock.domain.operations.definition import Operation
from liftlock.domain.operations.distributions import Distribution
from liftlock.domain.operations.parsings import ReleaseQuestion, question, read_distributions
from liftlock.ports.confined_parser import Parsing
from liftlock.ports.package_index import IndexAddress, IndexFailedError, Release
from liftlock.privileged.performing import Performed, PerformRefusedError, Tools, Work, WrongSettingsError

SECRET: Final = "token"  # noqa: S105 -- the name of a secret
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
_Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s@]+$", max_length=500)]


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`name`: the project on the index. `versionField`: the field of the input that holds the approved version."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=100)]
    upload: _Url
    simple: _Url
    user: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "__token__"
    version_field: str = "version"


class PublishDistribution:
    """Implements `performing.PrivilegedOperation`."""

    kind = "publish-distribution"
    parsings: Mapping[str, Parsing] = {}

    def check(self, operation: Operation) -> None:
        """Return if the settings are complete; see the protocol."""
        found = _settings(operation)
        if SECRET not in operation.stage2.secrets:
            raise WrongSettingsError(f"operations.{operation.name}.stage2.secrets: expected `{SECRET}: NAME`")
        schema = operation.input_schema
        required = schema.get("required", []) if isinstance(schema, dict) else []
        if found.version_field not in required:
            raise WrongSettingsError(
                f"operations.{operation.name}.input: expected a required field {found.version_field!r}: the version"
                " that is approved"
            )

    async def perform(self, work: Work, tools: Tools) -> Performed:
        """Upload what the index does not have, then compare all that it serves; see the protocol."""
        told = _settings(work.operation)
        address = IndexAddress(told.upload, told.simple)
        version = str(work.request.input.get(told.version_field, ""))
        files = {path.rpartition("/")[2]: content for path, content in work.files.items()}
        if len(files) != len(work.files):
            raise PerformRefusedError("two files have the same name", rule="names")
        asked = ReleaseQuestion(told.name, version, files)
        found = read_distributions(await tools.parser.parse("release", question(asked)))
        work.note(f"{told.name} {version}: {', '.join(one.filename for one in found)} are in order")
        uploaded = [
            one.filename
            for one in found
            if await self._publish(one, files[one.filename], told, address, work, tools)
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

    async def _publish(
        self,
        one: Distribution,
        content: bytes,
        told: _Settings,
        address: IndexAddress,
        work: Work,
        tools: Tools,
    ) -> bool:
        """Return whether the file was uploaded now; the index serves exactly it afterwards."""
        wanted = hashlib.sha256(content).hexdigest()
        there = await tools.index.served(address, told.name, one.filename)
        if there not in (None, wanted):
            raise PerformRefusedError(
                f"{one.filename}: the index has another file of that name already (sha256 {there})",
                rule="published",
            )
        if there is None:
            token = work.secret(SECRET)
            release = Release(one.filename, content, upload_fields(one, content))
            await tools.index.upload(address, release, told.user, token)
            work.note(f"{one.filename}: uploaded")
            there = await tools.index.served(address, told.name, one.filename)
            if there != wanted:
                raise IndexFailedError(
                    f"{one.filename}: uploaded as sha256 {wanted}, and the index serves {there or 'nothing'}"
                )
            work.note(f"{one.filename}: served as sha256 {there}")
            return True
        work.note(f"{one.filename}: the index serves it already, as sha256 {there}")
        return False


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


def _settings(operation: Operation) -> _Settings:
    given: Any = operation.stage2.settings
    try:
        return msgspec.convert(given, _Settings)
    except msgspec.ValidationError as error:
        raise WrongSettingsError(f"operations.{operation.name}.stage2.settings: {error}") from error
