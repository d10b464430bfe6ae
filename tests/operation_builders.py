"""Operations, frozen requests and approvers with what is irrelevant filled in, for tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from liftlock.domain.approvals.approval import Approval, Method, Verdict, statement
from liftlock.domain.approvals.people import Approver, parse_approvers
from liftlock.domain.approvals.request import FrozenFile, FrozenRequest, FrozenStage
from liftlock.domain.approvals.sshsig import NAMESPACE
from liftlock.domain.operations.definition import Operation, define_operation

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
REVISION = "a" * 40
STAGE1, STAGE2, OPERATION_ID = (
    "A" * 8 + "Q" + "AC" + "A" * 11,
    "B" * 8 + "QAC" + "A" * 11,
    "C" * 8 + "QAC" + "A" * 11,
)


def operation_body(**changes: Any) -> dict[str, Any]:
    """Return the configuration of an operation."""
    return {
        "description": "Build widget and publish it",
        "project": "widget",
        "refs": ["main"],
        "input": {
            "type": "object",
            "properties": {"version": {"type": "string"}},
            "additionalProperties": False,
        },
        "stage1": {"command": [["python3", "build.py"]]},
        "contract": {"files": [{"names": "dist/*.whl", "least": 1, "type": "zip", "maxBytes": 1000}]},
        "stage2": {"kind": "publish-distribution"},
        **changes,
    }


def operation(name: str = "publish-widget", **changes: Any) -> Operation:
    """Return a checked operation."""
    return define_operation(name, operation_body(**changes))


def frozen(**changes: Any) -> FrozenRequest:
    """Return a frozen request."""
    made = FrozenRequest(
        operation_id=OPERATION_ID,
        operation="publish-widget",
        operation_version="1" * 64,
        hook_version="2" * 64,
        requester="people/robin",
        requested=NOW,
        project="widget",
        identity="https://github.com/demo/widget",
        ref="main",
        revision=REVISION,
        input={"version": "1.0"},
        stage1=FrozenStage(
            STAGE1, 0, "3" * 64, "local/unprivileged", 1, (FrozenFile("dist/w.whl", "4" * 64, 9),)
        ),
        contract=("dist/*.whl",),
        stage2_task_id=STAGE2,
        expires=NOW + timedelta(hours=24),
    )
    return msgspec.structs.replace(made, **changes)


@dataclass(frozen=True, slots=True)
class Signer:
    """A person with an SSH key of their own, which `ssh-keygen` uses."""

    name: str
    key: Path

    @classmethod
    def make(cls, name: str, folder: Path, kind: str = "ed25519") -> Signer:
        key = folder / f"{name}-{kind}"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", key], check=True)
        return cls(name, key)

    @property
    def public(self) -> str:
        return self.key.with_suffix(self.key.suffix + ".pub").read_text().strip()

    def person(self, *operations: str) -> dict[str, Any]:
        """Return the person's entry in the configuration."""
        return {
            "clients": [f"people/{self.name}"],
            "operations": list(operations) or ["*"],
            "keys": {"ssh": [self.public]},
        }

    def sign(self, message: bytes, namespace: str = NAMESPACE) -> str:
        """Return the armored signature."""
        done = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", self.key],
            input=message,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()

    def say(
        self, request: FrozenRequest, verdict: Verdict = "approve", *, at: datetime = NOW, **changes: Any
    ) -> Approval:
        """Return this person's signed word on the request."""
        reason = "looked at it"
        said = statement(request.operation_id, request.operation, request.digest, verdict, self.name, reason)
        method: Method = "ssh"
        made = Approval(
            request.operation_id,
            request.operation,
            request.digest,
            self.name,
            f"people/{self.name}",
            verdict,
            reason,
            method,
            self.sign(said),
            at,
        )
        return msgspec.structs.replace(made, **changes)


def people(*signers: Signer) -> dict[str, Approver]:
    """Return the approvers."""
    return parse_approvers({one.name: one.person() for one in signers})
