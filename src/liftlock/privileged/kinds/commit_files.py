"""`commit-files`: files of stage 1 become one commit on a branch, or on the very branch that was asked for, by compare and swap.

Source: docs/reference/operations.md#commit-files
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.contract import matches
from liftlock.domain.operations.definition import Operation, pull_of
from liftlock.domain.operations.parsings import ProgramQuestion, question
from liftlock.domain.operations.source_changes import Change, check_modes, check_paths
from liftlock.ports.confined_parser import Parsing
from liftlock.ports.target_repository import NewCommit, Target
from liftlock.privileged.performing import (
    Performed,
    PerformRefusedError,
    Tools,
    Work,
    WrongSettingsError,
    settings_as,
)
from liftlock.privileged.target_address import Address, Author, User

PATCH: Final = "public/changes.patch"
MAX_PATCH_BYTES: Final = 8 << 20
SECRET: Final = "token"  # noqa: S105 -- the name of a secret
PROTECTED: Final = (
    "main",
    "master",
    "trunk",
    "develop",
    "default",
    "release*",
    "esr*",
    "beta*",
    "stable*",
    "v[0-9]*",
)
"""Branches that are never a target, whatever the configuration says; it may only name more."""
_Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`address`: where it is pushed. `root`: the folder of stage 1's artifacts that holds the files.

    `target`: `branch` for a new one named `<prefix><operation>-<id>`; `same` for the branch that was asked for.
    `onlyExisting`: no file is added; `sameProgram`: Python has to mean the same as before.
    """

    address: Address
    paths: Annotated[list[_Pattern], msgspec.Meta(min_length=1, max_length=100)]
    message: _Line
    root: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,40}$")] = "tree"
    target: Literal["branch", "same"] = "branch"
    prefix: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,60}/$")] = "liftlock/"
    protected: list[_Pattern] = []
    only_existing: bool = False
    same_program: bool = False
    author: Author = "liftlock <liftlock@localhost>"
    user: User = "liftlock"


class CommitFiles:
    """Implements `performing.PrivilegedOperation`."""

    kind = "commit-files"
    parsings: Mapping[str, Parsing] = {}

    def check(self, operation: Operation) -> None:
        """Return if the settings are complete and no pattern of the contract leads out of `root`; see the protocol."""
        told = settings_as(operation, _Settings)
        for item in operation.contract.files:
            if not item.names.startswith(f"{told.root}/"):
                raise WrongSettingsError(
                    f"operations.{operation.name}.contract.files: expected names below {told.root}/, got {item.names!r}"
                )

    async def perform(self, work: Work, tools: Tools) -> Performed:
        """Check, commit and move the reference; see the protocol."""
        told, request = settings_as(work.operation, _Settings), work.request
        branch = _branch(told, request)
        files = {path.removeprefix(f"{told.root}/"): content for path, content in work.files.items()}
        check_paths(sorted(files), told.paths)
        token = work.secret(SECRET) if SECRET in work.operation.stage2.secrets else None
        target = Target(told.address, told.user, token)
        modes = await tools.repository.modes(target, request.revision)
        check_modes(sorted(files), modes, only_existing=told.only_existing)
        before = await tools.repository.contents(target, request.revision, sorted(set(files) & set(modes)))
        changed = {path: content for path, content in files.items() if before.get(path) != content}
        if told.same_program:
            changes = [Change(path, before.get(path), content) for path, content in sorted(changed.items())]
            await tools.parser.parse("program", question(ProgramQuestion(changes)))
            work.note(f"{len(changes)} files mean the same as before")
        if not changed:
            return Performed("nothing to commit: every file is as it was", {"changed": []})
        made = NewCommit(
            base=request.revision,
            files=changed,
            message=_message(told, request),
            author=told.author,
            when=request.requested,
        )
        if branch is None:
            return await _patch(tools, target, made)
        return await self._push(work, tools, told, target, branch, made)

    async def _push(
        self,
        work: Work,
        tools: Tools,
        told: _Settings,
        target: Target,
        branch: str,
        made: NewCommit,
    ) -> Performed:
        request, reference = work.request, f"refs/heads/{branch}"
        commit = await tools.repository.commit(target, made)
        old = request.revision if told.target == "same" else None
        there = await tools.repository.head(target, reference)
        if (
            there != commit
        ):  # equal: an earlier run of this very request pushed it and died before it could say so
            if there != old:
                raise PerformRefusedError(
                    f"{branch} is at {there or 'nothing'}, expected {old or 'nothing'}: it moved, and nothing was changed",
                    rule="moved",
                )
            await tools.repository.move(target, reference, old=old, new=commit)
        return Performed(
            f"committed {len(made.files)} files as {commit} on {branch}",
            {"commit": commit, "branch": branch, "base": request.revision, "changed": sorted(made.files)},
        )


async def _patch(tools: Tools, target: Target, made: NewCommit) -> Performed:
    """Return the commit as a patch, pushed nowhere: for the head of a pull request whose branch is somebody else's."""
    patch = await tools.repository.patch(target, made)
    if len(patch) > MAX_PATCH_BYTES:
        raise PerformRefusedError(f"the patch has {len(patch)} bytes, at most {MAX_PATCH_BYTES}", rule="size")
    return Performed(
        f"made a patch of {len(made.files)} files; the branch is in a fork, so it is pushed nowhere",
        {"patch": PATCH, "base": made.base, "changed": sorted(made.files)},
        {PATCH: patch},
    )


def _branch(told: _Settings, request: FrozenRequest) -> str | None:
    """Return the branch that is the target; None: there is none, a patch is made; PerformRefusedError if it is protected."""
    if pull_of(request.ref) is not None:
        return None
    branch = (
        request.ref
        if told.target == "same"
        else f"{told.prefix}{request.operation}-{request.operation_id[:10]}"
    )
    forbidden = next((each for each in (*PROTECTED, *told.protected) if matches(each, branch)), None)
    if forbidden is not None:
        raise PerformRefusedError(f"{branch}: {forbidden} is protected and never a target", rule="protected")
    return branch


def _message(told: _Settings, request: FrozenRequest) -> str:
    return (
        f"{told.message}\n\n"
        f"Liftlock-Operation: {request.operation} {request.operation_id}\n"
        f"Liftlock-Request: sha256:{request.digest}\n"
        f"Liftlock-Requester: {request.requester}\n"
    )
