"""YAML with the lines that its values stand on, so that whatever is wrong later can be said with file and line.

Source: docs/reference/configuration.md#files
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import yaml

from liftlock.errors import InputInvalidError

MAX_FILE_BYTES: Final = 64 << 20
MAX_DEPTH: Final = 60
MAX_NODES: Final = 2_000_000
"""Values in one file after its aliases are expanded."""

T = TypeVar("T")
_PATH = re.compile(
    r"^(?P<said>.*) - at `(?:key|value in )?\$?(?P<path>[^`]*)`(?: in `\$(?P<of>[^`]*)`)?$", re.DOTALL
)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1; 0 means the whole file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at a place: what was found, and what was expected."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class FilesRefusedError(InputInvalidError):
    """The files say something that makes no sense; `problems` are all that were found, by file and line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Located:
    """A YAML value and where it stands."""

    file: str
    node: yaml.Node

    @property
    def place(self) -> Place:
        """The line on which the value begins."""
        return Place(self.file, self.node.start_mark.line + 1)

    def entries(self) -> Iterator[tuple[str, Place, Located]]:
        """Yield (key, place of the key, value) of a mapping, in order.

        Raises:
            FilesRefusedError: it is none, a key is no text, or a key is given twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise refused(self.place, f"expected a mapping, found {_kind(self.node)}")
        seen: set[str] = set()
        for key, value in self.node.value:
            place = Place(self.file, key.start_mark.line + 1)
            if not isinstance(key, yaml.ScalarNode):
                raise refused(place, f"expected text as key, found {_kind(key)}")
            if key.value in seen:
                raise refused(place, f"the key {key.value!r} is given twice")
            seen.add(key.value)
            yield key.value, place, Located(self.file, value)

    def items(self) -> Iterator[Located]:
        """Yield the items of a list; raises FilesRefusedError if it is none."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise refused(self.place, f"expected a list, found {_kind(self.node)}")
        for item in self.node.value:
            yield Located(self.file, item)

    def value(self) -> Any:
        """Return the value in JSON types; dates stay text.

        Raises:
            FilesRefusedError: it nests too deeply, is too large, or holds a key twice.
        """
        return _Values(self.file).of(self.node)

    def to(self, kind: type[T]) -> T:
        """Return the value as the Struct `kind`.

        Raises:
            FilesRefusedError: it is none; the message says which line, what was found and what was expected.
        """
        try:
            return msgspec.convert(self.value(), kind)
        except msgspec.ValidationError as error:
            said, path = _parted(str(error))
            at = _found(self.node, path)
            where = f"{path.lstrip('.')}: " if path else ""
            raise refused(Place(self.file, at.start_mark.line + 1), f"{where}{said}") from error


def refused(place: Place, message: str) -> FilesRefusedError:
    """Return the error of one problem."""
    return FilesRefusedError([Problem(place, message)])


def read_yaml(file: str, content: bytes) -> Located | None:
    """Return the file's one document, or None if it holds nothing.

    Raises:
        FilesRefusedError: too large, no UTF-8, or no YAML; the message says where.
    """
    if len(content) > MAX_FILE_BYTES:
        raise refused(Place(file), f"{len(content)} bytes, expected at most {MAX_FILE_BYTES}")
    try:
        loader = _Loader(content.decode("utf-8"))
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise refused(Place(file, line), f"expected YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise refused(Place(file), f"expected YAML in UTF-8: {error}") from error
    return None if node is None else Located(file, node)


class _Loader(yaml.CSafeLoader):
    """Resolves tags as its parent does, without the paths to values that nothing here resolves by: a quarter faster."""

    def descend_resolver(self, _node: yaml.Node | None, _index: Any) -> None: ...

    def ascend_resolver(self) -> None: ...

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return _LIST if kind is yaml.SequenceNode else _MAPPING
        if implicit[0]:
            for tag, form in self.yaml_implicit_resolvers.get(value[:1], ()):
                if form.match(value):
                    return str(tag)
        return _TEXT


def _parted(said: str) -> tuple[str, str]:
    """Return msgspec's message and the path in it, which is empty for the value itself."""
    match = _PATH.match(said)
    return (match["said"], match["of"] or match["path"] or "") if match else (said, "")


def _found(node: yaml.Node, path: str) -> yaml.Node:
    """Return the node at `path`, or the last one on the way that can be told."""
    for key, number in _STEP.findall(path):
        below: yaml.Node | None = None
        if number and isinstance(node, yaml.SequenceNode) and int(number) < len(node.value):
            below = node.value[int(number)]
        elif key and isinstance(node, yaml.MappingNode):
            below = next((value for name, value in node.value if name.value == key), None)
        if below is None:
            return node
        node = below
    return node


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"{node.value[:64]!r}" if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


_MAKE = yaml.constructor.SafeConstructor()
_TEXT: Final = "tag:yaml.org,2002:str"
_LIST: Final = "tag:yaml.org,2002:seq"
_MAPPING: Final = "tag:yaml.org,2002:map"
_SCALARS: Final = {
    "tag:yaml.org,2002:int": _MAKE.construct_yaml_int,
    "tag:yaml.org,2002:float": _MAKE.construct_yaml_float,
    "tag:yaml.org,2002:bool": _MAKE.construct_yaml_bool,
    "tag:yaml.org,2002:null": _MAKE.construct_yaml_null,
}


class _Values:
    """Makes values of nodes, counting: what aliases share is paid for each time."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.left = MAX_NODES

    def of(self, node: yaml.Node, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            bound = f"{MAX_NODES} values" if self.left < 0 else f"{MAX_DEPTH} levels"
            raise refused(Place(self.file, node.start_mark.line + 1), f"expected at most {bound}")
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _TEXT else self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, depth + 1) for item in node.value]
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in found:
                list(Located(self.file, node).entries())
            found[key.value] = self.of(value, depth + 1)
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        make = _SCALARS.get(node.tag)
        if make is None:
            return node.value
        try:
            return make(node)
        except ValueError as error:
            raise refused(
                Place(self.file, node.start_mark.line + 1), f"{node.value[:64]!r}: {error}"
            ) from error
