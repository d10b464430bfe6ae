"""Package indexes in memory, by address."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from packaging.utils import canonicalize_name

from liftlock.ports.package_index import IndexAddress, IndexFailedError, Release
from liftlock.values.secret import Secret


@dataclass
class FakePackageIndex:
    """Implements `ports.package_index.PackageIndex`. `contents`: address of the simple index, project, file → content."""

    token: str = "the token"
    contents: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    broken: str = ""
    uploads: list[str] = field(default_factory=list)

    def put(self, simple: str, project: str, filename: str, content: bytes) -> None:
        self.contents[simple.rstrip("/"), canonicalize_name(project), filename] = content

    async def served(self, address: IndexAddress, project: str, filename: str) -> str | None:
        content = await self.fetch(address.simple, project, filename, max_bytes=1 << 30)
        return None if content is None else hashlib.sha256(content).hexdigest()

    async def files(self, simple: str, project: str) -> list[str]:
        if self.broken:
            raise IndexFailedError(self.broken)
        where = (simple.rstrip("/"), canonicalize_name(project))
        return [name for *place, name in self.contents if tuple(place) == where]

    async def fetch(self, simple: str, project: str, filename: str, *, max_bytes: int) -> bytes | None:
        content = self.contents.get((simple.rstrip("/"), canonicalize_name(project), filename))
        if content is not None and len(content) > max_bytes:
            raise IndexFailedError(f"{simple}: more than {max_bytes} bytes")
        return content

    async def upload(self, address: IndexAddress, release: Release, user: str, token: Secret) -> None:
        if token.reveal() != self.token:
            raise IndexFailedError(f"{address.upload}: {release.filename} was not taken: HTTP 403: ")
        self.put(address.simple, dict(release.fields)["name"], release.filename, release.content)
        self.uploads.append(release.filename)
