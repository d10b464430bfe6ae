"""The command `liftlock demo`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError
from liftlock.cli.output import printable
from liftlock.errors import LiftlockError
from liftlock.processes.demo import (
    forge_app,
    scene_audit,
    scene_caches,
    scene_configuration,
    scene_developer,
    scene_events,
    scene_gate,
    scene_inputs,
    scene_operations,
    scene_pages,
    scene_paths,
    scene_provenance,
    scene_push,
    scene_release,
    scene_restart,
    scene_sandbox,
    scene_setup,
)
from liftlock.processes.demo.checks import CHECKS
from liftlock.processes.demo.grants import POLICY, POOL_POLICY
from liftlock.processes.demo.graph import Watch
from liftlock.processes.demo.operations_files import OperationsFiles
from liftlock.processes.demo.people import Person
from liftlock.processes.demo.report import DifferenceError, Report
from liftlock.processes.demo.repository import Repository
from liftlock.processes.demo.server import COMMAND, Server
from liftlock.processes.demo.stage import Stage

CHECKOUT = Path(__file__).resolve().parents[4]
TAIL_LINES = 40


@click.command()
@click.option("--keep", is_flag=True, help="Leave liftlock running, and its files, when the demo ends.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep everything; must not exist or be empty. Without it a temporary folder, removed at the end.",
)
@click.option(
    "--listen", default="127.0.0.1:0", show_default=True, metavar="HOST:PORT", help="Address to serve on."
)
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, file_okay=False),
    default=CHECKOUT / ".cache/wheelhouse",
    help="Folder of the wheels that the example's tasks use.",
)
def demo(keep: bool, state_dir: Path | None, listen: str, wheelhouse: Path) -> int:
    """Show the whole of it on a small example, and check every claim by observing it.

    Ends with a table of what was expected: `ok` or `FAIL`. Exit status 0 only if every line is ok.
    """
    if not wheelhouse.is_dir():
        raise UsageError(
            f"{wheelhouse}: there are no wheels for the example's tasks; run scripts/wheelhouse first"
        )
    report = Report(CHECKS)
    finished = False
    with _interruptible(), _folder(state_dir, keep) as folder:
        server, files = _server(folder, listen, wheelhouse, keep)
        try:
            stage = _start(server, folder, report) if _is_possible(report) else None
            if stage is not None:
                _play(stage, files)
            _close(server, stage, report)
            finished = True
        finally:
            if not (keep and finished):
                server.stop()
    return Exit.OK if report.passed else Exit.FAILED


def _say(text: str) -> None:
    click.echo(printable(text), err=True)


def _server(folder: Path, listen: str, wheelhouse: Path, keep: bool) -> tuple[Server, OperationsFiles]:
    policy = folder / "policy.toml"
    policy.write_text(POLICY, encoding="utf-8")
    pool_policy = folder / "pool-policy.toml"
    pool_policy.write_text(POOL_POLICY, encoding="utf-8")
    integrations = forge_app.write_settings(folder / "app")
    state, log = folder / "state", folder / "liftlock.log"
    files = OperationsFiles.make(folder, CHECKOUT / "examples/gadget")
    wheels = wheelhouse.absolute()
    return Server(state, listen, policy, pool_policy, wheels, log, keep, integrations, files.file), files


def _is_possible(report: Report) -> bool:
    """Whether tasks can be run on this machine; `liftlock doctor` says what is missing."""
    with report.check("isolation"):
        told = subprocess.run([*COMMAND, "doctor"], capture_output=True, text=True, check=False)
        missing = [line for line in told.stdout.splitlines() if not line.startswith("ok ")]
        if told.returncode:
            raise DifferenceError("\n".join([*missing, told.stderr]))
        _say("liftlock doctor\n" + "\n".join(f"  {line}" for line in missing if line))
    return report.differences["isolation"] == ()


def _start(server: Server, folder: Path, report: Report) -> Stage | None:
    """Return the stage with liftlock running on it, or None if it does not run."""
    _say(f"liftlock {' '.join(server.arguments())}")
    with report.check("up"):
        seconds = server.start()
        _say(f"  it answers after {seconds:.1f} s at {server.root().root_url}")
    if report.differences["up"]:
        return None
    homes = folder / "homes"
    (homes / "robin").mkdir(parents=True)
    root = Person.of("operator", server.root(), homes / "operator", _say)
    repository = Repository(
        folder / "widget.git", folder / "robin/widget", homes / "robin", "Robin", "robin@example.com"
    )
    return Stage(folder, server, repository, report, _say, root, Watch.of(root.api, _say))


def _play(stage: Stage, files: OperationsFiles) -> None:
    """Play all scenes in their order; one that can't go on leaves the later checks as not reached."""
    try:
        people = scene_setup.play(stage, CHECKOUT / "examples/widget")
        scene_push.play(stage, people.developer)
        scene_sandbox.play(stage)
        scene_inputs.play(stage)
        scene_developer.play(stage, people.developer)
        scene_paths.play(stage, people.developer)
        scene_release.play(stage, people.manager, people.developer, people.pusher_who_admits)
        scene_pages.play(stage, people.developer)
        scene_provenance.play(stage)
        scene_gate.play(stage)
        scene_caches.play(stage)
        scene_operations.play(stage, files, CHECKOUT / "examples/gadget")
        scene_events.play(stage, people.developer)
        scene_audit.play(stage)
        scene_restart.play(stage, people.developer)
        scene_configuration.play(stage, people.developer, CHECKOUT / "examples/configuration")
    except (DifferenceError, LiftlockError) as error:
        _say(f"\nThe demo can't go on: {error}")


