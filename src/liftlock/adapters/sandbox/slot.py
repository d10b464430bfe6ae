"""One slot: its user, its scratch, and the sandbox that runs over it. At most one of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from liftlock.adapters.sandbox.caches import Held
from liftlock.adapters.sandbox.cgroups import Cgroup
from liftlock.adapters.sandbox.disk import Place
from liftlock.adapters.sandbox.launch import Launched
from liftlock.adapters.sandbox.users import User
from liftlock.errors import SandboxFailedError


@dataclass(slots=True)
class Running:
    """A sandbox that was started and has not been reported as ended."""

    number: int
    slot: Slot
    launched: Launched
    cgroup: Cgroup | None
    note: str
    killed: str | None = None
    out_of_disk: bool = False
    used_bytes: int | None = None
    next_look: float = 0.0


@dataclass(slots=True)
class Slot:
    """`broken`: why it may not be used again; a process of it would not die."""

    number: int
    user: User
    name: str | None = None
    place: Place | None = None
    running: Running | None = None
    broken: str | None = None
    caches: dict[str, Held] = field(default_factory=dict)
    """Open caches by key."""

    def idle(self, scratch: str) -> Place:
        """Return the place of `scratch`, which is the slot's present one, with nothing alive in it.

        Raises:
            SandboxFailedError: it is another one, or a sandbox runs.
        """
        if self.broken is not None:
            raise SandboxFailedError(f"slot {self.number} is out of use: {self.broken}")
        if self.place is None or self.name != scratch:
            raise SandboxFailedError(f"slot {self.number} does not hold the scratch {scratch[:80]!r}")
        if self.running is not None:
            raise SandboxFailedError(f"slot {self.number} is busy: one sandbox at a time")
        return self.place
