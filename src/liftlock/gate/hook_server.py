"""The socket that hooks ask at. Anybody may connect; nobody gets anything but a verdict, within a deadline.

Source: docs/reference/gate.md#wire
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from liftlock.domain.pushes.gate_policy import RepositoryPolicy
from liftlock.errors import LiftlockError, MalformedPayloadError
from liftlock.gate.desk import Desk
from liftlock.gate.frames import Frames, frame, parse_hello
from liftlock.gate.peers import peer_uid
from liftlock.gate.push_session import Answer, PushSession, exempt_globs

_log = structlog.get_logger(__name__)
VERSION: Final = "1"
HELLO_S: Final = 1.0
"""How long a connection may say nothing."""
DRAIN_S: Final = 2.0
HOOKS: Final = frozenset({"mercurial", "git"})
MAX_NAME: Final = 200
MAX_TURNED_AWAY: Final = 64
MAX_TURNED_AWAY_PER_USER: Final = 8
"""Connections beyond the limits that get an answer; more are closed at once."""
SMALL: Final = 64
MAX_SMALL_FRAMES: Final = 4_096
"""Frames of fewer than `SMALL` bytes in one push."""
_LOOKS_AT_CLOCK: Final = 256
"""Frames between two looks at the clock."""


class HookServer:
    """Counts connections; makes a `HookConnection` for each."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.open: Counter[int] = Counter()
        self.turned_away: Counter[int] = Counter()

    def connection(self) -> HookConnection:
        """Return the protocol of a new connection."""
        return HookConnection(self)

    def enter(self, uid: int) -> bool:
        """Count a connection; return False if there are too many, of this user or at all."""
        limits = self.desk.policy.limits
        full = self.open.total() >= limits.connections
        greedy = self.open[uid] >= limits.connections_per_user and not self.desk.shares_user(uid)
        if full or greedy:
            return False
        self.open[uid] += 1
        return True

    def turn_away(self, uid: int) -> bool:
        """Count a connection that is only told to come again; return False if even of those there are too many."""
        mine = self.turned_away[uid] >= MAX_TURNED_AWAY_PER_USER and not self.desk.shares_user(uid)
        if mine or self.turned_away.total() >= MAX_TURNED_AWAY:
            return False
        self.turned_away[uid] += 1
        return True

    def leave(self, uid: int, *, entered: bool) -> None:
        """Count a connection off."""
        counts = self.open if entered else self.turned_away
        counts[uid] -= 1
        if not counts[uid]:
            del counts[uid]


