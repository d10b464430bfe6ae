"""gated's way to its durable state: one call at a time, in one thread, so that a slow disk delays no ordinary push."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from liftlock.errors import StorageError
from liftlock.ports.gate_state import GateState

T = TypeVar("T")
MAX_UNDER_WAY: Final = 1_000
"""What may wait to be written while nobody waits for it."""


class Ledger:
    """Calls methods of `state`; `on_corrupt` is called once the file turns out to be damaged."""

    def __init__(self, state: GateState, on_corrupt: Callable[[str], None]) -> None:
        self.state = state
        self._on_corrupt = on_corrupt
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gate-state")
        self._under_way: set[asyncio.Task[None]] = set()

    async def do(self, call: Callable[[GateState], T]) -> T:
        """Return what `call` returned, after it is durable. A caller that is cancelled leaves it to finish.

        Raises:
            StorageError: it did not take effect.
        """
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.shield(loop.run_in_executor(self._thread, call, self.state))
        except StorageError as error:
            if error.details.get("corrupt"):
                self._on_corrupt(error.message)
            raise

    def begin(self, writing: Coroutine[None, None, None]) -> asyncio.Task[None] | None:
        """Start something that is written whether or not anybody waits for it; None if too much is under way already."""
        if len(self._under_way) >= MAX_UNDER_WAY:
            writing.close()
            return None
        task = asyncio.get_running_loop().create_task(writing)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    def close(self) -> None:
        """Finish what is under way and release the state."""
        self._thread.submit(self.state.close).result()
        self._thread.shutdown()
