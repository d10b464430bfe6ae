"""What the demo's probe runs *inside* a task: it tries to get out, and reports what it reached.

It is given to the task as the bytes of this file, so it imports nothing but the standard library. Arguments: a JSON
object with `files` and `folders` (paths), `addresses` (`[host, port]`) and `words` (texts that no environment may
hold). It writes one JSON object: `reached` (list of what should have been impossible), `uid`, `interfaces`, and
`sees` (what every task must be able to see, as proof that the probe can see anything at all).
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any


def _readable(path: str) -> bool:
    try:
        return bool(Path(path).read_bytes())
    except OSError:
        return False


def _listable(path: str) -> bool:
    try:
        return bool(os.listdir(path))
    except OSError:
        return False


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def _environments(words: list[str]) -> list[str]:
    texts = {"environment": repr(dict(os.environ))}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for name in ("environ", "cmdline"):
                try:
                    texts[f"{entry}/{name}"] = (entry / name).read_bytes().decode("utf-8", "replace")
                except OSError:
                    continue
    # The probe's own arguments name the words: they are no leak.
    own = {f"/proc/{os.getpid()}/cmdline"}
    return [
        where for where, text in texts.items() if where not in own and any(word in text for word in words)
    ]


def main() -> None:
    """Write what was reached."""
    wanted: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    reached = [path for path in wanted["files"] if _readable(path)]
    reached += [path for path in wanted["folders"] if _listable(path)]
    reached += [f"{host}:{port}" for host, port in wanted["addresses"] if _connects(host, port)]
    reached += _environments(wanted["words"])
    result = {
        "reached": reached,
        "uid": os.getuid(),
        "interfaces": [name for _, name in socket.if_nameindex()],
        "sees": sorted(path for path in ("/usr/bin/env", "/inputs/probe.py") if _readable(path)),
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
