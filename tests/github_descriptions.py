"""GitHub's published description of its REST API, and its published examples of webhooks: fetched by npm, locked by hashes.

They are fetched once for each lock file, and are not part of the repository.
"""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import msgspec

import third_party_programs


def fetched() -> Path:
    """Return the folder of GitHub's packages."""
    return third_party_programs.node_modules("github") / "@octokit"


def webhook_examples() -> dict[str, list[dict[str, Any]]]:
    """Return the published examples of webhooks, by event."""
    raw = (fetched() / "webhooks-examples/api.github.com/index.json").read_bytes()
    return {each["name"]: each["examples"] for each in json.loads(raw)}


class Description:
    """The OpenAPI description: says whether a request and its answer are as GitHub publishes them."""

    def __init__(self) -> None:
        raw = (fetched() / "openapi/generated/api.github.com.json").read_bytes()
        self._told: dict[str, Any] = msgspec.json.decode(raw)

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        return [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + r"\Z"), path)
            for path in sorted(self._told["paths"], key=lambda path: path.count("{"))
        ]

    def example(self, name: str) -> Any:
        """Return a copy of a published example."""
        return json.loads(json.dumps(self._told["components"]["examples"][name]["value"]))

    def check_request(self, method: str, target: str, body: bytes) -> list[str]:
        """Return what is wrong with a request: its path, its query, its body."""
        path, _, query = target.partition("?")
        operation = self._operation(method, path)
        if operation is None:
            return [f"{method} {path}: no such operation"]
        known = {each["name"]: each for each in map(self._resolved, operation.get("parameters", []))}
        wrong = [f"{method} {path}: no parameter {name}" for name, _ in parse_qsl(query) if name not in known]
        for name, value in parse_qsl(query):
            schema = known.get(name, {}).get("schema", {})
            wrong += self._against(schema, int(value) if value.isdigit() else value, f"parameter {name}")
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return wrong + ([f"{method} {path}: no body is expected"] if body else [])
        return wrong + self._against(content["schema"], json.loads(body), "body")

    def check_answer(self, method: str, target: str, status: int, body: Any) -> list[str]:
        """Return what is wrong with an answer."""
        operation = self._operation(method, target.partition("?")[0])
        assert operation is not None
        told = operation["responses"].get(str(status))
        if told is None:
            return [f"{method} {target}: no answer with status {status}"]
        content = self._resolved(told).get("content", {}).get("application/json")
        return [] if content is None else self._against(content["schema"], body, f"answer {status}")

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for pattern, name in self._paths:
            if pattern.match(path) and method.lower() in self._told["paths"][name]:
                return dict(self._told["paths"][name][method.lower()])
        return None

    def _resolved(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            at: Any = self._told
            for part in value["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            value = at
        return value

    def _against(self, schema: Any, value: Any, what: str) -> list[str]:
        needed: dict[str, Any] = {}
        root = self._converted(schema, needed)
        whole = {**root, "components": {"schemas": needed}} if needed else root
        validator = jsonschema_rs.Draft7Validator(whole, validate_formats=False)
        return [
            f"{what}: {error.instance_path}: {error.message}"[:300] for error in validator.iter_errors(value)
        ]

    def _converted(self, schema: Any, needed: dict[str, Any]) -> Any:
        """Return an OpenAPI 3.0 schema as JSON Schema; `needed` gets the shared ones that it refers to."""
        if isinstance(schema, list):
            return [self._converted(each, needed) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if isinstance(schema.get("$ref"), str):
            name = schema["$ref"].rpartition("/")[2]
            if name not in needed:
                needed[name] = {}
                needed[name] = self._converted(self._told["components"]["schemas"][name], needed)
            return {"$ref": f"#/components/schemas/{name}"}
        dropped = {"nullable", "example", "examples", "discriminator", "description", "default"}
        found = {
            key: {name: self._converted(each, needed) for name, each in value.items()}
            if key == "properties"
            else value
            if key in {"enum", "required"}
            else self._converted(value, needed)
            for key, value in schema.items()
            if key not in dropped
            or (key != "nullable" and isinstance(value, dict) and key != "discriminator")
        }
        return {"anyOf": [{"type": "null"}, found]} if schema.get("nullable") is True else found
