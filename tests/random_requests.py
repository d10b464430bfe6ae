"""Random requests to every route, made from the OpenAPI document: mostly near to good ones, so that they get past validation."""

from __future__ import annotations

import json
import random
import re
import string
from typing import Any
from urllib.parse import quote

import taskcluster

import client_methods

ODD_TEXT = (
    "", " ", ".", "..", "../..", "%2e%2e%2f", "\x00", "a\x00b", "a\nb", "\u202e", "ü", "\U0001f512", "*", "<script>",
    "'; DROP TABLE task; --", "-1", "0", "1e999", "99999999999999999999999", "NaN", "null", "A" * 5000, "/", "//", "a/b/c",
    "%", "%zz", "%00", "%ff%fe", "{}", "[]", "$ref", "${x}", "assume:*", "\ud800",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**40, -(2**63) - 1, 1.5, 1e308, -0.0, [], {}, [[]], [None], {"": None},
    {"$ref": "http://127.0.0.1:9/x"}, {"$eval": "x"}, {"$map": [1], "each(x)": "x"}, {"$schema": "nope"},
    "2026-99-99T99:99:99.999Z", "2026-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00.000Z",
)  # fmt: skip
ODD_BODIES = (
    b"", b"{", b"null", b"[]", b'"x"', b"1e999", b"[" * 3000, b'{"a":' * 3000, b"\xff\xfe", b"\x00", b'{"a":1,"a":2}',
    b'"\\ud800"', b"NaN", b"1" * 5000, b'{"\\u0000":"\\u0000"}',
)  # fmt: skip


class Requests:
    """Makes random requests that are mostly near to good ones; the same seed gives the same requests."""

    def __init__(self, document: dict[str, Any], seed: int) -> None:
        self._random = random.Random(seed)
        self._document = document
        self._bodies = {name.replace("/", "."): value for name, value in client_methods.bodies().items()}
        self.operations = [
            (method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def one(self, method: str, path: str, operation: dict[str, Any]) -> tuple[str, str, bytes]:
        """Return (method, target, body) of a random request to this operation."""
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", self._argument(parameter["name"]))
        return method.upper(), path + self._query(operation), self._body(operation)

    def _argument(self, name: str) -> str:
        good = client_methods.ARGUMENTS.get(name, "x")
        text = good if self._random.random() < 0.75 else self._text()
        raw = self._random.random() < 0.1
        return quote(text.encode("utf-8", "surrogatepass"), safe="/%." if raw else "") or "%20"

    def _text(self) -> str:
        if self._random.random() < 0.7:
            return self._random.choice(ODD_TEXT)
        return "".join(
            self._random.choices(string.printable + "äß\u0000\uffff", k=self._random.randrange(1, 40))
        )

    def _query(self, operation: dict[str, Any]) -> str:
        known = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
        chosen = [name for name in known if self._random.random() < 0.4]
        if self._random.random() < 0.05:
            chosen.append("unknown")
        if self._random.random() < 0.03 and chosen:
            chosen.append(chosen[0])
        pairs = [f"{name}={quote(self._text().encode('utf-8', 'surrogatepass'))}" for name in chosen]
        return "?" + "&".join(pairs) if pairs else ""

    def _body(self, operation: dict[str, Any]) -> bytes:
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is None:
            return self._random.choice(ODD_BODIES) if content or self._random.random() < 0.1 else b""
        if self._random.random() < 0.12:
            return self._random.choice(ODD_BODIES)
        if self._random.random() < 0.5:
            good = self._bodies.get(schema["$ref"].rpartition("/")[2], {})
            return json.dumps(self._changed(good)).encode()
        return json.dumps(self._like(schema, 0)).encode()

    def _changed(self, value: Any) -> Any:
        """Return `value` with one or two places replaced, left out or added."""
        if not isinstance(value, dict) or not value:
            return self._anything(0)
        made = dict(value)
        for _ in range(self._random.randrange(3)):
            key = self._random.choice(list(value))
            match self._random.randrange(4):
                case 0:
                    made.pop(key, None)
                case 1 if isinstance(value[key], dict):
                    made[key] = self._changed(value[key])
                case 2:
                    made[self._text()] = self._anything(0)
                case _:
                    made[key] = self._anything(0)
        return made

    def _anything(self, depth: int) -> Any:
        kind = self._random.randrange(8)
        if kind < 3:
            return self._random.choice(ODD_VALUES)
        if kind < 6 or depth > 3:
            return self._text()
        if kind == 6:
            return [self._anything(depth + 1) for _ in range(self._random.randrange(4))]
        return {self._text(): self._anything(depth + 1) for _ in range(self._random.randrange(4))}

    def _like(self, schema: Any, depth: int) -> Any:
        """Return a value that mostly fits `schema`: what gets past validation is what matters most."""
        if depth > 8 or not isinstance(schema, dict) or self._random.random() < 0.02:
            return self._anything(0)
        if "$ref" in schema:
            place: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                place = place.get(part, {}) if schema["$ref"].startswith("#") else {}
            return self._like(place, depth + 1)
        for choice in ("oneOf", "anyOf", "enum"):
            if choice in schema:
                picked = self._random.choice(schema[choice])
                return picked if choice == "enum" else self._like(picked, depth + 1)
        kinds = schema.get("type", "anything")
        kind = self._random.choice(kinds) if isinstance(kinds, list) else kinds
        return self._of_type(kind, schema, depth)

    def _of_type(self, kind: str, schema: dict[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                wanted = schema.get("required", [])
                return {
                    name: self._like(part, depth + 1)
                    for name, part in schema.get("properties", {}).items()
                    if name in wanted or self._random.random() < 0.5
                }
            case "array":
                return [
                    self._like(schema.get("items", {}), depth + 1) for _ in range(self._random.randrange(4))
                ]
            case "integer" | "number":
                return self._random.choice((0, 1, -1, 50, 2**31, 2**63 - 1, 2**63, schema.get("maximum", 7)))
            case "boolean":
                return self._random.random() < 0.5
            case "string":
                return self._string(schema)
        return self._anything(0)

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") == "date-time":
            return self._random.choice(
                (client_methods.soon(hours=1), client_methods.soon(days=-1), *map(str, ODD_VALUES[-4:]))
            )
        pattern = schema.get("pattern", "")
        if "[Q-T]" in pattern:
            return self._random.choice((client_methods.TASK, taskcluster.slugId()))
        for good in (*client_methods.ARGUMENTS.values(), "queue.example.com", "get"):
            if pattern and self._random.random() < 0.3 and re.search(pattern, good):
                return good
        return self._random.choice((self._text(), "some:scope", "a-b", client_methods.QUEUE))
