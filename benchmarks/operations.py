"""What the load does, and the installation that it does it to: 500 roles with chains and parameters, one hook."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from client import Client, task_definition
from generator import Caller, Step

from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.domain.credentials.certificates import Credentials

slugid = SystemEntropy().slugid
QUEUE = "bench/load"
CLAIM = "queue/v1/claim-work/bench%2Fload"
HOOK = "hooks/v1/hooks/bench/load"
CHAIN, TEAMS, PLAIN = 300, 100, 98
"""Roles: a chain, some with a parameter, some without; with the hook's and the client's they are 500."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the load repeats.

    `requests` are made for one step. Goals are steps a second, and microseconds of the control plane's processor a step;
    `reference` is what the reference implementation (one Node process a service, PostgreSQL) was measured at.
    """

    name: str
    step: Callable[[Caller], Step]
    rate_goal: float
    cpu_goal: float
    reference: float
    requests: int = 1


class _Bodies:
    """Definitions as JSON, made anew each minute: what `created` says must be near the time."""

    def __init__(self) -> None:
        self._minute, self._body = 0, b""

    def task(self) -> bytes:
        minute = int(time.time()) // 60
        if minute != self._minute:
            self._minute, self._body = minute, json.dumps(task_definition(QUEUE)).encode()
        return self._body


_bodies = _Bodies()
_unseen = itertools.count()


async def create(caller: Caller) -> None:
    """Create a task in a group of its own."""
    await caller.call("PUT", f"queue/v1/task/{slugid()}", _bodies.task())


async def claim(caller: Caller) -> tuple[str, int]:
    """Claim one task and return its id and run."""
    body = b'{"tasks":1,"workerGroup":"bench","workerId":"bench-%d"}' % caller.number
    answer = json.loads(await caller.call("POST", CLAIM, body))
    claimed = answer["tasks"][0]
    return claimed["status"]["taskId"], claimed["runId"]


async def cycle(caller: Caller) -> None:
    """Claim a task and report it completed."""
    task_id, run_id = await claim(caller)
    await caller.call("POST", f"queue/v1/task/{task_id}/runs/{run_id}/completed")


async def claim_only(caller: Caller) -> None:
    """Claim a task, and leave it."""
    await claim(caller)


async def trigger(caller: Caller) -> None:
    """Fire the hook."""
    await caller.call("POST", f"{HOOK}/trigger", b'{"reason":"measuring"}')


async def get(caller: Caller) -> None:
    """Read the definition of a task."""
    await caller.call("GET", f"queue/v1/task/{READ_TASK}")


async def expand(caller: Caller) -> None:
    """Expand a set of scopes that was never asked for before."""
    number = next(_unseen)
    scopes = [
        f"assume:team-{number % TEAMS}:part-{number}",
        f"assume:chain-{number % CHAIN}",
        f"bench:{number}",
    ]
    await caller.call("POST", "auth/v1/scopes/expand", json.dumps({"scopes": scopes}).encode())


async def ping(caller: Caller) -> None:
    """Ask whether the server runs: no credentials, no database."""
    await caller.call("GET", "queue/v1/ping")


READ_TASK = slugid()
OPERATIONS = (
    Operation("ping: HTTP alone", lambda _: ping, 0, 100, 0),
    Operation("createTask", lambda _: create, 3200, 300, 405),
    Operation("task GET", lambda _: get, 5000, 150, 943),
    Operation("claim to completed", lambda _: cycle, 1300, 500, 167, requests=2),
    Operation("claimWork", lambda _: claim_only, 2600, 250, 0),
    Operation("triggerHook to a task", lambda _: trigger, 1150, 800, 143),
    Operation("expandScopes, unseen sets", lambda _: expand, 7500, 120, 2520),
)


async def prepare(root: Client) -> Credentials:
    """Make roles, hook and the task that is read; return the credentials of a client that has all by roles."""
    for role_id, scopes in _roles():
        body = {"description": "measures", "scopes": scopes}
        await root.call(
            "PUT",
            f"auth/v1/roles/{role_id.replace(':', '%3A').replace('/', '%2F').replace('*', '%2A')}",
            body,
        )
    await root.call("PUT", HOOK, _hook())
    await root.call("PUT", f"queue/v1/task/{READ_TASK}", task_definition("bench/none"))
    client = {
        "description": "measures",
        "expires": "2099-01-01T00:00:00.000Z",
        "scopes": ["assume:bench-client"],
    }
    made = await root.call("PUT", "auth/v1/clients/bench%2Fload", client)
    return Credentials(made["clientId"], made["accessToken"])


def _roles() -> list[tuple[str, list[str]]]:
    chain = [
        (f"chain-{n}", [f"bench:chain-{n}", *([f"assume:chain-{n + 1}"] if n % 30 != 29 else [])])
        for n in range(CHAIN)
    ]
    teams = [
        (f"team-{n}:*", [f"bench:team-{n}:<..>", f"bench:files:<..>/{n}", f"assume:chain-{n * 3}"])
        for n in range(TEAMS)
    ]
    plain = [(f"plain-{n}", [f"bench:plain-{n}:{k}" for k in range(5)]) for n in range(PLAIN)]
    hook = [
        "queue:create-task:low:bench/hooked",
        "queue:scheduler-id:bench",
        "queue:create-task:project:none",
    ]
    client = [
        "queue:create-task:low:bench/*", "queue:scheduler-id:bench", "queue:create-task:project:none",
        "queue:claim-work:bench/*", "queue:worker-id:bench/*", "queue:resolve-task:*", "queue:get-task:*",
        "queue:status:*", "hooks:trigger-hook:bench/*", "auth:expand-scopes", "assume:chain-0", "assume:team-1:bench",
    ]  # fmt: skip
    return [*chain, *teams, *plain, ("hook-id:bench/load", hook), ("bench-client", client)]


def _hook() -> dict[str, Any]:
    task = task_definition("bench/hooked")
    for name in ("created", "deadline", "expires"):
        del task[name]
    task |= {"deadline": {"$fromNow": "2 hours"}, "expires": {"$fromNow": "7 days"}}
    task["metadata"] = {**task["metadata"], "description": "${payload.reason}"}
    return {
        "metadata": {
            "name": "load",
            "description": "measures",
            "owner": "bench@example.com",
            "emailOnError": False,
        },
        "task": task,
        "triggerSchema": {
            "type": "object",
            "properties": {"reason": {"type": "string", "maxLength": 100}},
            "required": ["reason"],
            "additionalProperties": False,
        },
    }
