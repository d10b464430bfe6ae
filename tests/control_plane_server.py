"""A control plane that answers over real HTTP in this process, for tests of clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.direct_parser import DirectParser
from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.migrate import migrate_postgresql, migrate_sqlite
from liftlock.adapters.sql.postgres_engine import PostgresEngine
from liftlock.adapters.sql.sqlite_engine import SqliteEngine
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.adapters.wakeups.in_process import InProcessWakeups
from liftlock.processes import loops, serving, wiring
from liftlock.processes.settings import ControlPlaneSettings, StaticClientSettings

ROOT = StaticClientSettings("static/liftlock/root", "root-token-0123456789", ("*",), "root")
ISSUER = StaticClientSettings("static/liftlock/issuer", "issuer-token-0123456789", ("*",), "issuer")
WORKER = StaticClientSettings(
    "static/liftlock/worker/0",
    "worker-token-0123456789",
    ("queue:claim-work:*", "queue:worker-id:*"),
    "worker",
)


@dataclass(frozen=True, slots=True)
class Served:
    """Where a control plane answers, and its root client; `options` is what official clients take."""

    root_url: str
    directory: Path
    plane: wiring.ControlPlane

    @property
    def options(self) -> dict[str, object]:
        """Options of the official client for the root client."""
        return {
            "rootUrl": self.root_url,
            "credentials": {"clientId": ROOT.client_id, "accessToken": ROOT.access_token},
            "maxRetries": 0,
        }


@contextlib.contextmanager
def serve(
    tmp_path: Path,
    dsn: str | None = None,
    at: Callable[[str], dict[str, Any]] | None = None,
    **changes: Any,
) -> Iterator[Served]:
    """Yield a control plane, served on a free port from a thread of its own; `changes` are to its settings.

    `at` returns further changes, for its root URL.

    It is on SQLite, or on the empty PostgreSQL database that `dsn` names.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    root_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    given: dict[str, Any] = {
        "directory": str(tmp_path),
        "database": None,
        "listen_fd": -1,
        "root_url": root_url,
        "static_clients": (ROOT, ISSUER, WORKER),
        "credentials_issuer": ISSUER.client_id,
        "policy": None,
        "user": None,
    }
    told = ControlPlaneSettings(**(given | changes | (at(root_url) if at else {})))
    ready = threading.Event()
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event, wiring.ControlPlane]] = []

    async def run() -> None:
        wakeups = InProcessWakeups()
        engine = await _engine(tmp_path, dsn, wakeups)
        plane = wiring.build(told, engine, wakeups, SystemClock(), SystemEntropy(), DirectParser.of_all())
        stop = asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop, plane))
        background = [asyncio.create_task(loops.run(loop, wakeups)) for loop in plane.loops]
        ready.set()
        await serving.serve(plane.app, listening, stop)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await engine.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="control-plane")
    thread.start()
    assert ready.wait(20)
    try:
        yield Served(root_url, tmp_path, ends[0][2])
    finally:
        loop, stop, _ = ends[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()


async def _engine(tmp_path: Path, dsn: str | None, wakeups: InProcessWakeups) -> Engine:
    if dsn is None:
        await migrate_sqlite(tmp_path / "liftlock.db")
        return SqliteEngine(tmp_path / "liftlock.db", wakeups)
    await migrate_postgresql(dsn)
    return await PostgresEngine.open(dsn, wakeups, connections=4)
