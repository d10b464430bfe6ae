"""Purge caches: workers do not use any more what a task of this push left in its caches."""

import logging
import os
from urllib.parse import quote

from taskgraph.actions.registry import register_callback_action
from taskgraph.util.taskcluster import get_session

from widget_taskgraph.actions.checks import UnexpectedTaskError, ordinary_task, queue_of

logger = logging.getLogger(__name__)


@register_callback_action(
    name="purge-caches",
    cb_name="widget-purge-caches",
    title="Purge the caches",
    symbol="pc",
    description="Tell workers not to use the caches of this task any more. Later runs begin with empty ones.",
    order=70,
    context=[{"kind": "build"}, {"kind": "test"}, {"kind": "measure"}],
)
def purge_caches(parameters, graph_config, input, task_group_id, task_id):
    task = ordinary_task(task_id, task_group_id, parameters, graph_config)
    names = sorted({cache["name"] for cache in task["payload"].get("caches", [])})
    if not names:
        raise UnexpectedTaskError(f"task {task_id}: it names no caches")
    root, pool = os.environ["TASKCLUSTER_PROXY_URL"].rstrip("/"), queue_of(task)
    for name in names:
        answer = get_session().post(
            f"{root}/api/purge-cache/v1/purge-cache/{quote(pool, safe='')}",
            json={"cacheName": name},
            timeout=30,
        )
        answer.raise_for_status()
        logger.info(f"{pool}: caches called {name} from before now are not used any more")
