"""The control plane's background loops: each repeats one step of a service, woken early where something rings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from liftlock.errors import LiftlockError
from liftlock.ports.wakeups import Wakeups

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loop:
    """One background loop: `step` at least every `interval_s`, and at once when `channel` is woken."""

    name: str
    step: Callable[[], Awaitable[object]]
    interval_s: float
    channel: str | None = None


async def run(loop: Loop, wakeups: Wakeups) -> None:
    """Repeat the loop's step for ever; a failed step is logged and tried again at the next turn."""
    with wakeups.listen(loop.channel or f"loop:{loop.name}") as ticket:
        while True:
            try:
                await loop.step()
            except asyncio.CancelledError:
                raise
            except LiftlockError as error:
                _log.error("a background step failed", loop=loop.name, code=error.code, error=error.message)
            except Exception:  # noqa: BLE001 -- a process loop: logged, and the next turn tries again
                _log.exception("a background step failed", loop=loop.name)
            await ticket.wait(loop.interval_s)
