"""`.taskcluster.yml`, version 1: parsed from untrusted bytes within bounds, and named by the digest of those bytes.

Source: docs/reference/pushes.md#taskcluster-yml
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

import yaml

from liftlock.errors import InputInvalidError

PATH: Final = ".taskcluster.yml"
MAX_BYTES: Final = 262_144
MAX_NODES: Final = 50_000
"""Values in the file after its aliases are expanded: a few lines of aliases can stand for billions."""
MAX_DEPTH: Final = 60
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The file's content: `document` holds JSON values only, `digest` is the hexadecimal sha256 of the raw bytes."""

    document: dict[str, Any]
    digest: str

    @property
    def tasks(self) -> Any:
        """The template of the tasks, not yet rendered."""
        return self.document["tasks"]

    @property
    def action_template(self) -> Any | None:
        """The first task's template, which hooks for actions are made of, or None if the tasks are not written as a list."""
        tasks = self.document["tasks"]
        return tasks[0] if isinstance(tasks, list) and tasks else None


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, keeps dates as text, and bounds how deep values nest."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise InputInvalidError(f"{PATH}: values nest deeper than {MAX_DEPTH}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise InputInvalidError(
                    f"{PATH}: line {key.start_mark.line + 1}: the key {key.value!r} is given twice"
                )
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_config(raw: bytes) -> ConfigFile:
    """Return the file that the bytes `raw` hold.

    Raises:
        InputInvalidError: too large, no YAML, not JSON-like, no `version: 1`, or no `tasks`; the message says where.
    """
    if len(raw) > MAX_BYTES:
        raise InputInvalidError(f"{PATH}: {len(raw)} bytes, expected at most {MAX_BYTES}")
    document = _load(raw)
    if not isinstance(document, dict):
        raise InputInvalidError(f"{PATH}: expected a mapping with version and tasks")
    if document.get("version") != 1 or isinstance(document.get("version"), bool):
        raise InputInvalidError(f"{PATH}: expected version: 1, found {document.get('version')!r}")
    if "tasks" not in document:
        raise InputInvalidError(f"{PATH}: expected tasks")
    return ConfigFile(document, hashlib.sha256(raw).hexdigest())


def _load(raw: bytes) -> Any:
    try:
        loader = _Loader(raw.decode("utf-8"))
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        raise InputInvalidError(f"{PATH}: expected UTF-8: {error}") from error
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise InputInvalidError(f"{PATH}: expected YAML: {error}") from error
    return _Copy().of(value, PATH)


class _Copy:
    """Copies a value into JSON types, counting: what aliases share is paid for each time."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def of(self, value: Any, where: str, depth: int = 0) -> Any:
        self.left -= 1
        if self.left < 0:
            raise InputInvalidError(f"{PATH}: more than {MAX_NODES} values once its aliases are expanded")
        if depth > MAX_DEPTH:
            raise InputInvalidError(f"{PATH}: values nest deeper than {MAX_DEPTH}")
        if isinstance(value, dict):
            return {
                self._key(key, where): self.of(item, f"{where}.{key}"[-200:], depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.of(item, where, depth + 1) for item in value]
        if not isinstance(value, _PLAIN):
            raise InputInvalidError(f"{where}: expected JSON values, found {type(value).__name__}")
        return value

    def _key(self, key: Any, where: str) -> str:
        if not isinstance(key, str):
            raise InputInvalidError(f"{where}: expected text as key, found {key!r}")
        return key