class HookConnection(asyncio.Protocol):
    """One push."""

    def __init__(self, server: HookServer) -> None:
        self._server = server
        self._desk = server.desk
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._session: PushSession | None = None
        self._received = 0
        self._taken = self._small = 0
        self._uid = -1
        self._entered = False
        self._counted = False
        self._deciding: asyncio.Task[None] | None = None
        self._new: asyncio.Future[frozenset[str]] | None = None
        self._answered = False
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._deadline = self._loop.time() + self._desk.policy.limits.deadline_ms / 1000
        self._timer = self._loop.call_at(min(self._deadline, self._loop.time() + HELLO_S), self._too_late)
        self._uid = peer_uid(transport)
        self._entered = self._server.enter(self._uid)
        self._counted = self._entered or self._server.turn_away(self._uid)
        if not self._counted:
            self._desk.metrics.count("errors_total", kind="crowded")
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        if self._counted:
            self._server.leave(self._uid, entered=self._entered)
        if self._deciding is not None:
            self._deciding.cancel()
        if self._session is not None and not self._answered:
            self._desk.fired(self._session.repository, self._session.hook, "gave-up")
            self._desk.metrics.count("errors_total", kind="gave-up")

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._received += len(data)
        try:
            self._check_size()
            for kind, payload in self._frames.feed(data):
                self._check_pace(len(payload))
                self._take(kind, payload)
        except LiftlockError as error:
            self._give_up(error.message, "malformed")
        except Exception:  # noqa: BLE001 -- whatever one push does, it must get an answer and the others theirs
            _log.exception("a push could not be read")
            self._desk.metrics.count("errors_total", kind="reading")
            self._give_up("an error in the gate", "error")

    def _check_size(self) -> None:
        if self._received > self._desk.policy.limits.max_push_bytes:
            raise MalformedPayloadError("the push is too large to be looked at")

    def _check_pace(self, size: int) -> None:
        """Many tiny frames cost much for what they bring, and nobody else is served while they are taken."""
        self._taken += 1
        self._small += size < SMALL
        if self._small > MAX_SMALL_FRAMES:
            raise MalformedPayloadError("the push comes in too small pieces")
        if self._taken % _LOOKS_AT_CLOCK == 0 and self._loop.time() > self._deadline:
            self._too_late()

    def _take(self, kind: bytes, payload: bytes) -> None:
        if self._answered:
            return
        if self._session is None:
            if kind != b"H":
                raise MalformedPayloadError("expected a hello first")
            self._begin(payload)
        elif self._ended and kind != b"N":
            raise MalformedPayloadError("a frame after the end")
        elif kind == b"C":
            self._session.take(payload)
        elif kind == b"R":
            self._session.ref(payload)
        elif kind == b"E" and self._deciding is None:
            self._end(payload)
        elif kind == b"N" and self._new is not None and not self._new.done():
            self._new.set_result(frozenset(payload.decode("ascii", "replace").split()))
        else:
            raise MalformedPayloadError("a frame that was not expected")

    def _begin(self, payload: bytes) -> None:
        hello = parse_hello(payload)
        repository, hook = hello.get("repository", ""), hello.get("hook", "")
        if hello.get("v") != VERSION or hook not in HOOKS or not 0 < len(repository) <= MAX_NAME:
            raise MalformedPayloadError("a hello of another version")
        pusher = self._desk.pusher(self._uid, hello)
        self._session = PushSession(self._desk, repository, pusher, hook)
        self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._too_late)
        if not self._entered:
            self._give_up("too many pushes at the same time", "busy")
        elif hello.get("wants") == "exempt":
            self._transport.write(frame(b"X", "\n".join(exempt_globs(self._session.policy)).encode()))

    def _end(self, payload: bytes) -> None:
        session = self._session
        assert session is not None
        self._ended = True
        whole = not session.cut_off and payload in (b"", b"%d" % session.commits)
        lacks = "" if whole else "the list of commits is not complete"
        self._deciding = self._loop.create_task(self._decide(session, lacks))

    async def _decide(self, session: PushSession, lacks: str) -> None:
        began = self._loop.time()
        try:
            answer = await session.decide(self._ask_new, self._deadline - 0.05, lacks=lacks)
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001 -- as above
            _log.exception("a push could not be decided on", repository=session.repository)
            self._desk.metrics.count("errors_total", kind="deciding")
            answer = await session.fall_back("an error in the gate", "error")
        self._desk.metrics.decided(self._loop.time() - began)
        self._reply(answer)

    async def _ask_new(self, revisions: Sequence[str]) -> frozenset[str]:
        self._new = self._loop.create_future()
        self._transport.write(frame(b"?", "\n".join(revisions).encode("ascii")))
        return await self._new

    def _too_late(self) -> None:
        if self._session is None:
            self._transport.abort()
        else:
            self._give_up("it took too long", "late")

    def _give_up(self, why: str, outcome: str) -> None:
        """Answer by what the policy says for pushes that can't be decided on."""
        if self._answered:
            return
        if self._deciding is not None:
            self._deciding.cancel()
        if self._session is None:
            policy: RepositoryPolicy = self._desk.policy.default
            self._desk.metrics.count("errors_total", kind="malformed")
            closed = policy.fail == "closed"
            self._reply(
                Answer(
                    "reject" if closed else "warn", f"liftlock: the gate could not check this push ({why})"
                )
            )
            return
        settled = self._settled(self._session)
        if settled is not None:
            self._reply(settled)
            return
        self._answered = True
        self._deciding = self._loop.create_task(self._fall_back(self._session, why, outcome))

    def _settled(self, session: PushSession) -> Answer | None:
        """Return the verdict that is certain already: no haste or nonsense turns a rejection into anything else."""
        if not self._entered:
            return None
        try:
            return session.settled()
        except Exception:  # noqa: BLE001 -- as above
            _log.exception("a push could not be decided on", repository=session.repository)
            self._desk.metrics.count("errors_total", kind="deciding")
            return None

    async def _fall_back(self, session: PushSession, why: str, outcome: str) -> None:
        answer = await session.fall_back(why, outcome)
        self._answered = False
        self._reply(answer)

    def _reply(self, answer: Answer) -> None:
        if self._answered or self._transport.is_closing():
            return
        self._answered = True
        verdict = b"R" if answer.outcome == "reject" else b"A"
        self._transport.write(frame(b"V", verdict + answer.text.encode("utf-8", "replace")))
        self._timer.cancel()
        if self._ended:
            self._transport.close()
        else:
            # The hook still sends: what comes is read and dropped, so that it gets to reading the answer.
            self._transport.write_eof()
            self._timer = self._loop.call_later(DRAIN_S, self._transport.abort)
