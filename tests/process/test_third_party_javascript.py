"""The JavaScript client from npm, unmodified, does what a program does with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
import taskcluster

import third_party_programs
from control_plane_server import Served
from hook_builders import ROLE_SCOPES, hook_body
from task_builders import document

pytestmark = pytest.mark.process


@pytest.fixture
def found(served: Served) -> dict[str, Any]:
    """What the program found out."""
    folder = third_party_programs.node_modules("javascript").parent
    program = folder / "drive.mjs"
    shutil.copy(third_party_programs.LOCKS / "javascript" / "drive.mjs", program)
    given = {
        **served.options,
        "task": document(taskcluster.fromNow("0 seconds")),
        "hook": hook_body(),
        "hookRole": {"roleId": "hook-id:javascript/hook", "scopes": list(ROLE_SCOPES)},
    }
    done = subprocess.run(
        ["node", program], input=json.dumps(given), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_javascript_client_works_unmodified(found: dict[str, Any]) -> None:
    assert found["expanded"] == ["assume:javascript", "some:scope/*"]
    assert found["roleIds"] == ["javascript"]
    assert found["temporary"] == ["assume:anonymous", "some:scope/*"]
    assert found["authorized"] == ["assume:anonymous", "some:scope/a"]
    assert found["refused"] == {"code": "InsufficientScopes", "statusCode": 403, "names": True}
    assert found["secret"] == found["bySignedUrl"] == {"word": "hello"}
    assert (found["created"], found["completed"], found["put"]) == ("pending", "completed", 200)
    assert found["downloads"] == {
        "public/large.txt": "x" * found["length"],
        "public/small.txt": "small",
        "public/s3.txt": "by put",
        "public/link": "by put",
    }
    assert found["artifacts"] == ["public/large.txt", "public/link", "public/s3.txt", "public/small.txt"]
    assert found["indexed"]
    assert (found["fired"], found["lastFire"]) == ("pending", "triggerHook")
    assert (found["missing"]["code"], found["missing"]["statusCode"]) == ("ResourceNotFound", 404)
