"""Carry out what comments ask for, as the person's own client, with no more scopes than the role of that person.

Source: docs/reference/github.md#commands
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from liftlock.domain.forge.settings import ForgeRepository
from liftlock.domain.operations.definition import pull_ref
from liftlock.errors import LiftlockError, StaleSnapshotError, StorageError
from liftlock.ports.forge import Forge
from liftlock.ports.forge_store import ForgeStore, Watch, Work
from liftlock.services.authorize import Authorizer, Caller
from liftlock.services.operation_desk import OperationDesk, Request, Underway

_MAX_ANSWER: Final = 600


class ForgeCommands:
    """Carries out commands."""

    def __init__(
        self, store: ForgeStore, forge: Forge, desk: OperationDesk, authorizer: Authorizer, web_url: str
    ) -> None:
        self._store = store
        self._forge = forge
        self._desk = desk
        self._authorizer = authorizer
        self._web_url = web_url

    async def __call__(
        self, work: Work, repository: ForgeRepository, now: datetime
    ) -> tuple[list[Work], list[Watch]]:
        """Return what follows: an answer always, and what is to be watched from now on.

        Raises:
            ForgeUnavailableError, StorageError, StaleSnapshotError: it may be tried again.
        """
        body, number = work.body, int(work.body["number"])
        scopes = [f"assume:github-user:{int(body['sender'])}"]
        caller = await self._authorizer.internal(str(body["client"]), scopes, now)
        try:
            if body["name"] == "cancel":
                return [_answer(work, number, await self._cancel(caller, repository, number, now))], []
            if body["name"] == "retrigger":
                started = await self._again(caller, work, repository, number, now)
            else:
                started = await self._start(
                    caller,
                    work,
                    repository,
                    number,
                    repository.commands[body["name"]],
                    body["arguments"],
                    now,
                )
        except (StorageError, StaleSnapshotError):
            raise
        except LiftlockError as error:
            if error.code == "ForgeUnavailable":
                raise
            return [_answer(work, number, f"`{body['name']}` was not started: {_quoted(error.message)}")], []
        if isinstance(started, str):
            return [_answer(work, number, started)], []
        return self._told(work, repository, number, started)

    def _told(
        self, work: Work, repository: ForgeRepository, number: int, started: Underway
    ) -> tuple[list[Work], list[Watch]]:
        link = self.link(started.operation_id)
        text = f"started: [{started.operation} {started.operation_id}]({link}) at {started.revision[:12]}"
        watch = Watch(
            operation_id=started.operation_id,
            repository=repository.id,
            number=number,
            revision=started.revision,
        )
        return [_answer(work, number, text)], [watch]

    def link(self, operation_id: str, kind: str = "operation") -> str:
        """Return the address of the operation's page, or of a decision task's group."""
        return f"{self._web_url}/{'tasks/groups' if kind == 'decision' else 'operations'}/{operation_id}"

    async def _start(
        self,
        caller: Caller,
        work: Work,
        repository: ForgeRepository,
        number: int,
        operation: str,
        given: Any,
        now: datetime,
    ) -> Underway | str:
        pull = await self._forge.pull(repository, number)
        if not pull.is_open or pull.base_repository != repository.id:
            return "This pull request is not open."
        if pull.head_repository is None:
            return "The fork that this pull request came from is gone."
        wanted = Request(
            operation=operation,
            ref=pull.head_ref if pull.head_repository == repository.id else pull_ref(number),
            revision=pull.head_revision,
            given=given,
            key=f"github/{work.id}",
            origin={"forge": "github", "repository": repository.id, "number": number},
        )
        return await self._desk.request(caller, wanted, now)

    async def _again(
        self, caller: Caller, work: Work, repository: ForgeRepository, number: int, now: datetime
    ) -> Underway | str:
        """Ask again for the operation that is named, or for the last one that the pull request asked for."""
        named = work.body.get("operation")
        known = await self._operations_of(repository, number)
        views = [
            await self._desk.look(each.operation_id) for each in known if named in (None, each.operation_id)
        ]
        found = [each for each in views if each is not None]
        if not found:
            return "There is nothing here to repeat."
        last = max(found, key=lambda each: each.created)
        if not last.ended:
            return (
                f"[{last.operation}]({self.link(last.operation_id)}) has not ended yet: it is {last.state}."
            )
        return await self._start(caller, work, repository, number, last.operation, last.given, now)

    async def _operations_of(self, repository: ForgeRepository, number: int) -> list[Watch]:
        return [
            each for each in await self._store.watches_of(repository.id, number) if each.kind == "operation"
        ]

    async def _cancel(self, caller: Caller, repository: ForgeRepository, number: int, now: datetime) -> str:
        told = []
        for watch in await self._operations_of(repository, number):
            if not watch.ended:
                try:
                    await self._desk.cancel(caller, watch.operation_id, now)
                except (StorageError, StaleSnapshotError):
                    raise
                except LiftlockError as error:
                    told.append(f"{watch.operation_id}: {_quoted(error.message)}")
                else:
                    told.append(f"[{watch.operation_id}]({self.link(watch.operation_id)}) is cancelled")
        return "\n".join(f"- {line}" for line in told) or "Nothing runs here."


def _answer(work: Work, number: int, text: str) -> Work:
    body = {"number": number, "text": text}
    return Work(id=f"{work.id}/answer", repository=work.repository, kind="comment", body=body)


def _quoted(text: str) -> str:
    """Return `text` as it can stand in a comment: code, so that nothing in it calls people or makes links."""
    return "\n\n```text\n" + text.replace("```", "'''")[:_MAX_ANSWER] + "\n```"
