"""What Bugzilla's answers mean: bugs, attachments, flags and pages of the extension's feed, made neutral.

Source: docs/reference/gate-feed.md#trackers; tests/vectors/bugzilla-5.2.jsonl
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from liftlock.domain.pushes.bug_state import BugState, FlagStatus, Patch, PatchKind
from liftlock.domain.pushes.feed import MAX_SEQ
from liftlock.domain.pushes.tracker_event import ALL_BUGS, parse_event
from liftlock.domain.pushes.tracker_page import Page
from liftlock.errors import MalformedPayloadError
from liftlock.ports.tracker import Changed, TrackerUnavailableError

_REQUEST = re.compile(r"text/x-[a-z0-9.-]+-request\Z")
_STATUS_FIELD: Final = ("cf_status_", "cf_tracking_")
_STRENGTH: Final[Mapping[FlagStatus, int]] = {"-": 2, "?": 1, "+": 0}
_STATUS: Final[Mapping[str, FlagStatus]] = {"-": "-", "?": "?", "+": "+"}
_MAX_EVENTS: Final = 500


def bug_state(bug: Mapping[str, Any], attachments: Iterable[Mapping[str, Any]]) -> BugState:
    """Return the state of `GET /rest/bug/ID` with the attachments of `GET /rest/bug/ID/attachment`.

    Raises:
        TrackerUnavailableError: what must be there is not: such an answer says nothing about the bug.
    """
    try:
        return BugState(
            keywords=_texts(bug["keywords"]),
            groups=_texts(bug["groups"]),
            status=str(bug["status"]),
            resolution=str(bug["resolution"]),
            status_flags={
                name: str(value)
                for name, value in bug.items()
                if name.startswith(_STATUS_FIELD) and value is not None
            },
            patches=tuple(
                _patch(
                    each["id"],
                    obsolete=each["is_obsolete"],
                    patch=each["is_patch"],
                    content_type=each["content_type"],
                    flags=[(flag["name"], flag["status"]) for flag in each["flags"]],
                )
                for each in attachments
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise TrackerUnavailableError(f"the tracker's answer about a bug lacks {error}") from error


def feed_page(source: str, answer: Mapping[str, Any]) -> Page:
    """Return the page of `GET /rest/gatefeed`; raises TrackerUnavailableError."""
    try:
        epoch, states = str(answer["epoch"]), answer["state"]
        rows = answer["events"]
        if len(rows) > _MAX_EVENTS:
            raise TrackerUnavailableError(
                f"the tracker sent {len(rows)} events, expected at most {_MAX_EVENTS}"
            )
        events = tuple(
            parse_event(
                {
                    "v": 1,
                    "source": source,
                    "epoch": epoch,
                    "seq": row["seq"],
                    "bug": row["bug"],
                    "why": row["why"],
                    "state": _fed_state(states.get(str(row["bug"]))) if row["bug"] != ALL_BUGS else None,
                    "at": str(row.get("at", "")),
                }
            )
            for row in rows
        )
        head, floor = int(answer["head"]), int(answer["floor"])
        if not (0 <= head <= MAX_SEQ and 0 <= floor <= MAX_SEQ):
            raise TrackerUnavailableError(f"head {head}, floor {floor}: expected 0 to {MAX_SEQ}")
        return Page(epoch=epoch, head=head, floor=floor, events=events)
    except (KeyError, TypeError, AttributeError, ValueError, MalformedPayloadError) as error:
        raise TrackerUnavailableError(f"the tracker's page of events is not understood: {error!r}") from error


def snapshot_page(answer: Mapping[str, Any]) -> tuple[dict[int, BugState], int]:
    """Return bugs with their states and after which to go on, 0 at the end; raises TrackerUnavailableError."""
    try:
        states = {
            int(bug): msgspec.convert(_fed_state(state), BugState) for bug, state in answer["state"].items()
        }
        return states, int(answer["next"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise TrackerUnavailableError(f"the tracker's snapshot is not understood: {error!r}") from error


def changes(answer: Mapping[str, Any]) -> tuple[Changed, ...]:
    """Return the bugs of a search; raises TrackerUnavailableError."""
    try:
        return tuple(Changed(int(bug["id"]), str(bug["last_change_time"])) for bug in answer["bugs"])
    except (KeyError, TypeError, ValueError) as error:
        raise TrackerUnavailableError(f"the tracker's list of bugs is not understood: {error!r}") from error


def _fed_state(state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the neutral state; a bug that was deleted has an empty one, for nothing is known of it any more."""
    if state is None:
        return None
    if state.get("gone"):
        return {}
    return {
        "keywords": state["keywords"],
        "groups": state["groups"],
        "status": state["status"],
        "resolution": state["resolution"],
        "status_flags": state.get("status_flags", {}),
        "patches": [
            _patch(
                each["id"],
                obsolete=each["obsolete"],
                patch=each["patch"],
                content_type=each["ctype"],
                flags=[
                    (name, status)
                    for name, given in each["flags"].items()
                    for status in ([given] if isinstance(given, str) else given)
                ],
            )
            for each in state["patches"]
        ],
    }


def _patch(
    number: int, *, obsolete: Any, patch: Any, content_type: str, flags: Sequence[tuple[str, str]]
) -> Patch:
    """Return an attachment. Review tools' attachments are no patches to Bugzilla, and stand for one."""
    kind: PatchKind = "patch" if patch else "request" if _REQUEST.match(content_type) else "other"
    held: dict[str, FlagStatus] = {}
    for name, text in flags:
        status = _STATUS.get(text)
        if status is not None and (name not in held or _STRENGTH[status] > _STRENGTH[held[name]]):
            held[name] = status
    return Patch(id=int(number), live=not obsolete, kind=kind, flags=held)


def _texts(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted(str(each) for each in values))
