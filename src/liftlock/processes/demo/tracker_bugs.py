"""The bugs of a small bug tracker that behaves like Bugzilla 5.2 with the shipped extension: changes, and what they tell.

It is compared with a recording of a real one, answer by answer. For the demo and for tests: nothing is durable here.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

USERS: Final = ("ADMIN", "DEV", "SEC", "BOT")
"""Who has an account, in the order of their ids. SEC sees and grants; BOT reads the feed; DEV is an ordinary developer."""
FLAGS: Final = ("sec-approval", "approval-mozilla-beta", "approval-mozilla-release", "review", "needinfo")
GUARDED: Final = frozenset(FLAGS[:3])
"""Flags that SEC and ADMIN alone may grant."""
SENSITIVE: Final = frozenset({"sec-high", "sec-critical"})
_COLUMNS: Final = {"groups": "bug_group", "status": "bug_status"}
Fields = dict[str, Any]


class RefusedError(Exception):
    """What is asked for is answered with an error: HTTP status, Bugzilla's code, text."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def email(user: str) -> str:
    """Return a user's login."""
    return f"{user.lower()}@example.test"


class Bugs:
    """Each change makes the feed's rows in the same step. The clock stands still between `tick`s."""

    def __init__(self, *, epoch: str = "179521961395a2ec", now: int = 1_795_226_231) -> None:
        self.lock = threading.RLock()
        self.bugs: dict[int, Fields] = {}
        self.attachments: dict[int, Fields] = {}
        self.history: dict[int, list[Fields]] = {}
        self.rows: list[Fields] = []
        self.epoch = epoch
        self.head = 0
        self.next_bug, self.next_attachment, self.next_flag = 1, 1, 1
        self.clock = now

    def now(self) -> str:
        """Return the time as Bugzilla writes it."""
        return datetime.fromtimestamp(self.clock, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def tick(self) -> None:
        """Let a second pass."""
        self.clock += 1

    def ring(self, bug: int, why: str) -> None:
        """Add a row to the feed; bug 0 stands for every bug."""
        self.head += 1
        self.rows.append({"at": self.now(), "bug": bug, "seq": self.head, "why": why})
        if bug in self.bugs:
            self.bugs[bug]["last_change_time"] = self.now()

    # --- bugs --------------------------------------------------------------------------------------------------------

    def file(
        self, *, summary: str = "x", by: str = "DEV", keywords: Iterable[str] = (), groups: Iterable[str] = ()
    ) -> int:
        """Return the number of a new bug."""
        with self.lock:
            number, self.next_bug = self.next_bug, self.next_bug + 1
            self.bugs[number] = {
                "id": number,
                "summary": summary,
                "creator": by,
                "creation_time": self.now(),
                "last_change_time": self.now(),
                "keywords": sorted(keywords),
                "groups": sorted(groups),
                "status": "CONFIRMED",
                "resolution": "",
                "is_open": True,
                "status_flags": {},
            }
            self.ring(number, "create")
            return number

    def change(self, bug: int, *, by: str = "SEC", **wanted: Any) -> Fields:
        """Set fields (keywords and groups: the whole list; `cf_…`: tracking fields); return what changed."""
        with self.lock:
            held = self._bug(bug)
            flags = {name: wanted.pop(name) for name in list(wanted) if name.startswith("cf_")}
            changes: Fields = {}
            for name, value in sorted(wanted.items()):
                if held[name] != value:
                    changes[name] = {
                        "added": _gained(held[name], value),
                        "removed": _gained(value, held[name]),
                    }
            for name, value in flags.items():
                if value == "+" and name.startswith("cf_tracking_"):
                    self._veto(bug, name)
                changes[name] = {"added": value, "removed": held["status_flags"].get(name, "---")}
            held |= wanted
            held["status_flags"] |= flags
            held["is_open"] = not held["resolution"]
            for name, change in sorted(changes.items(), key=lambda pair: pair[0] != "keywords"):
                self._write_down(bug, by, name, None, change)
            if changes:
                self.ring(bug, "bug:" + " ".join(sorted(_COLUMNS.get(name, name) for name in changes)))
            return changes

    def delete(self, bug: int) -> None:
        """Remove a bug for good."""
        with self.lock:
            self.ring(bug, "delete")
            del self.bugs[bug]

    # --- attachments -------------------------------------------------------------------------------------------------

    def attach(
        self,
        bug: int,
        *,
        content_type: str = "text/plain",
        is_patch: bool = True,
        flags: Iterable[tuple[str, str]] = (),
        by: str = "SEC",
        **told: str,
    ) -> int:
        """Return the number of a new attachment; `told`: data (base64), file_name, summary."""
        with self.lock:
            self._bug(bug)
            number, self.next_attachment = self.next_attachment, self.next_attachment + 1
            self.attachments[number] = {
                "id": number,
                "bug_id": bug,
                "content_type": content_type,
                "creator": by,
                "creation_time": self.now(),
                "last_change_time": self.now(),
                "file_name": told.get("file_name", "file"),
                "summary": told.get("summary", "x"),
                "size": len(base64.b64decode(told.get("data", ""))),
                "flags": [],
                "is_obsolete": 0,
                "is_patch": int(is_patch),
                "is_private": 0,
            }
            self.ring(bug, "attach")
            for name, status in flags:
                self.flag(number, name, status, by=by)
            return number

    def obsolete(self, attachment: int, *, by: str = "SEC") -> Fields:
        """Mark it obsolete; return what changed."""
        with self.lock:
            held = self._attachment(attachment)
            if held["is_obsolete"]:
                return {}
            held |= {"is_obsolete": 1, "last_change_time": self.now()}
            change = {"added": "1", "removed": "0"}
            self._write_down(held["bug_id"], by, "attachments.isobsolete", attachment, change)
            self.ring(held["bug_id"], "attach")
            return {"is_obsolete": change}

    def flag(self, attachment: int, name: str, status: str, *, by: str = "SEC") -> Fields:
        """Give an attachment a flag, or change the one of that name; return what changed."""
        with self.lock:
            held = self._attachment(attachment)
            if status in "+-" and name in GUARDED and by not in {"SEC", "ADMIN"}:
                text = f"You tried to grant {name}. Only a user with the required permissions may make this change."
                raise RefusedError(400, 130, text)
            if status == "+" and name.startswith("approval-"):
                self._veto(held["bug_id"], name)
            flag = next((each for each in held["flags"] if each["name"] == name), None)
            change = {"added": f"{name}{status}", "removed": f"{name}{flag['status']}" if flag else ""}
            if flag is None:
                flag = {
                    "id": self.next_flag,
                    "name": name,
                    "type_id": FLAGS.index(name) + 1,
                    "creation_date": self.now(),
                }
                self.next_flag += 1
                held["flags"].append(flag)
            flag |= {"status": status, "setter": email(by), "modification_date": self.now()}
            held["last_change_time"] = self.now()
            self._write_down(held["bug_id"], by, "flagtypes.name", attachment, change)
            self.ring(held["bug_id"], "flag")
            return {"flagtypes.name": change}

    def _veto(self, bug: int, flag: str) -> None:
        """Refuse an uplift of a sensitive bug that nobody has approved, as the extension does."""
        approved = any(
            flag["name"] == FLAGS[0] and flag["status"] == "+"
            for each in self.attachments.values()
            if each["bug_id"] == bug and not each["is_obsolete"]
            for flag in each["flags"]
        )
        if SENSITIVE & set(self.bugs[bug]["keywords"]) and not approved:
            raise RefusedError(
                400,
                32000,
                f"Bug {bug} is security-sensitive, and no patch of it that is not obsolete has {FLAGS[0]}+. "
                f"So {flag} cannot be granted yet. Ask for {FLAGS[0]} on the patch first.",
            )

    # -----------------------------------------------------------------------------------------------------------------

    def _bug(self, bug: int) -> Fields:
        if bug not in self.bugs:
            raise RefusedError(404, 101, f"Bug #{bug} does not exist.")
        return self.bugs[bug]

    def _attachment(self, attachment: int) -> Fields:
        if attachment not in self.attachments:
            raise RefusedError(404, 100, f"The attachment id {attachment} is invalid.")
        return self.attachments[attachment]

    def _write_down(self, bug: int, by: str, field: str, attachment: int | None, change: Fields) -> None:
        """Add to the bug's history; what one user does in one second is one entry, and of one field one change."""
        entries = self.history.setdefault(bug, [])
        if not entries or (entries[-1]["who"], entries[-1]["when"]) != (email(by), self.now()):
            entries.append({"who": email(by), "when": self.now(), "changes": []})
        where: Fields = {} if attachment is None else {"attachment_id": attachment}
        for held in entries[-1]["changes"]:
            if held["field_name"] == field and held.get("attachment_id") == attachment:
                held |= {
                    key: " ".join(filter(None, (held[key], change[key]))) for key in ("added", "removed")
                }
                return
        entries[-1]["changes"].append({"field_name": field, **where, **change})


def _gained(before: Any, after: Any) -> str:
    """Return what `after` has and `before` has not."""
    if isinstance(after, list):
        return ", ".join(sorted(set(after) - set(before)))
    return str(after)
