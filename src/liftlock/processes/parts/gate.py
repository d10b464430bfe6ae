"""What the control plane does for the push gate: it receives what trackers send, and passes it on."""

from __future__ import annotations

from liftlock.processes.parts.foundation import Foundation, Part
from liftlock.services.relay_tracker import RelayTracker
from liftlock.web import api_gate


def part(base: Foundation) -> Part:
    """Return the gate service."""
    return Part(tuple(api_gate.routes(RelayTracker(base.entropy))))
