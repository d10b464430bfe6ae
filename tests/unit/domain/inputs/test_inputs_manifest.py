"""The inputs manifest."""

from __future__ import annotations

from liftlock.domain.inputs.declarations import declarations
from liftlock.domain.inputs.manifest import Failed, Measured, Prepared, RunFacts, manifest

FACTS = RunFacts(
    "task", 3, {"workerId": "w"}, {"users": "separate"}, {"default": "none"}, (("GET", "/x", "why"),), 2
)
[INPUT, OTHER] = declarations(
    [
        {"name": "a", "raw": {"content": "x"}, "mount": "/inputs/a"},
        {
            "name": "b",
            "task": {"id": "Qt3GMzT0Qq2rIcp0oYl9sA", "artifact": "public/b"},
            "unpack": {"to": "/build/b"},
        },
    ],
    "payload.inputs",
)


def test_it_says_what_was_declared_and_what_was_measured() -> None:
    done = Prepared(INPUT, (Measured("content", "f" * 64, 1, ("e" * 64,)),), tree="d" * 64, cached=True)
    said = manifest(FACTS, (done,))
    assert said["inputs"] == [
        {
            "name": "a",
            "kind": "raw",
            "declared": {},
            "mount": "/inputs/a",
            "files": [{"name": "content", "sha256": "f" * 64, "size": 1, "declared": ("e" * 64,)}],
            "cached": True,
            "tree": "sha256:" + "d" * 64,
        }
    ]
    assert said["isolation"] == {"users": "separate"}
    assert said["network"] == {
        "default": "none",
        "refused": [{"method": "GET", "path": "/x", "why": "why"}],
        "refusedMore": 2,
    }
    assert "failed" not in said


def test_a_failed_run_names_the_input_that_ended_it() -> None:
    said = manifest(FACTS, (), Failed(OTHER, "declared 1, observed 2"))
    assert said["failed"] == {
        "name": "b",
        "kind": "task",
        "declared": {"taskId": "Qt3GMzT0Qq2rIcp0oYl9sA", "artifact": "public/b"},
        "unpack": "/build/b",
        "error": "declared 1, observed 2",
    }
