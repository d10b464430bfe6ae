"""A small configuration in files, for tests, and the ways to change it."""

from __future__ import annotations

from liftlock.domain.configuration.checks import run_checks
from liftlock.domain.configuration.folder import read_folder
from liftlock.domain.configuration.generate import generate
from liftlock.domain.configuration.reading import FilesRefusedError, Problem
from liftlock.domain.configuration.resources import Resources
from liftlock.domain.configuration.whole import Whole

FILES: dict[str, str] = {
    "liftlock.yml": "version: 1\nname: demo\nmanaged: ['*']\n",
    "projects.yml": """\
app:
  identity: https://example.org/app
  fetch: /srv/app
  level: 3
  trust-domain: demo
try:
  identity: https://example.org/try
  fetch: /srv/try
  level: 1
  trust-domain: demo
""",
    "groups.yml": """\
newcomers: {push-levels: [1]}
developers: {push-levels: [1, 3]}
managers: {}
""",
    "grants.yml": """\
- grant: ['queue:scheduler-id:{trust-domain}-level-{level}', 'queue:create-task:low:local/unprivileged']
  to: [{projects: {trust-domains: [demo], runs: ['branch:*', 'action:generic']}}]
- grant: ['secrets:get:release']
  to: [{projects: {levels: [3], runs: ['action:promote']}}]
""",
    "actions.yml": """\
demo:
  levels: [1, 3]
  permissions:
    generic: {self-admitted: true}
    promote: {triggered-by: [managers]}
""",
    "pools.yml": "local/unprivileged: {owner: ops@example.org}\n",
}
HOOK = """\
tools/one:
  name: One
  owner: ops@example.org
  task: {payload: {}}
"""


def files(**changes: str | None) -> dict[str, bytes]:
    """Return the files with some replaced (`hooks="…"` is hooks.yml) or, with None, left out."""
    said = FILES | {f"{name}.yml": text for name, text in changes.items() if text is not None}
    gone = {f"{name}.yml" for name, text in changes.items() if text is None}
    return {name: text.encode() for name, text in said.items() if name not in gone}


def made(**changes: str | None) -> Resources:
    """Return what the files make."""
    return generate(read_folder(files(**changes)))


def problems(**changes: str | None) -> list[str]:
    """Return what is wrong with the files, as it is shown; empty if nothing is."""
    try:
        made(**changes)
    except FilesRefusedError as error:
        return [str(problem) for problem in error.problems]
    return []


def failed(**changes: str | None) -> dict[str, list[Problem]]:
    """Return the checks that fail, with what is wrong."""
    folder = read_folder(files(**changes))
    found = run_checks(Whole(folder, generate(folder)))
    return {name: each for name, each in found.items() if each}
