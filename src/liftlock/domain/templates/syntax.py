"""The tree of an expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a string, true, false or null."""

    value: int | float | str | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A variable of the context, or a builtin function."""

    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`+x`, `-x` or `!x`."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands with an infix operator."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Property:
    """`object.name`."""

    object: Node
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """`value[key]`."""

    value: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Slice:
    """`value[start:stop]`, either end may be missing."""

    value: Node
    start: Node | None
    stop: Node | None


@dataclass(frozen=True, slots=True)
class Call:
    """`function(argument, …)`."""

    function: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[item, …]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """`{key: value, …}`; a key that is repeated counts with its last value."""

    items: tuple[tuple[str, Node], ...]


Node: TypeAlias = Literal | Name | Unary | Binary | Property | Index | Slice | Call | ListOf | ObjectOf
