"""`move-ref`: a branch is moved forward to the approved revision, or a tag is made on it that never moves.

Source: docs/reference/operations.md#move-ref
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from liftlock.domain.approvals.request import FrozenRequest
from liftlock.domain.operations.definition import Operation
from liftlock.ports.confined_parser import Parsing
from liftlock.ports.target_repository import NewTag, Target
from liftlock.privileged.performing import (
    Performed,
    PerformRefusedError,
    Tools,
    Work,
    WrongSettingsError,
    expect_required,
    settings_as,
)
from liftlock.privileged.target_address import Address, Author, User

SECRET: Final = "token"  # noqa: S105 -- the name of a secret
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z", re.ASCII)
_Branch = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*$", max_length=200)
]


class _Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Either `branch`, which is moved; or `tagPrefix` and `tagField`, the field of the input that holds the rest of the tag's name."""

    address: Address
    branch: _Branch | None = None
    tag_prefix: Annotated[
        str,
        msgspec.Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*/)*([A-Za-z0-9][A-Za-z0-9._-]*)?$", max_length=60),
    ] = ""
    tag_field: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    author: Author = "liftlock <liftlock@localhost>"
    user: User = "liftlock"


class MoveRef:
    """Implements `performing.PrivilegedOperation`."""

    kind = "move-ref"
    parsings: Mapping[str, Parsing] = {}

    def check(self, operation: Operation) -> None:
        """Return if exactly one of a branch and a tag is configured, and a tag's name is required; see the protocol."""
        told = settings_as(operation, _Settings)
        if (told.branch is None) == (told.tag_field is None):
            raise WrongSettingsError(
                f"operations.{operation.name}.stage2.settings: expected either branch or tagField"
            )
        if told.tag_field is not None:
            expect_required(operation, told.tag_field, "the tag's name")

    async def perform(self, work: Work, tools: Tools) -> Performed:
        """Move the branch or make the tag, by compare and swap; see the protocol."""
        told = settings_as(work.operation, _Settings)
        token = work.secret(SECRET) if SECRET in work.operation.stage2.secrets else None
        target = Target(told.address, told.user, token)
        if told.branch is not None:
            return await _move_branch(work, tools, target, told.branch)
        return await _make_tag(work, tools, target, told)


async def _move_branch(work: Work, tools: Tools, target: Target, branch: str) -> Performed:
    """Move forward only: what the branch has now has to be in the history of what was approved."""
    revision, reference = work.request.revision, f"refs/heads/{branch}"
    there = await tools.repository.head(target, reference)
    facts = {"reference": reference, "before": there, "after": revision}
    if there == revision:
        return Performed(f"{branch} is at {revision} already", facts)
    if there is not None and not await tools.repository.is_ancestor(target, there, revision):
        raise PerformRefusedError(
            f"{branch} is at {there}, which is not in the history of {revision}: it is moved forward only",
            rule="not-forward",
        )
    await tools.repository.move(target, reference, old=there, new=revision)
    return Performed(f"moved {branch} from {there or 'nothing'} to {revision}", facts)


async def _make_tag(work: Work, tools: Tools, target: Target, told: _Settings) -> Performed:
    """Make an annotated tag; one that is there already counts only if this very request made it."""
    request = work.request
    name = _tag_name(told, request)
    reference = f"refs/tags/{name}"
    tag = NewTag(
        name=name,
        revision=request.revision,
        message=_message(request),
        author=told.author,
        when=request.requested,
    )
    made = await tools.repository.tag(target, tag)
    facts = {"reference": reference, "tag": made, "revision": request.revision}
    there = await tools.repository.head(target, reference)
    if there == made:
        return Performed(f"the tag {name} is there already, made by this request", facts)
    if there is not None:
        raise PerformRefusedError(
            f"the tag {name} exists already, as {there}: tags are never moved", rule="tag-exists"
        )
    await tools.repository.move(target, reference, old=None, new=made)
    return Performed(f"tagged {request.revision} as {name}", facts)


def _tag_name(told: _Settings, request: FrozenRequest) -> str:
    given = request.input.get(told.tag_field) if isinstance(request.input, dict) else None
    if (
        not isinstance(given, str)
        or _NAME.match(given) is None
        or ".." in given
        or given.endswith((".", ".lock"))
    ):
        raise PerformRefusedError(f"{str(given)[:100]!r} is no name for a tag", rule="tag-name")
    return f"{told.tag_prefix}{given}"


def _message(request: FrozenRequest) -> str:
    return (
        f"{request.operation} {request.operation_id}\n\n"
        f"Liftlock-Request: sha256:{request.digest}\n"
        f"Liftlock-Requester: {request.requester}\n"
    )
