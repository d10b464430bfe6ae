"""How much one control-plane process does: closed loops of signed requests over 16 kept connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from client import Client, task_definition
from installation import cpu_s, installation

from liftlock.adapters.system.entropy import SystemEntropy

slugid = SystemEntropy().slugid
CONNECTIONS = 16
REQUESTS = 1600
QUEUE = "bench/load"
HOOK = "hooks/v1/hooks/bench/load"

Step = Callable[[Client], Awaitable[None]]
Measured = tuple[str, list[float], list[float], float, float]


def measure(rounds: int) -> list[Measured]:
    """Return (name, rates per second, CPU µs of the control plane per request, reference's rate, CPU goal)."""
    return asyncio.run(_measure(rounds))


async def _measure(rounds: int) -> list[Measured]:
    with installation() as running:
        root = running.client()
        await _prepare(root)
        steps: list[tuple[str, Step, float, float]] = [
            ("createTask", _create, 405, 300),
            ("task status GET", _status(await _one_task(root)), 943, 150),
            ("claim to completed (2 requests)", _cycle, 167, 500),
            ("triggerHook to a task", _trigger, 143, 800),
        ]
        pid = running.control_plane()
        clients = [running.client() for _ in range(CONNECTIONS)]
        results: list[Measured] = []
        for name, step, reference, goal in steps:
            rates, cpu = [], []
            await _loop(clients, step, REQUESTS // 8)
            for _ in range(rounds):
                used, began = cpu_s(pid), time.perf_counter()
                await _loop(clients, step, REQUESTS)
                rates.append(REQUESTS / (time.perf_counter() - began))
                cpu.append((cpu_s(pid) - used) / REQUESTS * 1e6)
            results.append((name, rates, cpu, reference, goal))
        for client in (*clients, root):
            client.close()
        return results


async def _loop(clients: list[Client], step: Step, requests: int) -> None:
    async def run(client: Client) -> None:
        for _ in range(requests // len(clients)):
            await step(client)

    await asyncio.gather(*map(run, clients))


async def _create(client: Client) -> None:
    await client.call("PUT", f"queue/v1/task/{slugid()}", task_definition(QUEUE))


async def _one_task(client: Client) -> str:
    task_id = slugid()
    await client.call("PUT", f"queue/v1/task/{task_id}", task_definition("bench/none"))
    return task_id


def _status(task_id: str) -> Step:
    async def step(client: Client) -> None:
        await client.call("GET", f"queue/v1/task/{task_id}/status")

    return step


async def _cycle(client: Client) -> None:
    body = {"tasks": 1, "workerGroup": "bench", "workerId": f"bench-{id(client)}"}
    answer = await client.call("POST", "queue/v1/claim-work/bench%2Fload", body)
    claimed = answer["tasks"][0]
    await client.call(
        "POST", f"queue/v1/task/{claimed['status']['taskId']}/runs/{claimed['runId']}/completed"
    )


async def _trigger(client: Client) -> None:
    answer = await client.call("POST", f"{HOOK}/trigger", {"reason": "measuring"})
    if not answer["taskId"]:
        raise RuntimeError("the hook made no task")


async def _prepare(root: Client) -> None:
    task = task_definition("bench/hooked")
    for name in ("created", "deadline", "expires"):
        del task[name]
    task["deadline"] = {"$fromNow": "2 hours"}
    task["expires"] = {"$fromNow": "7 days"}
    task["metadata"] = {**task["metadata"], "description": "${payload.reason}"}
    definition = {
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
    await root.call("PUT", HOOK, definition)
    scopes = [
        "queue:create-task:low:bench/hooked",
        "queue:scheduler-id:bench",
        "queue:create-task:project:none",
    ]
    await root.call(
        "PUT", "auth/v1/roles/hook-id%3Abench%2Fload", {"description": "measures", "scopes": scopes}
    )
