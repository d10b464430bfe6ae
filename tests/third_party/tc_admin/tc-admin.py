"""A configuration for tc-admin: two roles, a hook with everything a hook can have, and a worker pool."""

import os

from tcadmin.appconfig import AppConfig
from tcadmin.resources import Binding, Hook, Role, WorkerPool

appconfig = AppConfig()
appconfig.description_prefix = "*managed by tc-admin*\n\n"


@appconfig.generators.register
async def generate(resources):
    resources.manage("Role=managed/.*")
    resources.manage("Role=hook-id:managed/.*")
    resources.manage("Hook=managed/.*")
    resources.manage("WorkerPool=managed/.*")
    extra = os.environ.get("EXTRA_SCOPE")
    resources.add(
        Role(
            roleId="managed/one",
            description="a role",
            scopes=["queue:create-task:lowest:managed/*", *([extra] if extra else [])],
        )
    )
    resources.add(
        Role(roleId="managed/p*", description="with a parameter", scopes=["secrets:get:managed/<..>"])
    )
    resources.add(
        Role(roleId="hook-id:managed/nightly", description="of the hook", scopes=["assume:managed/one"])
    )
    resources.add(
        Hook(
            hookGroupId="managed",
            hookId="nightly",
            name="Nightly",
            description="builds\n\nevery night",
            owner="o@example.com",
            emailOnError=True,
            schedule=("0 0 3 * * *", "0 30 3 * * 1-5"),
            bindings=(
                Binding(
                    exchange="exchange/taskcluster-queue/v1/task-completed", routingKeyPattern="route.x.#"
                ),
            ),
            task={"taskQueueId": "managed/pool", "payload": {"$eval": "payload"}, "scopes": []},
            triggerSchema={
                "type": "object",
                "properties": {"a": {"type": "number"}},
                "additionalProperties": False,
            },
        )
    )
    resources.add(
        WorkerPool(
            workerPoolId="managed/pool",
            description="static",
            owner="o@example.com",
            emailOnError=False,
            providerId="static",
            config={},
        )
    )
