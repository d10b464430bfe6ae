"""feedd: reads trackers with a key, judges bugs by selectors, and brings the gate the verdicts. It only connects out.

Run by a service manager: `python -P -m liftlock.processes.feedd --settings FILE --state DIR`. SIGTERM ends it. Exit
status 1: it could not start, or its inbox can't be written; started again it goes on where it was.

Source: docs/reference/gate-feed.md
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import structlog

from liftlock.adapters.bugzilla.client import BugzillaTracker
from liftlock.adapters.bugzilla.key_file import read_key
from liftlock.adapters.event_feed.client import EventFeedTracker
from liftlock.adapters.feed_inbox.sqlite import SqliteFeedInbox
from liftlock.adapters.gate_link.unix_socket import connect
from liftlock.adapters.queue_http.signed_http import SignedHttp
from liftlock.adapters.system.clock import SystemClock
from liftlock.adapters.system.entropy import SystemEntropy
from liftlock.adapters.tracker_relay.event_stream import EventStreamRelay
from liftlock.domain.credentials.certificates import Credentials
from liftlock.domain.pushes.feed_settings import FeedSettings, SourceSettings, parse_feed_settings
from liftlock.errors import IsolationUnavailableError, LiftlockError, StorageError
from liftlock.gate.feed_delivery import FeedDelivery
from liftlock.gate.relayed_intake import RelayedIntake
from liftlock.gate.tracker_intake import TrackerIntake
from liftlock.ports.clock import Clock
from liftlock.ports.feed_inbox import FeedInbox
from liftlock.processes.feedd_metrics import write_figures
from liftlock.processes.journal import configure_logging
from liftlock.values.instants import to_ms

_log = structlog.get_logger(__name__)
RECONNECT_S = 0.5


def read_settings(path: Path) -> FeedSettings:
    """Return the settings in a file; raises InputInvalidError."""
    try:
        return parse_feed_settings(path.read_text(encoding="utf-8"), what=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise IsolationUnavailableError(f"{path}: {error}") from error


async def serve(settings: FeedSettings, state: Path, figures: Path | None) -> int:
    """Follow and deliver until told to end; return the exit status."""
    clock = SystemClock()
    trackers = {each.name: _tracker(each) for each in settings.sources}
    inbox = SqliteFeedInbox(state / "feed.db", to_ms(clock.now()))
    if inbox.quarantined is not None:
        _log.critical("the inbox was corrupt and is put aside", aside=str(inbox.quarantined))
    intakes = {each.name: TrackerIntake(each, trackers[each.name], inbox, clock) for each in settings.sources}
    relayed, connections = _relayed(settings, intakes, inbox, clock)
    working = asyncio.gather(
        *(each.follow() for each in intakes.values()),
        *(each.follow() for each in relayed),
        _deliver(settings, intakes, inbox),
        *([write_figures(intakes, figures)] if figures is not None else []),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    _log.info("ready", sources=sorted(intakes))
    try:
        await working
    except asyncio.CancelledError:
        return 0
    finally:
        for each in (*trackers.values(), *connections):
            await each.close()
        inbox.close()
    return 1


def _tracker(source: SourceSettings) -> BugzillaTracker | EventFeedTracker:
    kind = BugzillaTracker if source.kind == "bugzilla" else EventFeedTracker
    return kind(source.name, source.address, read_key(Path(source.key_file)))


def _relayed(
    settings: FeedSettings, intakes: dict[str, TrackerIntake], inbox: FeedInbox, clock: Clock
) -> tuple[list[RelayedIntake], list[SignedHttp]]:
    """Return who listens to the control planes, and their connections."""
    found, connections = [], []
    for source in settings.sources:
        keys = {key_id: read_key(Path(path)).reveal().encode() for key_id, path in source.push_keys.items()}
        for root_url in source.relays:
            client_id, _, token = read_key(Path(source.relay_key_file or "")).reveal().rpartition("|")
            http = SignedHttp(root_url, clock, SystemEntropy())
            relay = EventStreamRelay(http, Credentials(client_id, token), source.name)
            found.append(RelayedIntake(intakes[source.name], relay, inbox, keys, clock))
            connections.append(http)
    return found, connections


async def _deliver(settings: FeedSettings, intakes: dict[str, TrackerIntake], inbox: FeedInbox) -> None:
    """Keep a link to the gate. What is read meanwhile waits in the inbox."""
    while True:
        try:
            link = await connect(settings.gate)
            _log.info("connected to the gate")
            try:
                await FeedDelivery(intakes, inbox, link).run()
            finally:
                link.close()
        except StorageError as error:
            _log.warning("no link to the gate", error=error.message)
        await asyncio.sleep(RECONNECT_S)


def main() -> None:
    """Run feedd to its end."""
    parser = argparse.ArgumentParser(description="Bring the gate what trackers say.")
    parser.add_argument("--settings", type=Path, required=True, help="the settings file (TOML)")
    parser.add_argument("--state", type=Path, required=True, help="folder of feedd's own state")
    parser.add_argument("--metrics", type=Path, help="write figures to this file, in Prometheus' text form")
    given = parser.parse_args()
    configure_logging("feedd")
    os.umask(0o077)
    try:
        settings = read_settings(given.settings)
        given.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        given.state.chmod(0o700)
        status = asyncio.run(serve(settings, given.state, given.metrics))
    except LiftlockError as error:
        _log.critical("feedd ends", code=error.code, error=error.message)
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
