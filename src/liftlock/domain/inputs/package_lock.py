"""npm's package-lock.json, versions 2 and 3: which packages, by which sha512, at which place; untrusted text.

Source: the documentation of package-lock.json; Subresource Integrity for the digests.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from liftlock.domain.inputs.places import is_plain
from liftlock.errors import InputValidationError, MalformedPayloadError
from liftlock.values.json import decode

MAX_PACKAGES = 5000
_NAME = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]{0,99}/)?[A-Za-z0-9~_-][A-Za-z0-9._~-]{0,213}\Z", re.ASCII)
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]{0,100}\Z", re.ASCII)
_METADATA = ("dependencies", "peerDependencies", "optionalDependencies", "bin", "engines", "os", "cpu")


class NpmPackage(msgspec.Struct, frozen=True):
    """One package; `place` below the folder that holds node_modules."""

    name: str
    version: str
    sha512: str
    place: str
    metadata: dict[str, Any]

    @property
    def file(self) -> str:
        """Return the name of its archive in a registry."""
        return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"


def parse_package_lock(text: bytes, *, what: str) -> tuple[NpmPackage, ...]:
    """Return the packages of a lock file, in its order.

    Raises:
        InputValidationError: no lock of version 2 or 3, or a package without a sha512, from elsewhere than a registry.
    """
    try:
        document = decode(text, what=what)
        version, packages = document["lockfileVersion"], document["packages"]
    except (MalformedPayloadError, KeyError, TypeError) as error:
        raise InputValidationError(f"{what}: expected a package-lock.json with packages") from error
    if version not in (2, 3) or not isinstance(packages, dict) or len(packages) > MAX_PACKAGES:
        raise InputValidationError(
            f"{what}: expected lockfileVersion 2 or 3 and at most {MAX_PACKAGES} packages"
        )
    found = []
    for place, entry in packages.items():
        if place:
            found.append(_package(place, entry, f"{what}: packages[{place[:100]!r}]"))
    return tuple(found)


def _package(place: str, entry: Any, at: str) -> NpmPackage:
    if (
        not isinstance(entry, dict)
        or entry.get("link")
        or not is_plain(place)
        or "node_modules/" not in place
    ):
        raise InputValidationError(f"{at}: expected a package of a registry below node_modules")
    name = entry.get("name") or place.rpartition("node_modules/")[2]
    version = entry.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise InputValidationError(f"{at}: expected a name and a version")
    if not _NAME.match(name) or not _VERSION.match(version):
        raise InputValidationError(
            f"{at}: {name[:100]!r} {version[:100]!r} is no name and version of a registry"
        )
    digest = _sha512(entry.get("integrity"), at)
    metadata = {key: entry[key] for key in _METADATA if isinstance(entry.get(key), dict | list | str)}
    return NpmPackage(name, version, digest, place, metadata)


def _sha512(integrity: object, at: str) -> str:
    if isinstance(integrity, str):
        for one in integrity.split():
            if one.startswith("sha512-"):
                try:
                    raw = base64.b64decode(one.removeprefix("sha512-").partition("?")[0], validate=True)
                except (binascii.Error, ValueError):
                    break
                if len(raw) == 64:
                    return raw.hex()
    raise InputValidationError(f"{at}.integrity: expected sha512-…, without which nothing can be verified")
