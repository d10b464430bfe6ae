"""The e-mail to a hook's owner when it fails and nobody was there to see: at most one an hour for each hook."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from liftlock.ports.hook_store import FireRecord, HookRecord
from liftlock.ports.mail import QueuedMail
from liftlock.values.instants import format_instant

QUIET: Final = timedelta(hours=1)
_UNSEEN: Final = frozenset({"schedule", "pulseMessage"})
_MAX_KNOWN: Final = 10_000


class HookFailureMail:
    """Writes the messages; one of each control plane."""

    def __init__(self) -> None:
        self._told: dict[str, datetime] = {}

    def about(self, hook: HookRecord, fire: FireRecord) -> tuple[QueuedMail, ...]:
        """Return the message about a fire that failed: one or none, to be queued with its record."""
        metadata = hook.document["metadata"]
        told = self._told.get(hook.name)
        if not metadata["emailOnError"] or fire.fired_by not in _UNSEEN:
            return ()
        if told is not None and fire.at - told < QUIET:
            return ()
        if len(self._told) >= _MAX_KNOWN:
            self._told.clear()
        self._told[hook.name] = fire.at
        text = (
            f"The hook {hook.name} ({metadata['name']}) was to fire at {format_instant(fire.at)} and failed.\n\n"
            f"fired by: {fire.fired_by}\n"
            f"error:    {fire.error}\n\n"
            "Further failures are among the hook's last fires. You get this message at most once an hour; the hook's"
            " metadata says emailOnError.\n"
        )
        return (QueuedMail(metadata["owner"], f"Hook {hook.name} failed", text),)
