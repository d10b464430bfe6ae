"""The queue over HTTP: claims.

Source: docs/reference/queue.md#claims
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from liftlock.services.claim_work import ClaimWork
from liftlock.values.ids import task_queue_id as parse_queue_id
from liftlock.web.api_queue_tasks import run_id_of, task_id_of
from liftlock.web.routing import ApiRequest, Route


class _Claims:
    def __init__(self, work: ClaimWork) -> None:
        self._work = work

    async def claim_work(self, request: ApiRequest) -> object:
        """Answer at once if there is work; else wait, but no longer than the worker does: see `_wait`."""
        payload = request.payload
        asked = (
            request.caller,
            parse_queue_id(request.params["taskQueueId"]),
            payload["workerGroup"],
            payload["workerId"],
            payload.get("tasks", 1),
            request.now,
        )
        claimed = await self._work.claim_now(*asked)
        return {"tasks": claimed or await self._wait(request, self._work.claim(*asked))}

    async def _wait(self, request: ApiRequest, claim: Coroutine[Any, Any, list[dict[str, Any]]]) -> object:
        """Return what `claim` gives; nothing is claimed for a worker that has gone."""
        waiting = asyncio.ensure_future(claim)
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                waiting.cancel()
                await gone
            return await waiting
        finally:
            gone.cancel()
            waiting.cancel()
            await asyncio.gather(gone, waiting, return_exceptions=True)

    async def claim_task(self, request: ApiRequest) -> object:
        payload = request.payload
        return await self._work.claim_one(
            request.caller,
            task_id_of(request),
            run_id_of(request),
            payload["workerGroup"],
            payload["workerId"],
            request.now,
        )

    async def reclaim_task(self, request: ApiRequest) -> object:
        return await self._work.reclaim(request.caller, task_id_of(request), run_id_of(request), request.now)

    async def give_back_work(self, request: ApiRequest) -> object:
        payload = request.payload
        given = await self._work.give_back(
            request.caller,
            parse_queue_id(request.params["taskQueueId"]),
            payload["workerGroup"],
            payload["workerId"],
            {(one["taskId"], one["runId"]) for one in payload.get("keep", [])},
            request.now,
        )
        return {"runs": [{"taskId": task_id, "runId": run_id} for task_id, run_id in given]}


async def _until_gone(request: ApiRequest) -> None:
    """End when the caller closes the connection: the body was read, so nothing else can come."""
    async for _chunk in request.stream():
        pass


def routes(work: ClaimWork) -> list[Route]:
    """Return the queue's routes for workers that take tasks."""
    claims = _Claims(work)
    return [
        Route(
            service="queue", method="POST", path="/claim-work/<taskQueueId*>", name="claimWork",
            handler=claims.claim_work, title="Claim Work", input="queue/claim-work-request",
            scopes={"AllOf": ["queue:claim-work:<taskQueueId>", "queue:worker-id:<workerGroup>/<workerId>"]}, output="queue/claim-work-response",
        ),
        Route(
            service="queue", method="POST", path="/give-back-work/<taskQueueId*>", name="giveBackWork",
            handler=claims.give_back_work, title="Give back what a worker claimed and does not work on",
            input="queue/give-back-work-request",
            scopes={"AllOf": ["queue:claim-work:<taskQueueId>", "queue:worker-id:<workerGroup>/<workerId>"]},
        ),
        Route(
            service="queue", method="POST", path="/task/<taskId>/runs/<runId>/claim", name="claimTask", stability="deprecated",
            handler=claims.claim_task, title="Claim Task", input="queue/claim-task-request",
            scopes={"AllOf": ["queue:claim-task:<taskQueueId>", "queue:worker-id:<workerGroup>/<workerId>"]}, output="queue/task-claim-response",
        ),
        Route(
            service="queue", method="POST", path="/task/<taskId>/runs/<runId>/reclaim", name="reclaimTask",
            handler=claims.reclaim_task, title="Reclaim task", scopes="queue:reclaim-task:<taskId>/<runId>", output="queue/task-reclaim-response",
        ),
    ]  # fmt: skip
