"""The payload of liftlock's worker, from the `worker:` of a task in this directory's kinds."""

from taskgraph.transforms.task import payload_builder
from taskgraph.util.schema import Schema


class Artifact(Schema):
    name: str
    path: str
    type: str


class LiftlockPayload(Schema, kw_only=True):
    implementation: str
    os: str
    # One or more commands, each a list of arguments; they run one after the other.
    command: list[list[str]]
    # Seconds.
    max_run_time: int
    # Values may be `{task-reference: ...}`.
    env: dict[str, object] = {}
    # Declared inputs in the worker's own form, verified before the task starts.
    inputs: list[dict[str, object]] = []
    artifacts: list[Artifact] = []
    # Names of what the task makes, each with its artifact: tasks that depend on it read them by these names.
    outputs: dict[str, str] = {}
    # Whether the task may call the API with its own scopes.
    taskcluster_proxy: bool = False


@payload_builder("liftlock", schema=LiftlockPayload)
def build_liftlock_payload(config, task, task_def):
    """Fill in `task_def["payload"]`."""
    worker = task["worker"]
    payload = {
        "command": worker["command"],
        "maxRunTime": worker["max-run-time"],
        "env": {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **worker.get("env", {})},
        "inputs": worker.get("inputs", []),
        "artifacts": worker.get("artifacts", []),
    }
    if worker.get("outputs"):
        payload["outputs"] = worker["outputs"]
    if worker.get("taskcluster-proxy"):
        payload["features"] = {"taskclusterProxy": True}
    task_def["payload"] = payload
