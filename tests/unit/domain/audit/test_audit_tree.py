"""Merkle trees hash as RFC 6962 says, and proofs verify exactly what they claim."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.audit import tiles
from liftlock.domain.audit.tiles import TileId, Walk
from liftlock.domain.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    is_consistent,
    is_included,
    leaf_hash,
    root_of,
    split,
)
from liftlock.errors import StorageError

T = TypeVar("T")

# The test vectors that implementations of RFC 6962 share: eight leaves, and the root after each of them.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENT = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root by the recursion of section 2.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the path of section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(m: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    """Return the proof of section 2.1.2, word for word."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], False), naive_root(leaves[:k])]


class Stored:
    """A tree in tiles, in memory; counts the tiles that are read."""

    def __init__(self, leaves: Sequence[bytes], chunks: Sequence[int] = ()) -> None:
        self.tiles: dict[TileId, bytes] = {}
        self.size = 0
        self.reads = 0
        at = 0
        for chunk in (*chunks, len(leaves)):
            self.add(leaves[at : at + chunk])
            at += chunk

    def add(self, leaves: Sequence[bytes]) -> dict[TileId, bytes]:
        changed = self.walk(tiles.grow(self.size, leaves))
        self.tiles |= changed
        self.size += len(leaves)
        return changed

    def walk(self, walk: Walk[T]) -> T:
        try:
            wanted = next(walk)
            while True:
                self.reads += 1
                wanted = walk.send(self.tiles.get(wanted, b""))
        except StopIteration as end:
            result: T = end.value
            return result


def numbered(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_published_vectors(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]
    assert Stored(LEAVES[:size]).walk(tiles.root(size)).hex() == ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_inclusion_paths_are_those_of_the_published_vectors(index: int, size: int) -> None:
    path = Stored(LEAVES).walk(tiles.inclusion(index, size))
    assert [each.hex() for each in path] == PATHS[index, size]
    assert is_included(LEAVES[index], index, size, path, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("old", "new"), CONSISTENT)
def test_consistency_proofs_are_those_of_the_published_vectors(old: int, new: int) -> None:
    path = Stored(LEAVES).walk(tiles.consistency(old, new))
    assert [each.hex() for each in path] == CONSISTENT[old, new]
    assert is_consistent(old, bytes.fromhex(ROOTS[old - 1]), new, bytes.fromhex(ROOTS[new - 1]), path)


@given(st.data())
def test_tiles_give_the_roots_and_proofs_that_the_recursion_gives(data: st.DataObject) -> None:
    leaves = numbered(data.draw(st.integers(1, 700)))
    stored = Stored(leaves, data.draw(st.lists(st.integers(0, 300), max_size=5)))
    new = data.draw(st.integers(1, len(leaves)))
    old = data.draw(st.integers(1, new))
    index = data.draw(st.integers(0, new - 1))
    assert stored.walk(tiles.root(new)) == naive_root(leaves[:new]) == root_of(leaves[:new])
    path = stored.walk(tiles.inclusion(index, new))
    proof = stored.walk(tiles.consistency(old, new))
    assert path == naive_path(index, leaves[:new])
    assert proof == naive_proof(old, leaves[:new])
    old_root, new_root = naive_root(leaves[:old]), naive_root(leaves[:new])
    assert is_included(leaves[index], index, new, path, new_root)
    assert is_consistent(old, old_root, new, new_root, proof)


@given(st.data())
def test_a_proof_that_was_changed_proves_nothing(data: st.DataObject) -> None:
    leaves = numbered(data.draw(st.integers(2, 80)))
    new = data.draw(st.integers(2, len(leaves)))
    index = data.draw(st.integers(0, new - 1))
    old = data.draw(st.integers(1, new - 1))
    path, proof = naive_path(index, leaves[:new]), naive_proof(old, leaves[:new])
    old_root, new_root = naive_root(leaves[:old]), naive_root(leaves[:new])
    other = bytes(32)
    at = data.draw(st.integers(0, len(path) - 1))
    assert not is_included(leaves[index], index, new, [*path[:at], other, *path[at + 1 :]], new_root)
    assert not is_included(leaves[index], index, new, path[:-1], new_root)
    assert not is_included(leaves[index], index, new, [*path, other], new_root)
    assert not is_included(other, index, new, path, new_root)
    assert not is_included(leaves[index], new, new, path, new_root)
    assert not is_included(leaves[index], (index + 1) % new, new, path, new_root)
    at = data.draw(st.integers(0, len(proof) - 1))
    assert not is_consistent(old, old_root, new, new_root, [*proof[:at], other, *proof[at + 1 :]])
    assert not is_consistent(old, old_root, new, new_root, proof[:-1])
    assert not is_consistent(old, old_root, new, new_root, [*proof, other])
    assert not is_consistent(old, other, new, new_root, proof)
    assert not is_consistent(old, old_root, new, other, proof)
    assert not is_consistent(new, new_root, old, old_root, proof)


def test_adding_and_proving_touches_few_tiles() -> None:
    stored = Stored(numbered(66_000))
    changed = stored.add(numbered(1))
    assert sorted(changed) == [TileId(0, 257)]
    stored.reads = 0
    stored.walk(tiles.inclusion(12_345, stored.size))
    assert stored.reads <= 2 * 17


def test_a_lost_tile_is_named() -> None:
    stored = Stored(numbered(600))
    stored.tiles[TileId(0, 1)] = stored.tiles[TileId(0, 1)][:-32]
    with pytest.raises(StorageError, match=r"the audit log's stored tree is damaged: tile 0/1 lacks hashes"):
        stored.walk(tiles.inclusion(300, 600))
    stored.tiles.clear()
    with pytest.raises(StorageError, match=r"tile 0/2 lacks hashes"):
        stored.add(numbered(1))
