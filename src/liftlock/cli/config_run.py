"""What the commands of `liftlock config` do: read, check, plan and apply."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liftlock.cli.client import Api
from liftlock.cli.config_apply import Performer, batches
from liftlock.cli.config_files import read_files, uncollected
from liftlock.cli.config_live import read_applied, read_live, read_secrets
from liftlock.cli.config_own_checks import own_checks
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output
from liftlock.domain.configuration.checks import run_checks
from liftlock.domain.configuration.difference import Applied, Plan, plan
from liftlock.domain.configuration.folder import SETTINGS, Folder, read_folder
from liftlock.domain.configuration.generate import check_hooks, sketch
from liftlock.domain.configuration.live import secret_hash
from liftlock.domain.configuration.order import Step, steps
from liftlock.domain.configuration.reading import FilesRefusedError, Problem
from liftlock.domain.configuration.resources import Managed, Resources, by_kind
from liftlock.domain.configuration.shown import plan_wire
from liftlock.domain.configuration.whole import Whole

_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Intent:
    """What the files want: the folder, the whole that it makes, and what of the server it manages."""

    path: Path
    folder: Folder
    files: Resources

    @property
    def name(self) -> str:
        """Under which name it is applied."""
        return self.folder.settings.name

    @property
    def managed(self) -> Managed:
        """What it may change."""
        return Managed(self.folder.settings.managed)

    def digests(self) -> dict[str, str]:
        """Return the digest of every resource by its key."""
        return {str(key): resource.digest for key, resource in self.files.items()}


@dataclass(frozen=True, slots=True)
class Made:
    """A plan, and the record that it was made on; `values` are those of secrets whose variables are set."""

    plan: Plan
    version: int
    unfinished: bool
    begun: str
    digests: Mapping[str, str]
    hashes: Mapping[str, str]
    values: Mapping[str, Any]

    def expect(self, digest: str | None, *, resume: bool) -> None:
        """Raise UsageError if this is another plan than `digest`, or an apply is unfinished and not to be resumed."""
        if self.unfinished and not resume:
            raise UsageError(
                f"an apply that {self.begun} has not ended: see that nobody runs it any more, then use --resume"
            )
        found = plan_wire(self.plan)["digest"]
        if digest is not None and digest != found:
            raise UsageError(f"--expect {digest}: the plan has the digest {found} now; look at it again")


def read_intent(folder: Path) -> Intent:
    """Return what the files in `folder` want, before it is checked; raises FilesRefusedError, UsageError."""
    with uncollected():
        said = read_folder(read_files(folder))
        return Intent(folder, said, sketch(said))


def failed_checks(intent: Intent) -> dict[str, list[Problem]]:
    """Return what is wrong by check, an empty list for each that holds.

    Raises:
        FilesRefusedError: hooks make no sense.
    """
    with uncollected():
        check_hooks(intent.files)
        found = run_checks(Whole(intent.folder, intent.files))
    own = own_checks(intent.path)
    return found if own is None else found | {"the folder's own checks": own}


def is_there(intent: Intent, made: Made) -> bool:
    """Tell whether the server has what the files want, and its record says so: then applying changes nothing."""
    return not made.plan.changes and not made.unfinished and made.digests == intent.digests()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server has of a configuration's kinds, and its record of the last apply."""

    version: int
    applied: Applied
    hashes: dict[str, str]
    last: dict[str, str]
    live: Resources


def read_both(api: Api, folder: Path) -> tuple[Intent, Made]:
    """Return what the files in `folder` want, and the plan; the server is asked while the files are read.

    Raises:
        FilesRefusedError, UsageError: as `read_intent`, also if the server can't be asked.
    """
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(_look, api, folder)
        intent = read_intent(folder)
    with uncollected():
        return intent, _make_plan(api, intent, asking.result())


