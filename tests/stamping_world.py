"""Many cheap operations on a real liftlock: each tags the revision by the version that it was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from operations_world import Repository, World, open_to_all, operations_world


def _stamp(address: str, seconds: float) -> dict[str, Any]:
    return {
        "description": "Tag a revision",
        "project": "format",
        "input": {
            "type": "object",
            "properties": {"version": {"type": "string"}},
            "required": ["version"],
            "additionalProperties": False,
        },
        "stage1": {
            "command": [
                [
                    "sh",
                    "-c",
                    f"sleep {seconds}; mkdir artifacts; cp /inputs/operation.json artifacts/verdict.json",
                ]
            ],
            "maxRunTime": 60,
        },
        "contract": {"files": [{"names": "verdict.json", "least": 1, "type": "json"}]},
        "stage2": {
            "kind": "move-ref",
            "settings": {"address": address, "tagField": "version", "tagPrefix": "v"},
        },
        "approvals": {"need": 0},
    }


@contextlib.contextmanager
def stamping(*arguments: str, seconds: float = 0.0) -> Iterator[World]:
    """Yield a world whose operation `stamp` makes the tag v<version>; its repository keeps a log of what every tag was.

    Args:
        seconds: How long each stage 1 takes at least.
    """

    def configure(operations: dict[str, Any], repositories: dict[str, Repository]) -> None:
        repository = repositories["format"]
        repository.git("config", "core.logAllRefUpdates", "always", where=repository.bare)
        operations.clear()
        operations["stamp"] = _stamp(str(repository.bare), seconds)
        open_to_all(repository)

    with operations_world(
        ("format",), configure, index=False, people=("robin",), arguments=arguments
    ) as world:
        world.person("robin", "liftlock:request:stamp")
        yield world
