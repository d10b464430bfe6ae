"""Every write that a caller asks for leaves an audit record in its transaction, or is listed here with the reason why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from source_tree import python_files, shown, tree

WITHOUT = {
    "claim_work.py:_take": "who claimed a run stands in the run itself, for ever",
    "claim_work.py:reclaim": "the same claim goes on, by its own credentials",
    "claim_work.py:_end": "a worker gives back its own claim; the run says so",
    "task_lifecycle.py:report": "how its own run ended, said by its own credentials; the run says so",
    "task_lifecycle.py:_cancel_quietly": "one task of a group whose cancelling is recorded",
    "artifact_uploads.py": "artifacts of its own run, by its own credentials; the signed chain names them",
    "worker_pools.py:report_error": "an error that a worker tells; nothing is allowed by it",
    "fire_hook.py": "the fire is among the records, and is an audit record as well",
}
"""File, or file and function, of services → why no audit record is made there."""


def writes(module: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call of a caller's `envelope` with the function that it stands in."""
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                if is_call and node.func.attr == "envelope":
                    yield function.name, node


def test_every_write_of_a_caller_leaves_an_audit_record() -> None:
    found, used = [], set()
    for path in python_files("src"):
        if path.parent.name != "services":
            continue
        for function, call in writes(tree(path)):
            if len(call.args) > 1:
                continue
            for key in (path.name, f"{path.name}:{function}"):
                if key in WITHOUT:
                    used.add(key)
                    break
            else:
                found.append(f"{shown(path)}:{call.lineno} in {function}")
    assert found == [], "these writes leave no audit record, and no reason is given"
    assert set(WITHOUT) - used == set(), "these reasons are for nothing"
