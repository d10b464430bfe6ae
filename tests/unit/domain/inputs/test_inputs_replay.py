"""What a rerun reads is what the manifest measured, and what it made is compared."""

from __future__ import annotations

from typing import Any

import pytest

from liftlock.domain.inputs.replay import Compared, compared, pinned
from liftlock.errors import InputValidationError

A, B = "a" * 64, "b" * 64
TASK = "Qt3GMzT0Qq2rIcp0oYl9sA"


def pin(one: dict[str, Any], measured: dict[str, Any], **network: Any) -> dict[str, Any]:
    manifest = {"inputs": [{"name": "x", **measured}], "network": network}
    [found] = pinned({"inputs": [{"name": "x", **one}]}, manifest)["inputs"]
    return dict(found)


def test_every_kind_is_fixed_to_what_was_measured() -> None:
    made = {"files": [{"name": "public/a", "sha256": A}], "producer": {"taskId": TASK}}
    fixed = {"name": "x", "task": {"id": TASK, "artifact": "public/a", "sha256": A}, "mount": "/inputs/x"}
    mount = {"mount": "/inputs/x"}
    assert pin({"task": {"id": TASK, "artifact": "public/a"}} | mount, made) == fixed
    assert pin({"index": {"namespace": "n", "artifact": "public/a"}} | mount, made) == fixed
    assert pin({"task": {"label": "l"}, "output": "o"} | mount, made) == fixed
    assert pin({"url": "https://x/"}, {"files": [{"name": "f", "sha256": A}]})["sha256"] == A
    git = {"git": {"project": "p", "revision": "1" * 40}}
    assert pin(git, {"files": [{"name": "source.bundle", "sha256": A}]}) == {"name": "x"} | git


def test_a_snapshot_is_replayed_from_its_own_answers() -> None:
    answers = [{"path": "x:simple/a/", "sha256": A}, {"path": "y:simple/a/", "sha256": B}]
    found = pin({"index-snapshot": {"index": "i", "before": "b"}}, {"files": []}, answers=answers)
    assert found["index-snapshot"] == {
        "index": "i",
        "before": "b",
        "answers": [{"path": "simple/a/", "sha256": A}],
    }


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (None, "payload: expected an object"),
        ({"features": {"taskclusterProxy": True}}, "this task calls the API"),
        ({"inputs": [{"name": "y"}]}, "the manifest does not have the input 'y'"),
    ],
)
def test_what_can_not_be_run_again_is_refused(payload: Any, said: str) -> None:
    with pytest.raises(InputValidationError, match=said):
        pinned(payload, {"inputs": []})


def test_artifacts_are_compared_by_digest_and_the_workers_own_left_out() -> None:
    was, now = {"a": A, "b": A, "c": A, "log": A}, {"a": A, "b": B, "d": B, "log": B}
    assert compared(was, now, without=frozenset({"log"})) == [
        Compared("a", "same", A, A),
        Compared("b", "differs", A, B),
        Compared("c", "missing", A, None),
        Compared("d", "new", None, B),
    ]
