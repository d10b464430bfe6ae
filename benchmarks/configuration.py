"""Configuration of 2,000 roles, 3,000 hooks and 500 repositories: check and plan ≤ 5 s, reach of every group ≤ 1 s.

Also one path ≤ 50 ms, hooks of a push's new content ≤ 100 ms, and applying an unchanged configuration to a running liftlock
≤ 2 s. Everything is made anew for each round. Times are the processor's, but where things wait (a push's hooks, applies):
there it is the clock. Exit status 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gate import Cost
from installation import LIFTLOCK, cpu_s, installation

from liftlock.adapters.keys.sealing import KeyFileSealer
from liftlock.adapters.sql.configuration_store import SqlConfigurationStore
from liftlock.adapters.sql.hook_store import SqlHookStore
from liftlock.adapters.sql.migrate import migrate_sqlite
from liftlock.adapters.sql.push_store import SqlPushStore
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.cli.config_files import uncollected
from liftlock.domain.actions.policy import parse_policy
from liftlock.domain.configuration.checks import run_checks
from liftlock.domain.configuration.difference import Applied, plan
from liftlock.domain.configuration.folder import read_folder
from liftlock.domain.configuration.generate import generate
from liftlock.domain.configuration.resources import Managed, Resources, by_kind
from liftlock.domain.configuration.whole import Whole, group_scope
from liftlock.domain.pushes.config_file import parse_config
from liftlock.domain.pushes.push import Push
from liftlock.services.action_policies import ActionPolicies
from liftlock.services.admit_hooks import AdmitHooks
from liftlock.services.hooks import Hooks

REPOSITORIES, HOOKS, GROUPS, ROLES = 500, 3000, 60, 2000
LEVELS = (1, 1, 1, 2, 3)
ALL = Managed(["*"])
EXAMPLE = Path(__file__).parent.parent / "examples" / "widget" / ".taskcluster.yml"
HOOK = """\
{name}:
  name: Hook {number}
  owner: ops@example.org
  triggered-by: [group-{group}]
  trigger-schema:
    type: object
    additionalProperties: false
    properties: {{version: {{type: string, pattern: '^[0-9.]+$'}}, dry: {{type: boolean}}}}
  task:
    taskQueueId: pool/level-{level}
    metadata: {{name: 'Hook {number}', description: A task, owner: ops@example.org, source: 'https://example.org'}}
    scopes: ['queue:route:index.hooks.{number}']
    payload:
      maxRunTime: 3600
      env: {{VERSION: '${{payload.version}}', DRY: {{$json: {{$eval: payload.dry}}}}}}
      command: [[python3, run.py, --version, '${{payload.version}}']]
"""


def files() -> dict[str, bytes]:
    """Return the files of the configuration."""
    projects = "".join(
        f"project-{n}:\n  identity: https://example.org/project-{n}\n  level: {LEVELS[n % 5]}\n  trust-domain: demo\n"
        f"  features: [actions, cron]\n"
        for n in range(REPOSITORIES)
    )
    groups = "".join(f"group-{n}: {{push-levels: {[1] if n % 3 else [1, 2]}}}\n" for n in range(GROUPS - 2))
    grants = (
        "- grant: ['queue:create-task:low:pool/level-{level}', 'queue:scheduler-id:demo-level-{level}',"
        " 'queue:route:index.demo.{project}.*']\n"
        "  to: [{projects: {runs: ['branch:*', 'cron:*', 'action:generic']}}]\n"
        "- grant: ['secrets:get:release/{project}']\n  to: [{projects: {levels: [3], runs: ['action:promote']}}]\n"
    )
    hooks = "".join(
        HOOK.format(name=f"hooks-{n % 50}/h{n}", number=n, group=n % (GROUPS - 2), level=1 + n % 2)
        + (
            f"  scopes: ['hooks:trigger-hook:hooks-{(n + 1) % 50}/h{n + 1}']\n"
            if n % 10 == 0 and n + 1 < HOOKS
            else ""
        )
        for n in range(HOOKS)
    )
    pools = "".join(
        f"pool/level-{level}: {{owner: o@example.org, levels: [{level}]}}\n" for level in (1, 2, 3)
    )
    actions = "demo: {permissions: {generic: {self-admitted: true}, promote: {triggered-by: [managers]}}}\n"
    made = {
        "liftlock.yml": "version: 1\nname: large\nmanaged: ['Role=*', 'Hook=*', 'WorkerPool=*', 'ActionPolicy=*']\n",
        "projects.yml": projects,
        "groups.yml": groups + "managers: {}\nadmins: {}\n",
        "grants.yml": grants,
        "hooks.yml": hooks.replace("pool/level-2", "pool/level-1"),
        "pools.yml": pools,
        "actions.yml": actions,
        "never.yml": "- {from: 'level:1', to: 'secrets:get:release/*'}\n- {from: 'group:admins', to: 'auth:*'}\n",
    }
    return {name: text.encode() for name, text in made.items()}


def timed(work: Callable[[], object]) -> float:
    """Return the processor's seconds that `work` took."""
    began = time.process_time()
    work()
    return time.process_time() - began


def whole(content: dict[str, bytes]) -> Whole:
    """Return the whole that the files make."""
    folder = read_folder(content)
    return Whole(folder, generate(folder))


