"""The routes that every service has: `/ping`, `/__version__`, `/__heartbeat__`, `/__lbheartbeat__`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from liftlock import __version__
from liftlock.values.instants import to_ms
from liftlock.web.routing import ApiRequest, Handler, Route

_STARTED: dict[str, datetime] = {}
_TITLES = {
    "ping": ("/ping", "Ping the server"),
    "lbheartbeat": ("/__lbheartbeat__", "Tell that the server runs"),
    "heartbeat": ("/__heartbeat__", "Tell that the server and its store answer"),
    "version": ("/__version__", "Tell the server's version"),
}


async def _ping(request: ApiRequest) -> dict[str, Any]:
    started = _STARTED.setdefault("first answer", request.now)
    return {"alive": True, "uptime": (to_ms(request.now) - to_ms(started)) / 1000}


async def _alive(_request: ApiRequest) -> dict[str, Any]:
    return {}


async def _version(_request: ApiRequest) -> dict[str, Any]:
    return {"version": __version__, "commit": "", "source": "", "build": ""}


_HANDLERS: dict[str, Handler] = {
    "ping": _ping,
    "lbheartbeat": _alive,
    "heartbeat": _alive,
    "version": _version,
}


def routes(service: str) -> list[Route]:
    """Return the four routes for `service`; they need no credentials."""
    return [
        Route(
            service=service,
            method="GET",
            path=path,
            name=name,
            handler=_HANDLERS[name],
            title=title,
            authenticated=False,
        )
        for name, (path, title) in _TITLES.items()
    ]
