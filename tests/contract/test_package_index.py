"""A package index as operations see it: the real client against a real server, and the one in memory."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from distribution_builders import SDIST_NAME, WHEEL_NAME, sdist, wheel
from fakes.fake_package_index import FakePackageIndex
from liftlock.adapters.package_index.client import HttpPackageIndex
from liftlock.ports.package_index import IndexAddress, IndexFailedError, PackageIndex, Release
from liftlock.values.secret import Secret
from operations_world import TOKEN, package_index

FIELDS = ((":action", "file_upload"), ("protocol_version", "1"), ("name", "gadget"), ("version", "1.0"))


@dataclass(frozen=True, slots=True)
class Place:
    """An index without files, and how to speak to it."""

    client: PackageIndex
    address: IndexAddress
    token: str


@pytest.fixture(params=["real", "fake"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "fake":
        address = IndexAddress("https://index.invalid/", "https://index.invalid/simple/")
        yield Place(FakePackageIndex(), address, FakePackageIndex().token)
        return
    with tempfile.TemporaryDirectory(prefix="liftlock-index-") as name, package_index(Path(name)) as url:
        yield Place(HttpPackageIndex(), IndexAddress(f"{url}/", f"{url}/simple/"), TOKEN)


@pytest.mark.process
async def test_what_was_uploaded_is_listed_served_and_fetched(place: Place) -> None:
    index, address = place.client, place.address
    assert await index.files(address.simple, "gadget") == []
    assert await index.served(address, "gadget", SDIST_NAME) is None
    assert await index.fetch(address.simple, "gadget", SDIST_NAME, max_bytes=1 << 20) is None
    for name, content in ((SDIST_NAME, sdist()), (WHEEL_NAME, wheel())):
        await index.upload(address, Release(name, content, FIELDS), "publisher", Secret(place.token))
        assert await index.served(address, "Gadget", name) == hashlib.sha256(content).hexdigest()
        assert await index.fetch(address.simple, "gadget", name, max_bytes=len(content)) == content
        with pytest.raises(IndexFailedError, match=f"more than {len(content) - 1} bytes"):
            await index.fetch(address.simple, "gadget", name, max_bytes=len(content) - 1)
    assert sorted(await index.files(address.simple, "gadget")) == sorted([SDIST_NAME, WHEEL_NAME])
    with pytest.raises(IndexFailedError, match=r"was not taken: HTTP 403|ReadError while") as caught:
        await index.upload(
            address, Release("gadget-2.0.tar.gz", b"", FIELDS), "publisher", Secret("wrong-token-1234")
        )
    assert "wrong-token" not in caught.value.message
