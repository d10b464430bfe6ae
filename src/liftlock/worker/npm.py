"""npm's locked packages: each archive by its sha512, from the registry that the pool's policy names."""

from __future__ import annotations

from typing import Any

import msgspec

from liftlock.domain.inputs.manifest import Measured
from liftlock.domain.inputs.package_lock import parse_package_lock
from liftlock.domain.inputs.policy import PoolPolicy
from liftlock.domain.inputs.promises import Promise
from liftlock.errors import InputValidationError
from liftlock.worker.fetching import Fetcher

MAX_PACKAGE_BYTES = 1 << 30


class NpmFile(msgspec.Struct, frozen=True):
    """A package's archive in the store: `path` there, `place` below the folder that gets node_modules."""

    name: str
    file: Measured
    path: str
    place: str
    metadata: dict[str, Any]


class NpmPackages:
    """Fetches for one run."""

    def __init__(self, fetcher: Fetcher, policy: PoolPolicy) -> None:
        self._fetcher = fetcher
        self._policy = policy

    async def fetch(self, lock: bytes, *, what: str) -> tuple[NpmFile, ...]:
        """Return the packages of a lock file, verified.

        Raises:
            InputValidationError: it is no lock file with digests, or the pool names no registry.
            InputRejectedError: a package is not what the lock says.
        """
        packages = parse_package_lock(lock, what=what)
        registry = next((one.url for one in self._policy.indexes.values() if one.kind == "npm"), None)
        if registry is None:
            raise InputValidationError("npm: the pool's policy names no index of kind npm")
        found = []
        for package in packages:
            url = f"{registry.rstrip('/')}/{package.name}/-/{package.file}"
            got = await self._fetcher.download(url, Promise(sha512=package.sha512), package.file)
            metadata = package.metadata | {"version": package.version}
            found.append(NpmFile(package.name, got.measured, got.blob.path, package.place, metadata))
        return tuple(found)
