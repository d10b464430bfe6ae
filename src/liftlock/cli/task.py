"""`liftlock task`: tasks, their logs, artifacts and groups."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import AnsweredError, TimedOutError
from liftlock.cli.output import Output, printable
from liftlock.cli.provenance import bundle, inputs, verify
from liftlock.cli.task_shell import shell
from liftlock.cli.waiting import wait_for_task

LIVE_LOG: Final = "public/logs/live.log"
BACKING_LOG: Final = "public/logs/live_backing.log"
_RESOLVED: Final = ("completed", "failed", "exception")
_STYLE: Final = {"completed": "green", "failed": "red", "exception": "red", "running": "yellow"}
_POLL_S: Final = 1.0
_NOT_FOUND: Final = 404

_TASK = click.argument("task_id", metavar="TASK")


@click.group()
def task() -> None:
    """See tasks, their logs and artifacts."""


@task.command()
@_TASK
@click.option("--wait", is_flag=True, help="Until it is resolved.")
@click.option(
    "--timeout", "timeout_s", type=float, default=3600.0, show_default=True, help="Seconds to wait."
)
@api_command
def show(api: Api, out: Output, task_id: str, timeout_s: float, *, wait: bool) -> int:
    """Show a task and its runs. Exit status 1 if it ended otherwise than completed."""
    if wait:
        wait_for_task(api, out, task_id, timeout_s)
    definition = api.get("queue", "task", task_id)
    status = api.get("queue", "task", task_id, "status")["status"]
    state = status["state"]
    facts = [
        out.styled(definition["metadata"]["name"], "bold"),
        f"task:     {task_id}",
        f"group:    {status['taskGroupId']}",
        f"queue:    {status['taskQueueId']} (priority {status['priority']})",
        f"state:    {out.styled(state, _STYLE.get(state, 'bold'))}",
        f"deadline: {status['deadline']}, expires {status['expires']}, {status['retriesLeft']} retries left",
        *(f"needs:    {needed}" for needed in definition["dependencies"]),
        *(f"scope:    {printable(scope)}" for scope in definition["scopes"]),
    ]
    rows = [
        [
            str(run["runId"]),
            run["state"],
            run.get("reasonResolved", run["reasonCreated"]),
            "/".join([run["workerGroup"], run["workerId"]]) if "workerId" in run else "-",
            run.get("started", "-"),
            run.get("resolved", "-"),
        ]
        for run in status["runs"]
    ]
    table = out.table(["run", "state", "reason", "worker", "started", "resolved"], rows) if rows else []
    out.data({"task": definition, "status": status}, [*facts, *table])
    return Exit.FAILED if state in ("failed", "exception") else Exit.OK


@task.command()
@_TASK
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--raw", is_flag=True, help="Leave control sequences in.")
@api_command
def logs(api: Api, out: Output, task_id: str, *, follow: bool, raw: bool) -> int:
    """Write the log of a task's latest run. With --follow, exit status 1 if the task failed."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in _log_chunks(api, out, task_id, follow=follow):
        text = decoder.decode(chunk)
        out.stdout.write(text if raw else printable(text))
        out.stdout.flush()
    if not follow:
        return Exit.OK
    state = api.get("queue", "task", task_id, "status")["status"]["state"]
    return Exit.FAILED if state in ("failed", "exception") else Exit.OK


def _log_chunks(api: Api, out: Output, task_id: str, *, follow: bool) -> Iterator[bytes]:
    """Yield the log as far as it is there, and as it grows if `follow`."""
    said, offset = "", 0
    while True:
        status = api.get("queue", "task", task_id, "status")["status"]
        if status["state"] in ("unscheduled", "pending") and not offset:
            if not follow:
                raise AnsweredError(
                    _NOT_FOUND, "ResourceNotFound", f"task {task_id} is {status['state']}: no log yet"
                )
            if status["state"] != said:
                said = status["state"]
                out.progress(f"{task_id}: {said}")
            time.sleep(_POLL_S)
            continue
        run = str(status["runs"][-1]["runId"])
        options = {"offset": str(offset), "follow": "1" if follow else "0"}
        try:
            with api.stream(
                "queue", "task", task_id, "runs", run, "live-log", BACKING_LOG, query=options
            ) as chunks:
                for chunk in chunks:
                    offset += len(chunk)
                    yield chunk
        except TimedOutError:
            continue  # nothing was said for a while: ask again from here on
        except AnsweredError as error:
            if error.status != _NOT_FOUND:
                raise
            if status["state"] not in _RESOLVED:
                time.sleep(_POLL_S)
                continue
            with api.open_artifact(task_id, LIVE_LOG) as chunks:
                yield from chunks
        return


@task.command()
@_TASK
@click.option("--get", "name", metavar="NAME", help="Download this artifact of the latest run.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Where to, instead of stdout."
)
@api_command
def artifacts(api: Api, out: Output, task_id: str, name: str | None, output: Path | None) -> None:
    """List the artifacts of a task's latest run, or download one."""
    if name is not None:
        _download(api, out, task_id, name, output)
        return
    found = list(api.all_pages("queue", "task", task_id, "artifacts", key="artifacts"))
    rows = [
        [
            one["name"],
            one["storageType"],
            str(one.get("contentLength", "-")),
            one["contentType"],
            one["expires"],
        ]
        for one in found
    ]
    out.data(found, out.table(["name", "storage", "bytes", "type", "expires"], rows))


def _download(api: Api, out: Output, task_id: str, name: str, output: Path | None) -> None:
    with api.open_artifact(task_id, name) as chunks:
        if output is None:
            stream = out.stdout.buffer
            for chunk in chunks:
                stream.write(chunk)
            stream.flush()
            return
        with output.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)


@task.command()
@click.argument("group_id", metavar="GROUP")
@api_command
def group(api: Api, out: Output, group_id: str) -> int:
    """List the tasks of a group. Exit status 1 if one of them failed."""
    found = list(api.all_pages("queue", "task-group", group_id, "list", key="tasks"))
    rows = [
        [
            member["status"]["taskId"],
            member["status"]["state"],
            str(max(0, len(member["status"]["runs"]) - 1)),
            member["task"]["metadata"]["name"],
        ]
        for member in found
    ]
    out.data(found, out.table(["task", "state", "reruns", "name"], rows))
    bad = any(member["status"]["state"] in ("failed", "exception") for member in found)
    return Exit.FAILED if bad else Exit.OK


task.add_command(verify)
task.add_command(bundle)
task.add_command(inputs)
task.add_command(shell)


def _act(api: Api, out: Output, task_id: str, verb: str) -> None:
    status: dict[str, Any] = api.post("queue", "task", task_id, verb)["status"]
    out.data(status, [f"{task_id}: {status['state']}"])


@task.command()
@_TASK
@api_command
def cancel(api: Api, out: Output, task_id: str) -> None:
    """Cancel a task that is not resolved."""
    _act(api, out, task_id, "cancel")


@task.command()
@_TASK
@api_command
def rerun(api: Api, out: Output, task_id: str) -> None:
    """Let a resolved task run once more."""
    _act(api, out, task_id, "rerun")
