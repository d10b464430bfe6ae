"""Imports everything that this installation consists of, for a process that is about to lose its right to read it.

A checkout in a home folder can be read by its owner (or root) alone. A process that becomes another user there could
import nothing any more, and libraries import parts of themselves when they are first used.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import re
import stat
import sys
import warnings
from importlib import metadata
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_SKIPPED = re.compile(
    r"(?:^|\.)(?:__main__|tests?|testing|pytest_plugin|conftest|demo|up|workers|trio)(?:\.|$)"
)
"""Modules that do something when they are imported, or that a server never uses."""


def readable_by_all() -> bool:
    """Tell whether every user can reach this installation's modules."""
    places = [Path(__file__).resolve().parent, Path(sys.prefix).resolve()]
    return all(
        part.stat().st_mode & stat.S_IXOTH
        for place in places
        for part in (place, *place.parents)
        if part.exists()
    )


def import_everything() -> None:
    """Import every module of liftlock and of what it depends on; what can't be imported is left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _packages():
            import_tree(name)


def _packages() -> list[str]:
    """Return the top-level modules of liftlock's distribution and of all that it requires, sorted."""
    owners = metadata.packages_distributions()
    wanted, waiting = set[str](), ["liftlock", "asyncpg"]
    while waiting:
        name = _canonical(waiting.pop())
        if name in wanted:
            continue
        wanted.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            requires = metadata.distribution(name).requires or []
            waiting += [
                match[0] for each in requires if "extra ==" not in each and (match := _NAME.match(each))
            ]
    return sorted(module for module, names in owners.items() if {_canonical(each) for each in names} & wanted)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def import_tree(name: str) -> None:
    """Import a module and all below it; what can't be imported is left out."""
    if _SKIPPED.search(name):
        return
    # Whatever a module does not find here it would not find later either.
    with contextlib.suppress(Exception, SystemExit):
        module = importlib.import_module(name)
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            import_tree(f"{name}.{found.name}")