def check_and_plan(content: dict[str, bytes], live: Resources) -> None:
    """Do all that `config check` and `config plan` do, but for asking the server."""
    with uncollected():
        _check_and_plan(content, live)


def _check_and_plan(content: dict[str, bytes], live: Resources) -> None:
    made = whole(content)
    problems = [problem for found in run_checks(made).values() for problem in found]
    assert problems == [], problems[:3]
    applied = Applied({str(key): resource.digest for key, resource in made.files.items()})
    assert plan(made.files, applied, live, ALL).changes == ()


def reach_of_all(made: Whole) -> None:
    """Walk from every group to everything that it reaches."""
    for group in made.folder.groups:
        for _ in made.graph.reach([group_scope(group)]):
            pass


async def push_hooks(rounds: int) -> list[float]:
    """Return the milliseconds in which a push's new content has its hooks, for two permissions."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "liftlock.db"
        await migrate_sqlite(path)
        engine = SqliteEngine(path, InProcessWakeups())
        sealer = KeyFileSealer.open(Path(folder) / "keys.json", SystemEntropy())
        hooks = Hooks(SqlHookStore(engine), sealer, SystemEntropy())
        policy = parse_policy({"trust-domain": {"demo": {"permissions": ["generic", "promote"]}}})
        policies = ActionPolicies(SqlConfigurationStore(engine), SqlPushStore(engine), policy)
        admit = AdmitHooks(SqlPushStore(engine), hooks, policies)
        for number in range(rounds):
            raw = EXAMPLE.read_bytes() + f"# {number}\n".encode()
            began = time.perf_counter()
            await admit.bring(_push(number), parse_config(raw), datetime.now(UTC))
            found.append((time.perf_counter() - began) * 1000)
        await engine.close()
    return found


def _push(number: int) -> Push:
    return Push(
        project="widget",
        id=number,
        branch="main",
        kind="fast-forward",
        base_revision="0" * 40,
        revision=f"{number:040}",
        at=datetime.now(UTC),
        owner="robin@example.org",
        owner_standing="claimed",
        author="Robin <robin@example.org>",
        message="",
        identity="https://example.org/widget",
        level=3,
        trust_domain="demo",
        task_id="",
        decision="pending",
    )


def applies(content: dict[str, bytes], rounds: int) -> list[tuple[float, float]]:
    """Return (seconds, processor's seconds of command and control plane) of applies; the first is to a new liftlock."""
    with tempfile.TemporaryDirectory() as folder, installation() as running:
        for name, text in content.items():
            (Path(folder) / name).write_bytes(text)
        environment = {
            **os.environ,
            "TASKCLUSTER_ROOT_URL": running.root_url,
            "TASKCLUSTER_CLIENT_ID": running.credentials.client_id,
            "TASKCLUSTER_ACCESS_TOKEN": running.credentials.access_token,
        }
        plane, found = running.control_plane(), []
        for _ in range(1 + rounds):
            began, used = time.perf_counter(), cpu_s(plane) + _children_s()
            command = [LIFTLOCK, "config", "apply", folder, "--yes"]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            found.append((time.perf_counter() - began, cpu_s(plane) + _children_s() - used))
        return found


def _children_s() -> float:
    """Return the processor's seconds of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(rounds: int) -> list[Cost]:
    """Measure everything."""
    content = files()
    made = whole(content)
    first, *again = applies(content, rounds)
    return [
        Cost("config check and plan", "s", [timed(lambda: check_and_plan(content, made.files)) for _ in range(rounds)], 5.0),
        Cost("config apply of what is there", "s", [wall for wall, _ in again], 2.0),
        Cost("the same, processor time", "s", [used for _, used in again], 2.0),
        Cost("config apply, the first one", "s", [first[0]], 30.0),
        Cost("the same, processor time", "s", [first[1]], 30.0),
        Cost("reach of every group", "s", [timed(lambda: reach_of_all(whole_again(made))) for _ in range(rounds)], 1.0),
        Cost("one path", "ms", [one_path(whole_again(made)) for _ in range(rounds)], 50.0),
        Cost("a push's hooks", "ms", asyncio.run(push_hooks(rounds * 5)), 100.0),
    ]  # fmt: skip


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    made = whole(files())
    count = {kind: len(list(by_kind(made.files, kind))) for kind in ("Role", "Hook")}
    sys.stdout.write(f"{count['Role']} roles, {count['Hook']} hooks, {REPOSITORIES} repositories\n")
    failed = False
    for cost in rows(told.rounds):
        median = statistics.median(cost.samples)
        failed |= median > cost.limit
        verdict = "FAIL" if median > cost.limit else ""
        sys.stdout.write(f"{cost.name:32} {median:10.3f} {cost.unit:3} limit {cost.limit:g} {verdict}\n")
    return int(failed)


def whole_again(made: Whole) -> Whole:
    """Return the same whole with nothing remembered."""
    return Whole(made.folder, made.files)


def one_path(made: Whole) -> float:
    """Return the milliseconds of one question that no path answers, the graph being there."""
    graph = made.graph
    return timed(lambda: graph.path([group_scope("group-1")], "secrets:get:nothing")) * 1000


if __name__ == "__main__":
    sys.exit(main())
