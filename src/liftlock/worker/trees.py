"""The trees of one run: found or made, held while it lasts; others give way to them."""

from __future__ import annotations

import structlog

from liftlock.errors import LiftlockError
from liftlock.ports.input_store import InputStore
from liftlock.ports.sandbox import Sandbox, UnpackResult

_log = structlog.get_logger(__name__)


class RunTrees:
    """Those that `holder`, a run, uses; `release` when nothing of it lives any more."""

    def __init__(self, store: InputStore, sandbox: Sandbox, holder: str) -> None:
        self._store = store
        self._sandbox = sandbox
        self._holder = holder

    def get(self, digest: str) -> str | None:
        """Return the path of a complete tree, or None."""
        return self._store.tree(digest, self._holder)

    def new_name(self) -> str:
        """Return an unused name for a tree in the making."""
        return self._store.new_tree_name()

    async def keep(self, name: str, digest: str, made: UnpackResult) -> str:
        """Keep the tree that was made as `name`; return its path. What is too much then is removed."""
        path = self._store.commit_tree(name, digest, self._holder, made.bytes)
        for surplus in self._store.surplus_trees():
            try:
                await self._sandbox.remove_tree(surplus)
            except LiftlockError as error:  # the launcher removes it at its next start
                _log.warning("a tree was not removed", tree=surplus, error=error.message)
        return path

    def release(self) -> None:
        """Hold nothing any more."""
        self._store.release_trees(self._holder)
