"""`liftlock task run --local`: a task once more, from its manifest, in a sandbox of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output, printable
from liftlock.cli.task import task
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.inputs.policy import STRICTEST, parse_policy
from liftlock.domain.inputs.replay import Compared, compared, pinned
from liftlock.domain.provenance.chain import CHAIN_NAME, SIGNATURE_NAME, SignedChain, read_chain
from liftlock.domain.provenance.keys import UntrustedError
from liftlock.domain.provenance.producers import check_key
from liftlock.domain.provenance.published import Published, parse_published, trust_in
from liftlock.ports.queue_client import RunKey
from liftlock.values.json import decode_as, encode

__all__ = ["task"]

_MANIFEST: Final = "public/inputs.json"
_OWN: Final = frozenset({_MANIFEST, "public/logs/live_backing.log", "public/logs/live.log"})
"""What differs from run to run: the worker's own words."""
_STYLES: Final = {"same": "green", "differs": "red", "missing": "red", "new": "red"}
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@task.command("run")
@click.argument("task_id", metavar="TASK")
@click.option(
    "--local", is_flag=True, required=True, help="In a sandbox of this machine; there is no other way."
)
@click.option(
    "--pool-policy", type=_FILE, help="What the task may read and reach here (TOML), as for `liftlock up`."
)
@click.option(
    "--wheelhouse",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of wheels that the task's lock files may name by digest.",
)
@click.option("--keys", type=_FILE, help="Published keys that you trust, not what the server says.")
@click.option("--log", "with_log", is_flag=True, help="Show the rerun's log on standard error.")
@api_command
def run(
    api: Api,
    out: Output,
    task_id: str,
    pool_policy: Path | None,
    wheelhouse: Path | None,
    keys: Path | None,
    *,
    local: bool,
    with_log: bool,
) -> int:
    """Run a task once more with the bytes that its manifest names, and compare what it makes.

    Nothing goes to the server, and a task that calls its API is refused. Exit status 1 if the rerun did not complete,
    5 if an artifact differs, or if the chain of trust of the task's run does not hold.
    """
    from liftlock.processes.rerunning import Again, run_again  # noqa: PLC0415 - what makes sandboxes, only here

    published = parse_published(encode(api.get("provenance", "keys")) if keys is None else keys.read_bytes())
    chain = _chain(api, task_id, published)
    manifest = decode_as(api.artifact(task_id, _MANIFEST), dict[str, Any], what=_MANIFEST)
    definition = chain.task | {"payload": pinned(chain.task.get("payload"), manifest)}
    if not local:
        raise UsageError("expected --local")
    policy = STRICTEST if pool_policy is None else parse_policy(pool_policy.read_text())
    profile = api.profile
    out.progress(
        f"running {task_id} here, with {len(definition['payload']['inputs'])} inputs as its manifest has them"
    )
    done = run_again(
        Again(
            RunKey(chain.task_id, chain.run_id),
            definition,
            profile.root_url,
            Credentials(profile.client_id or "", profile.access_token or "", profile.certificate),
            published,
            policy,
            None if wheelhouse is None else wheelhouse.absolute(),
        )
    )
    if with_log or done.outcome != "completed":
        out.progress(done.log.rstrip("\n"))
    made = {one.name: one.sha256 for one in done.outputs}
    found = compared(chain.artifacts, made, without=_OWN)
    _show(out, task_id, done.outcome, found)
    if done.outcome != "completed":
        return Exit.FAILED
    return Exit.OK if all(one.state == "same" for one in found) else Exit.VERIFICATION_FAILED


def _chain(api: Api, task_id: str, published: Published) -> SignedChain:
    """Return the task's verified chain; UntrustedError if it does not hold."""
    trust = trust_in(published)
    content, signature = api.artifact(task_id, CHAIN_NAME), api.artifact(task_id, SIGNATURE_NAME)
    chain = read_chain(content, signature, trust.valid_pools)
    check_key(chain, trust)
    if chain.task_id != task_id:
        raise UntrustedError(f"the chain of trust is that of task {chain.task_id}")
    return chain


def _show(out: Output, task_id: str, outcome: str, found: list[Compared]) -> None:
    wire = {
        "taskId": task_id,
        "outcome": outcome,
        "artifacts": [{"name": o.name, "state": o.state, "was": o.was, "now": o.now} for o in found],
    }
    lines = [
        f"{out.styled(f'{one.state:8}', _STYLES[one.state])} {printable(one.name)}  {one.was or '-'}"
        + ("" if one.state == "same" else f" → {one.now or '-'}")
        for one in found
    ]
    same = sum(one.state == "same" for one in found)
    out.data(wire, [*lines, f"the rerun {outcome}; {same} of {len(found)} artifacts are the same"])
