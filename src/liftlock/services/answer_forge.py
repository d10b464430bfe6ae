"""Do what follows from webhooks, and tell the forge: at least once, outside of every transaction, in one loop.

Source: docs/reference/github.md#effects
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, assert_never

import msgspec
import structlog

from liftlock.domain.forge.settings import ForgeRepository, GitHubSettings
from liftlock.errors import LiftlockError, RepositoryError, StaleSnapshotError, StorageError
from liftlock.ports.clock import Clock
from liftlock.ports.envelope import Envelope
from liftlock.ports.forge import Check, Conclusion, Forge, ForgeUnavailableError, Status
from liftlock.ports.forge_store import ForgeStore, Watch, Work
from liftlock.ports.leases import Leases
from liftlock.services.authorize import Authorizer
from liftlock.services.decisions_told import DecisionsTold
from liftlock.services.forge_commands import ForgeCommands
from liftlock.services.operation_desk import OperationDesk, Outlook
from liftlock.values.instants import to_ms

BATCH: Final = 50
LEASE: Final = timedelta(minutes=2)
MAX_ATTEMPTS: Final = 14
"""The last is about four hours after the first."""
FIRST_DELAY: Final = timedelta(seconds=2)
MAX_DELAY: Final = timedelta(hours=1)
MAX_WATCHES: Final = 1000
MAX_PATCH: Final = 50_000
"""Characters of a patch that a comment shows; the forge takes 65,536 in all."""
_log = structlog.get_logger(__name__)


class DecidePull(Protocol):
    """Takes a pull request to its decision task, or to the reason why there is none."""

    async def __call__(
        self, work: Work, repository: ForgeRepository, now: datetime
    ) -> tuple[str, list[Work], list[Watch]]:
        """Return what was decided, what follows, and what is to be watched; errors that may go away are raised."""
        ...


class AnswerForge:
    """One step of the loop."""

    def __init__(
        self,
        settings: GitHubSettings,
        store: ForgeStore,
        forge: Forge,
        desk: OperationDesk,
        commands: ForgeCommands,
        pulls: DecidePull,
        decisions: DecisionsTold,
        authorizer: Authorizer,
        leases: Leases,
        clock: Clock,
        holder: str,
    ) -> None:
        self._settings = settings
        self._store = store
        self._forge = forge
        self._desk = desk
        self._commands = commands
        self._pulls = pulls
        self._decisions = decisions
        self._authorizer = authorizer
        self._leases = leases
        self._clock = clock
        self._holder = holder

    async def step(self) -> int:
        """Do all that is due, then look at operations that are under way; return how much was done."""
        done = 0
        while await self._holds():
            works = await self._store.due(to_ms(self._clock.now()), BATCH)
            for work in works:
                if not await self._holds():
                    return done
                await self._try(work)
                done += 1
            if len(works) < BATCH:
                await self._decisions.find(self._clock.now())
                await self._look_at_operations()
                break
        return done

    async def _holds(self) -> bool:
        return await self._leases.hold("answer forge", self._holder, now=self._clock.now(), duration=LEASE)

    async def _try(self, work: Work) -> None:
        repository = self._settings.repository_of(work.repository)
        try:
            if repository is None:
                await self._finish(work, "the repository is not configured any more", ())
            else:
                await self._do(work, repository)
        except (ForgeUnavailableError, StorageError, RepositoryError, StaleSnapshotError) as error:
            if isinstance(error, StaleSnapshotError):
                self._authorizer.expire()
            await self._fail(work, error, again=not isinstance(error, ForgeUnavailableError) or error.again)
        except LiftlockError as error:
            await self._fail(work, error, again=False)
        except Exception as error:  # noqa: BLE001 -- a process loop: logged, and this work is tried again
            _log.exception("work for the forge failed", work=work.id, kind=work.kind)
            await self._fail(work, LiftlockError(type(error).__name__), again=True)

    async def _do(self, work: Work, repository: ForgeRepository) -> None:
        now = self._clock.now()
        match work.kind:
            case "react":
                await self._forge.react(repository, int(work.body["comment"]))
                await self._finish(work, "done", ())
            case "comment":
                await self._forge.comment(
                    repository, int(work.body["number"]), str(work.body["text"]), work.id
                )
                await self._finish(work, "done", ())
            case "check":
                await self._check(work, repository)
            case "command":
                works, watches = await self._commands(work, repository, now)
                for watch in watches:
                    await self._store.watch(watch, (), Envelope(now))
                await self._finish(work, "done", works)
            case "pull":
                outcome, works, watches = await self._pulls(work, repository, now)
                for watch in watches:
                    await self._store.watch(watch, (), Envelope(now))
                await self._finish(work, outcome, works)
            case _:
                assert_never(work.kind)

    async def _check(self, work: Work, repository: ForgeRepository) -> None:
        """Bring the operation's check to what the operation is now, not to what it was when this was asked for."""
        watch = await self._store.watched(str(work.body["operation"]))
        view = None if watch is None else await self._look(watch)
        if watch is None or view is None:
            await self._finish(work, "there is no such operation", ())
            return
        run = await self._forge.check(repository, self._check_of(watch, view), watch.check_run)
        if run != watch.check_run:
            changed = msgspec.structs.replace(watch, check_run=run)
            await self._store.watch(changed, (), Envelope(self._clock.now()))
        await self._finish(work, view.state, ())

    def _check_of(self, watch: Watch, view: Outlook) -> Check:
        status, conclusion = _status(view)
        return Check(
            external_id=watch.operation_id,
            head_revision=watch.revision,
            name=f"liftlock: {view.operation}",
            status=status,
            conclusion=conclusion,
            title=view.state,
            summary=view.why or view.state,
            url=self._commands.link(watch.operation_id, watch.kind),
        )

    async def _look(self, watch: Watch) -> Outlook | None:
        if watch.kind == "decision":
            return await self._decisions.look(watch)
        return await self._desk.look(watch.operation_id)

    async def _look_at_operations(self) -> None:
        """Tell of every operation whose state is another than was told last."""
        for watch in await self._store.open_watches(MAX_WATCHES):
            view = await self._look(watch)
            if view is None or view.state == watch.told:
                continue
            at = f"operation/{watch.operation_id}"
            works = [self._work(f"{at}/{view.state}", watch, "check", {"operation": watch.operation_id})]
            if view.ended and watch.kind == "operation":
                body = self._result(watch, view, await self._desk.patch(watch.operation_id))
                works.append(self._work(f"{at}/result", watch, "comment", body))
            told = msgspec.structs.replace(watch, told=view.state, ended=view.ended)
            await self._store.watch(told, works, Envelope(self._clock.now()))

    def _work(self, work_id: str, watch: Watch, kind: str, body: dict[str, object]) -> Work:
        return Work(
            id=work_id, repository=watch.repository, kind="check" if kind == "check" else "comment", body=body
        )

    def _result(self, watch: Watch, view: Outlook, patch: str) -> dict[str, object]:
        link = f"[{view.operation} {watch.operation_id}]({self._commands.link(watch.operation_id)})"
        how = "succeeded" if view.succeeded else f"ended: {view.state}"
        return {"number": watch.number, "text": f"{link} {how}{_shown(patch)}"}

    async def _finish(self, work: Work, outcome: str, works: Sequence[Work]) -> None:
        await self._store.finish(work.id, outcome, works, Envelope(self._clock.now()))

    async def _fail(self, work: Work, error: LiftlockError, *, again: bool) -> None:
        text = f"{error.code}: {error.message}"[:500]
        if not again or work.attempts + 1 >= MAX_ATTEMPTS:
            _log.error("work for the forge was given up", work=work.id, kind=work.kind, error=text)
            await self._finish(work, f"given up: {text}", ())
            return
        delay = min(FIRST_DELAY * 2**work.attempts, MAX_DELAY)
        await self._store.put_off(work.id, to_ms(self._clock.now() + delay), text)


def _shown(patch: str) -> str:
    """Return the patch as it stands in a comment: fenced by more marks than it has in a row, so that it can't end its block."""
    if not patch:
        return ""
    if len(patch) > MAX_PATCH:
        return ". The branch is in a fork, and the patch is too long for a comment: it is an artifact of stage 2."
    longest = max((len(run) for run in re.findall("`+", patch)), default=0)
    fence = "`" * max(3, longest + 1)
    return (
        ". The branch is in a fork, so nothing was pushed; this is the patch, for `git am`:"
        f"\n\n{fence}diff\n{patch.rstrip()}\n{fence}"
    )


def _status(view: Outlook) -> tuple[Status, Conclusion | None]:
    if not view.ended:
        return ("queued", None) if view.state == "waiting" else ("in_progress", None)
    if view.succeeded:
        return "completed", "success"
    return "completed", "cancelled" if view.state == "cancelled" else "failure"