def _look(api: Api, folder: Path) -> Seen | None:
    """Return what the server has; None if the folder's settings make no sense, which is said by who reads it whole."""
    try:
        said = read_folder({SETTINGS: (folder / SETTINGS).read_bytes()}).settings
    except (OSError, FilesRefusedError):
        return None
    version, applied, hashes, last = read_applied(api, said.name)
    live = read_live(api, sorted(Managed(said.managed).kinds() - {"Secret"}))
    return Seen(version, applied, hashes, last, live)


def _make_plan(api: Api, intent: Intent, seen: Seen | None) -> Made:
    if seen is None:
        raise UsageError(f"{intent.path}: its {SETTINGS} was changed while it was read")
    version, applied, hashes, last, live = seen.version, seen.applied, seen.hashes, seen.last, seen.live
    values = _values(intent)
    if "Secret" in intent.managed.kinds():
        live = live | read_secrets(api, intent.files, hashes, values)
    return Made(
        plan=plan(intent.files, applied, live, intent.managed),
        version=version,
        unfinished=applied.target is not None,
        begun=f"{last['by']} began at {last['at']}" if last else "",
        digests=applied.digests,
        hashes=hashes,
        values=values,
    )


def _values(intent: Intent) -> dict[str, Any]:
    """Return what the environment holds for secrets; raises UsageError if that is no JSON."""
    found = {}
    for secret in by_kind(intent.files, "Secret"):
        variable = secret.content["fromEnv"]
        if variable and variable in os.environ:
            try:
                found[secret.key.id] = json.loads(os.environ[variable])
            except ValueError as error:
                raise UsageError(f"secret {secret.key.id}: the variable {variable} holds no JSON") from error
    return found


def apply_plan(api: Api, out: Output, intent: Intent, made: Made, new_tokens: Path | None) -> int:
    """Perform every step in order, and record the beginning and the end; return how many steps there were.

    Errors as `Api.call`: what was done stays done, and the record says that the apply has not ended.
    """
    digests = intent.digests()
    todo = steps(made.plan)
    said = {"plan": plan_wire(made.plan)["digest"], "changes": len(made.plan.changes)}
    begin = {**said, "expected": made.version, "digests": dict(made.digests), "target": digests}
    version = api.put(
        "configuration", "applied", intent.name, payload={**begin, "secrets": dict(made.hashes)}
    )["version"]
    performer = Performer(api, made.values)
    file = None if new_tokens is None else os.open(new_tokens, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        done = 0
        for group in batches(todo):
            done += len(group)
            out.progress(f"{done}/{len(todo)} {group[0].phase}: {_named(group)}")
            performer.perform(group)
            while performer.notes:
                out.progress(performer.notes.pop(0))
    finally:
        if file is not None:
            with os.fdopen(file, "w") as tokens:
                json.dump(performer.tokens, tokens)
    _bring_hooks(api, out, intent, made)
    hashes = {
        name: secret_hash(value, secrets.token_bytes(_SALT_BYTES)) for name, value in made.values.items()
    }
    end = {
        **said,
        "expected": version,
        "digests": digests,
        "target": None,
        "secrets": {**made.hashes, **hashes},
    }
    api.put("configuration", "applied", intent.name, payload=end)
    return len(todo)


def _named(group: Sequence[Step]) -> str:
    first, last = group[0], group[-1]
    if len(group) == 1:
        return f"{first.verb} {first.key}"
    return f"{len(group)} from {first.verb} {first.key} to {last.verb} {last.key}"


def _bring_hooks(api: Api, out: Output, intent: Intent, made: Made) -> None:
    """Have action hooks made for what branches hold, in the trust domains whose policy has changed.

    After an apply that was stopped nobody knows which these are: then in all.
    """
    domains = {change.key.id for change in made.plan.changes if change.key.kind == "ActionPolicy"}
    for project in by_kind(intent.files, "Project"):
        if made.unfinished or project.content["trustDomain"] in domains:
            for branch, alerts in api.post("pushes", "project", project.key.id, "hooks")["branches"].items():
                for alert in alerts:
                    out.progress(f"{project.key.id} {branch}: {alert}")