def _close(server: Server, stage: Stage | None, report: Report) -> None:
    """Show what explains a failure, then where to look, then the table."""
    if not report.passed:
        for task_id in dict.fromkeys(stage.failed_tasks if stage else ()):
            _show_failure(f"log of task {task_id}:\n{_log_tail(stage, task_id)}")
        _show_failure(f"liftlock up wrote:\n{server.log_tail(TAIL_LINES)}")
    if stage:
        click.echo(
            "\nWhere to look:" if server.outlive else "\nWhere to look (with --keep, after the demo as well):"
        )
        for what, address in stage.addresses:
            click.echo(printable(f"  {what}: {address}"))
    if server.outlive and server.process and server.process.poll() is None:
        if stage:
            _show_pages(stage)
        click.echo(f"  credentials of the operator: {server.state_dir}/liftlock.env")
        click.echo(f"  liftlock goes on running; end it with: kill {server.process.pid}")
    click.echo("\nExpected, and whether it was observed:")
    for line in report.table():
        click.echo(_coloured(printable(line)))


def _show_pages(stage: Stage) -> None:
    """Show the pages' address, and a link for each kind of person that signs in once."""
    click.echo(f"  pages: {stage.root.profile.root_url}/")
    try:
        for who, address in scene_pages.sign_in_links(stage):
            click.echo(printable(f"  sign in, once within an hour, as {who}: {address}"))
    except LiftlockError as error:
        click.echo(printable(f"  no one can be signed in: {error}"))


def _coloured(line: str) -> str:
    """Return the line with its first word in colour, on a terminal only."""
    word, _, rest = line.partition(" ")
    if word not in {"ok", "FAIL"} or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return line
    return f"{click.style(word, fg='green' if word == 'ok' else 'red', bold=True)} {rest}"


def _show_failure(text: str) -> None:
    _say("\n" + "\n".join(f"  | {line}" for line in text.splitlines()))


def _log_tail(stage: Stage | None, task_id: str) -> str:
    if stage is None:
        return ""
    try:
        return "\n".join(stage.log(task_id).splitlines()[-TAIL_LINES:])
    except (DifferenceError, LiftlockError) as error:
        return f"(it can't be had: {error})"


@contextmanager
def _folder(state_dir: Path | None, keep: bool) -> Iterator[Path]:
    """Yield an empty folder that other users may pass: as root, liftlock gives each process a user of its own."""
    if state_dir is None:
        folder = Path(tempfile.mkdtemp(prefix="liftlock-demo-"))
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)
        return
    folder = state_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    if any(folder.iterdir()):
        raise UsageError(
            f"--state-dir {folder}: expected an empty folder, or none; the demo starts from nothing"
        )
    yield folder


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGTERM into the same orderly end as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
