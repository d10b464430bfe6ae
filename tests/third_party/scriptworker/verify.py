"""Verify one task with scriptworker's own verifier, unmodified; started with the Python that scriptworker is installed for.

Standard input is JSON: `taskId`, `name` (such as `signing`), `workDir`, `forge` (address of a local forge, in place of
the public one) and `config` (what `config.json` says, with the root URL, artifact rules and keys filled in). Exit
status 0: scriptworker accepts the chain; 1: it does not, and the last line of standard error says why.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from copy import deepcopy
from typing import Any

import github3.session
from scriptworker.config import apply_product_config
from scriptworker.constants import DEFAULT_CONFIG
from scriptworker.context import Context
from scriptworker.cot.verify import ChainOfTrust, verify_chain_of_trust
from scriptworker.exceptions import ScriptWorkerException
from scriptworker.utils import scriptworker_session
from taskcluster.aio import Queue


def use_forge(address: str) -> None:
    """Let the forge's client ask the local forge."""
    begin = github3.session.GitHubSession.__init__

    def begin_here(self: Any, *args: Any, **more: Any) -> None:
        begin(self, *args, **more)
        self.base_url = address

    github3.session.GitHubSession.__init__ = begin_here


async def verify(said: dict[str, Any]) -> None:
    """Raise ScriptWorkerException if the chain does not hold."""
    async with scriptworker_session() as session:
        context = Context()
        context.session = session
        work = said["workDir"]
        context.config = dict(deepcopy(DEFAULT_CONFIG)) | said["config"]
        context.config |= {
            "work_dir": os.path.join(work, "work"),
            "artifact_dir": os.path.join(work, "artifacts"),
            "task_log_dir": os.path.join(work, "artifacts", "public", "logs"),
            "verify_cot_signature": True,
        }
        context.config = apply_product_config(context.config)
        context.queue = Queue(session=session, options={"rootUrl": context.config["taskcluster_root_url"]})
        context.task = await context.queue.task(said["taskId"])
        await verify_chain_of_trust(ChainOfTrust(context, said["name"], task_id=said["taskId"]))


def main() -> None:
    """Verify what standard input names."""
    said = json.load(sys.stdin)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    use_forge(said["forge"])
    try:
        asyncio.run(verify(said))
    except ScriptWorkerException as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
