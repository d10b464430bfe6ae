"""Escalation paths in an installation of 2,000 roles, 3,000 hooks and 500 persons: all reach ≤ 1 s, one path ≤ 50 ms.

Everything is made anew for each round, so that nothing is remembered. Times are the processor's: nothing waits here. Exit status 1 if a limit is exceeded.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from liftlock.domain.scopes.escalation import EscalationGraph, Hunt, given_of
from liftlock.domain.scopes.roles import Role, RoleBook

REPOSITORIES, HOOKS, PERSONS, ROUNDS = 500, 3000, 500, 5
GROUPS = 60
SECRET = "secrets:get:release/key"
LIMIT_ALL_S, LIMIT_PATH_MS = 1.0, 50.0


def roles() -> list[Role]:
    """Return 2,000 roles: four a repository (two levels of its branches, its actions, its pool), a few of hook groups."""
    found: list[Role] = []
    for number in range(REPOSITORIES):
        level, name = 1 + number % 3, f"example.org/project-{number}"
        found += [
            Role(f"repo:{name}:*", (f"assume:level-{level}", f"queue:route:index.project-{number}.*")),
            Role(f"repo:{name}:branch:main", (f"in-tree:hook-action:group-{number % GROUPS}/in-tree-*",)),
            Role(
                f"repo:{name}:action:generic",
                (f"assume:repo:{name}:branch:main", f"queue:rerun-task:project-{number}/*"),
            ),
        ]
    for level in (1, 2, 3):
        found.append(
            Role(f"level-{level}", tuple(f"queue:create-task:high:{level}/pool-{n}" for n in range(150)))
        )
    for group in range(GROUPS):
        following = f"hooks:trigger-hook:group-{group + 1}/bridge" if group % 6 else "queue:ping"
        if group == GROUPS - 1:
            following = f"hooks:trigger-hook:group-{group}/release"
        found.append(Role(f"hook-id:group-{group}/bridge", (following, f"assume:level-{1 + group % 3}")))
        found.append(
            Role(f"hook-id:group-{group}/*", (f"assume:repo:example.org/project-{group}:action:generic",))
        )
    found.append(Role(f"hook-id:group-{GROUPS - 1}/release", (SECRET,)))
    found += [Role(f"group:{number}", group_scopes(number)) for number in range(2000 - len(found))]
    return found


def group_scopes(number: int) -> tuple[str, ...]:
    """Return what a group of persons has: all hooks of a few hook groups, and reruns."""
    own = tuple(
        f"hooks:trigger-hook:group-{(number + n * 7) % (GROUPS - 1)}/*" for n in range(1 + number % 4)
    )
    return (*own, f"queue:rerun-task:project-{number}/*")


def hooks() -> list[str]:
    """Return 3,000 hooks in groups of their own."""
    named = [f"group-{group}/bridge" for group in range(GROUPS)] + [f"group-{GROUPS - 1}/release"]
    return named + [f"group-{n % GROUPS}/in-tree-{n}" for n in range(HOOKS - len(named))]


def persons() -> dict[str, tuple[str, ...]]:
    """Return 500 persons, each in two groups, the last one an administrator of tokens."""
    found = {
        f"people/{number}": (f"assume:group:{number % 300}", f"assume:group:{(number * 7) % 300}")
        for number in range(PERSONS - 1)
    }
    return {**found, "people/admin": ("auth:reset-access-token:people/*",)}


def _graph() -> EscalationGraph:
    return EscalationGraph(RoleBook(roles()), hooks(), persons())


def all_reach() -> float:
    """Return seconds for the reach of every person."""
    graph = _graph()
    began = time.process_time()
    places = sum(1 for who, scopes in persons().items() for _ in graph.reach(scopes, name=who))
    took = time.process_time() - began
    assert places > PERSONS
    return took


def everybody_to_one_scope() -> float:
    """Return seconds for finding out who reaches the secret."""
    graph = _graph()
    began = time.process_time()
    hunt, found = Hunt(graph), []
    for who, scopes in persons().items():
        if any(given_of(reached.scopes, SECRET) for reached in hunt.walk(scopes, name=who)):
            found.append(who)
    took = time.process_time() - began
    assert 0 < len(found) < PERSONS
    return took


def first_path() -> float:
    """Return milliseconds of the slowest path query of a tenth of the persons, each the first since a change of roles."""
    worst = 0.0
    for who, scopes in list(persons().items())[::10]:
        graph = _graph()
        began = time.process_time()
        assert graph.path(scopes, "nothing:reaches:this", name=who) is None
        worst = max(worst, time.process_time() - began)
    return worst * 1000


def everything(*, first: bool) -> float:
    """Return milliseconds of the path query of whoever reaches every place, the first or the second since a change."""
    graph, scopes = _graph(), persons()["people/admin"]
    for _ in range(1 if first else 2):
        began = time.process_time()
        assert graph.path(scopes, "nothing:reaches:this", name="people/admin") is None
        took = time.process_time() - began
    return took * 1000


def main() -> int:
    """Print a line a figure; return the exit status."""
    figures: list[tuple[str, str, Callable[[], float], float]] = [
        ("reach of all persons", "s", all_reach, LIMIT_ALL_S),
        ("who reaches one scope", "s", everybody_to_one_scope, LIMIT_ALL_S),
        ("one path of a person, first", "ms", first_path, LIMIT_PATH_MS),
        ("a path through everything", "ms", partial(everything, first=False), LIMIT_PATH_MS),
        ("the same, first", "ms", partial(everything, first=True), float("inf")),
    ]
    exceeded = False
    for name, unit, measure, limit in figures:
        samples = [measure() for _ in range(ROUNDS)]
        median = statistics.median(samples)
        exceeded = exceeded or median > limit
        verdict = "  EXCEEDED" if median > limit else ""
        spread = f"{min(samples):.3f} to {max(samples):.3f}"
        held = "no limit" if limit == float("inf") else f"limit {limit:g} {unit}"
        sys.stdout.write(f"{name:30} {median:9.3f} {unit:2} ({spread}), {held}{verdict}\n")
    return int(exceeded)


if __name__ == "__main__":
    sys.exit(main())
