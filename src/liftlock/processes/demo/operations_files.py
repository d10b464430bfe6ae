"""What the demo's operations need before liftlock starts: an index's address, people's keys, and the operations file."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

APPROVER, REQUESTER = "people/morgan-operations", "people/robin-operations"
OPERATION, PROJECT, SECRET, USER = "publish-gadget", "gadget", "index-token", "publisher"
_EXAMPLE_INDEX = "http://127.0.0.1:8081"
_APPROVERS = """\
approvers:
  morgan:
    clients: ["people/morgan*"]
    operations: ["publish-*"]
    keys: {{ssh: ["{morgan_key}"]}}
  robin:
    clients: ["people/robin*"]
    operations: ["publish-*"]
    keys: {{ssh: ["{robin_key}"]}}
"""


@dataclass(frozen=True, slots=True)
class OperationsFiles:
    """`file`: for `liftlock up --operations`. `keys`: where each person's SSH key is. `port`: of the index."""

    file: Path
    keys: dict[str, Path]
    port: int

    @property
    def index(self) -> str:
        """The index's address."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    def make(cls, folder: Path, example: Path) -> OperationsFiles:
        """Make keys and the file from the example's; nothing runs yet."""
        keys = {name: _key(folder / f"{name}.key", name) for name in ("morgan", "robin")}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        made = cls(folder / "operations.yml", keys, port)
        text, _, _ = (example / "operations.yml").read_text().partition("approvers:")
        people = _APPROVERS.format(**{f"{name}_key": _public(key) for name, key in keys.items()})
        made.file.write_text(text.replace(_EXAMPLE_INDEX, made.index) + people)
        return made


def _key(path: Path, comment: str) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], check=True
    )
    return path


def _public(key: Path) -> str:
    return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])
