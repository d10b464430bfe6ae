"""The tree as it is stored: tiles of 256 hashes, so that adding a row and proving one touch O(log n) of them.

Tile (level, number) holds the hashes of the complete subtrees with 256**level leaves, 256 * number onwards; the last tile
of a level may hold fewer. What is needed is asked for: these functions are generators that yield the tile's id and are
sent its hashes, joined, `b""` if there is none.

Source: C2SP tlog-tiles.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Final, NamedTuple, TypeVar

from liftlock.domain.audit.tree import HASH_BYTES, complete_root, node_hash, split
from liftlock.errors import StorageError

WIDTH_BITS: Final = 8
WIDTH: Final = 1 << WIDTH_BITS
"""Hashes of a full tile."""

T = TypeVar("T")


class TileId(NamedTuple):
    """Where a tile is; both from 0."""

    level: int
    number: int


def _missing(tile: TileId) -> StorageError:
    return StorageError(
        f"the audit log's stored tree is damaged: tile {tile.level}/{tile.number} lacks hashes; verify the log against a"
        " witness's checkpoint, then restore the database from its backup"
    )


Walk = Generator[TileId, bytes, T]


def grow(size: int, leaves: Sequence[bytes]) -> Walk[dict[TileId, bytes]]:
    """Return the tiles that change when `leaves` (hashes) are added to a tree of `size` leaves."""
    changed: dict[TileId, bytes] = {}
    level, begin, new = 0, size, list(leaves)
    while new:
        carried: list[bytes] = []
        number, filled = divmod(begin, WIDTH)
        held = b""
        if filled:
            held = yield TileId(level, number)
            if len(held) < filled * HASH_BYTES:
                raise _missing(TileId(level, number))
            held = held[: filled * HASH_BYTES]
        at = 0
        while at < len(new):
            taken = new[at : at + WIDTH - filled]
            held += b"".join(taken)
            changed[TileId(level, number)] = held
            if len(held) == WIDTH * HASH_BYTES:
                carried.append(complete_root(parts(held)))
            at, number, filled, held = at + len(taken), number + 1, 0, b""
        level, begin, new = level + 1, begin // WIDTH, carried
    return changed


def parts(tile: bytes) -> list[bytes]:
    """Return the hashes of a tile."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def root(size: int) -> Walk[bytes]:
    """Return the root of the first `size` leaves, of which there is at least one."""
    return (yield from _range(0, size))


def inclusion(index: int, size: int) -> Walk[list[bytes]]:
    """Return the path that proves leaf `index` in the tree of the first `size` leaves; 0 <= index < size.

    Source: RFC 6962 section 2.1.1.
    """
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + split(high - low)
        if index < middle:
            path.append((yield from _range(middle, high)))
            high = middle
        else:
            path.append((yield from _range(low, middle)))
            low = middle
    return path[::-1]


def consistency(old: int, new: int) -> Walk[list[bytes]]:
    """Return the proof that the first `old` leaves are a beginning of the first `new` ones; 0 <= old <= new.

    Source: RFC 6962 section 2.1.2.
    """
    if old in (0, new):
        return []
    path: list[bytes] = []
    low, high, whole = 0, new, True
    while old != high:
        middle = low + split(high - low)
        if old <= middle:
            path.append((yield from _range(middle, high)))
            high = middle
        else:
            path.append((yield from _range(low, middle)))
            low, whole = middle, False
    if not whole:
        path.append((yield from _range(low, high)))
    return path[::-1]


def _range(low: int, high: int) -> Walk[bytes]:
    """Return the root over the leaves low..high; the range is one that the tree's division makes."""
    size = high - low
    if size & (size - 1) == 0:
        return (yield from _complete(size.bit_length() - 1, low))
    middle = low + split(size)
    left = yield from _range(low, middle)
    right = yield from _range(middle, high)
    return node_hash(left, right)


def _complete(height: int, low: int) -> Walk[bytes]:
    """Return the root of the complete subtree of 2**height leaves from `low` on."""
    level, within = divmod(height, WIDTH_BITS)
    number, offset = divmod(low >> level * WIDTH_BITS, WIDTH)
    tile = yield TileId(level, number)
    held = tile[offset * HASH_BYTES : (offset + (1 << within)) * HASH_BYTES]
    if len(held) != HASH_BYTES << within:
        raise _missing(TileId(level, number))
    return complete_root(parts(held))
