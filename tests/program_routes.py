"""Every route of the program, for tests that compare them with something: nothing stands behind their handlers."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path

from liftlock.web import housekeeping
from liftlock.web.routing import Route

_SCRIPT = Path(__file__).parent.parent / "scripts" / "api_reference.py"


@cache
def program_routes() -> tuple[Route, ...]:
    """Return all routes, each service's housekeeping included."""
    spec = importlib.util.spec_from_file_location("api_reference", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.path.append(str(_SCRIPT.parent))  # scripts import one another as programs do: from their own folder
    try:
        spec.loader.exec_module(script)
    finally:
        sys.path.remove(str(_SCRIPT.parent))
    found: list[Route] = script.routes()
    services = sorted({route.service for route in found})
    return (*found, *(route for service in services for route in housekeeping.routes(service)))
