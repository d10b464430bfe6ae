"""What scriptworker runs in these tests: leaves artifacts, and ends as the task's payload says."""

from __future__ import annotations

import json
import pathlib
import sys

work, artifacts = map(pathlib.Path, sys.argv[1:])
task = json.loads((work / "task.json").read_text())
sys.stdout.write(f"scriptworker ran {task['metadata']['name']}\n")
for name, text in task["payload"].get("make", {}).items():
    target = artifacts / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
sys.exit(task["payload"].get("exit", 0))
