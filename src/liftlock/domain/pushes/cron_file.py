"""`.cron.yml`: which tasks a branch wants at which times, as taskgraph defines the file.

Times are quarters of an hour, UTC. A time that was missed is made up for once, whatever number of them was missed.

Source: docs/reference/pushes.md#cron
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import Meta

from liftlock.errors import InputInvalidError

PATH: Final = ".cron.yml"
MAX_BYTES: Final = 262_144
MAX_ENTRIES: Final = 200
QUARTER: Final = timedelta(minutes=15)
MADE_UP_FOR: Final = timedelta(days=7)
"""A time that was missed longer ago than that is forgotten."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\Z", re.ASCII)
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A time of day, week or month; what is absent is any."""

    hour: Annotated[int, Meta(ge=0, le=23)] | None = None
    minute: Literal[0, 15, 30, 45] | None = None
    day: Annotated[int, Meta(ge=1, le=31)] | None = None
    weekday: str | None = None

    def matches(self, quarter: datetime) -> bool:
        """Tell whether it is then; `quarter` is a whole quarter of an hour, UTC."""
        return (
            self.hour in (None, quarter.hour)
            and self.minute in (None, quarter.minute)
            and self.day in (None, quarter.day)
            and (self.weekday is None or self.weekday.lower() == _DAYS[quarter.weekday()])
        )


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """What the run does: a decision task, limited to the targets that a method of the repository chooses."""

    type: Literal["decision-task"]
    treeherder_symbol: str = ""
    target_tasks_method: str | None = None
    optimize_target_tasks: bool | None = None
    include_push_tasks: bool = False
    rebuild_kinds: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Return what taskgraph's decision command takes."""
        found = []
        if self.target_tasks_method is not None:
            found.append(f"--target-tasks-method={self.target_tasks_method}")
        if self.optimize_target_tasks is not None:
            found.append(f"--optimize-target-tasks={self.optimize_target_tasks}")
        if self.include_push_tasks:
            found.append("--include-push-tasks")
        return [*found, *(f"--rebuild-kind={kind}" for kind in self.rebuild_kinds)]


class CronEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One scheduled run. `run_on_projects` None means all; `when` is a list, or lists by project."""

    name: str
    decision: Decision = msgspec.field(name="job")
    when: Any = ()
    run_on_projects: tuple[str, ...] | None = None
    description: str = ""

    def times(self, project: str) -> tuple[When, ...]:
        """Return when it runs in the project."""
        if self.run_on_projects is not None and not {"all", project} & set(self.run_on_projects):
            return ()
        listed = _by_project(self.when, project) if isinstance(self.when, Mapping) else self.when
        try:
            return msgspec.convert(listed, tuple[When, ...])
        except msgspec.ValidationError as error:
            raise InputInvalidError(f"{PATH}: {self.name}: when: {error}") from error

    def due(self, project: str, decided: datetime, now: datetime) -> datetime | None:
        """Return the latest of its times after `decided` and up to `now`, None if there is none."""
        times = self.times(project)
        quarter = quarter_of(now)
        first = max(decided, now - MADE_UP_FOR)
        while times and quarter > first:
            if any(time.matches(quarter) for time in times):
                return quarter
            quarter -= QUARTER
        return None

    def context(self, task_id: str) -> dict[str, Any]:
        """Return `cron` as `.taskcluster.yml` expects it."""
        return {
            "task_id": task_id,
            "job_name": self.name,
            "job_symbol": self.decision.treeherder_symbol,
            "quoted_args": shlex.join(self.decision.arguments()),
        }


class _File(msgspec.Struct, frozen=True):
    version: Literal[1]
    entries: tuple[CronEntry, ...] = msgspec.field(name="jobs", default=())


def quarter_of(now: datetime) -> datetime:
    """Return the quarter of an hour that `now` is in, its beginning."""
    return now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)


def parse_cron(raw: bytes) -> tuple[CronEntry, ...]:
    """Return the scheduled runs that the file asks for, in its order.

    Raises:
        InputInvalidError: too large, no YAML, of another form, or names given twice; the message says where.
    """
    if len(raw) > MAX_BYTES:
        raise InputInvalidError(f"{PATH}: {len(raw)} bytes, expected at most {MAX_BYTES}")
    try:
        document = yaml.safe_load(raw.decode("utf-8")) if b"&" not in raw else None
        file = msgspec.convert(document, _File)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        said = "expected YAML without anchors" if b"&" in raw else f"expected YAML: {error}"
        raise InputInvalidError(f"{PATH}: {said}") from error
    except msgspec.ValidationError as error:
        raise InputInvalidError(f"{PATH}: {error}") from error
    names = [entry.name for entry in file.entries]
    if len(names) > MAX_ENTRIES or len(set(names)) != len(names):
        raise InputInvalidError(
            f"{PATH}: expected at most {MAX_ENTRIES} entries, each with a name of its own"
        )
    for name in names:
        if _NAME.match(name) is None:
            raise InputInvalidError(f"{PATH}: name: expected 1 to 100 of [A-Za-z0-9_-], got {name[:64]!r}")
    return file.entries


def _by_project(when: Mapping[str, Any], project: str) -> Any:
    """Return what stands for the project below `by-project`: its own, a pattern's that matches, or the default's."""
    choices = when.get("by-project")
    if len(when) != 1 or not isinstance(choices, Mapping):
        raise InputInvalidError(f"{PATH}: when: expected a list, or by-project")
    for pattern, chosen in choices.items():
        if isinstance(pattern, str) and pattern != "default" and _fits(pattern, project):
            return chosen
    if "default" not in choices:
        raise InputInvalidError(f"{PATH}: when: by-project has neither {project} nor default")
    return choices["default"]


def _fits(pattern: str, project: str) -> bool:
    """Tell whether the whole name fits; patterns are names with `|` between them and `.*` for anything."""
    parts = (re.escape(part).replace(r"\.\*", ".*") for part in pattern.split("|"))
    return any(re.fullmatch(part, project) for part in parts)
