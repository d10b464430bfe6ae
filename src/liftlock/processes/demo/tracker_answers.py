"""What the small bug tracker answers over REST: the forms are those of Bugzilla 5.2 and of the shipped extension.

`down`, `floor`, `bot_has_access`, `withheld`, `disorder` and `hidden_changes` make it misbehave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from liftlock.processes.demo.tracker_bugs import FLAGS, USERS, Bugs, Fields, RefusedError, email

DOCUMENTATION: Final = "https://bugzilla.readthedocs.org/en/5.0/api/"
PAGE: Final = 500
Answer = tuple[int, Fields]
_BORING: Final[Fields] = {
    "actual_time": 0,
    "alias": [],
    "blocks": [],
    "cc": [],
    "cc_detail": [],
    "classification": "Unclassified",
    "component": "TestComponent",
    "deadline": None,
    "depends_on": [],
    "dupe_of": None,
    "estimated_time": 0,
    "flags": [],
    "is_cc_accessible": True,
    "is_confirmed": True,
    "is_creator_accessible": True,
    "op_sys": "All",
    "platform": "All",
    "priority": "Normal",
    "product": "TestProduct",
    "qa_contact": "",
    "remaining_time": 0,
    "see_also": [],
    "severity": "normal",
    "target_milestone": "---",
    "update_token": "0",
    "url": "",
    "version": "unspecified",
    "whiteboard": "",
}


def refusal(status: int, code: int, message: str) -> Answer:
    """Return an error as Bugzilla writes it."""
    return status, {"code": code, "documentation": DOCUMENTATION, "error": True, "message": message}


class TrackerModel(Bugs):
    """The bugs with their answers. `asked`: the paths that were asked for, in order."""

    def __init__(self, *, now: int = 1_795_226_231) -> None:
        super().__init__(now=now)
        self.asked: list[str] = []
        self.bot_has_access = True
        self.down = False
        self.floor = 1
        self.withheld: set[int] = set()
        """Numbers of events that are announced and not given."""
        self.disorder = False
        """Whether events come in the wrong order, and twice."""
        self.hidden_changes: set[int] = set()
        """Bugs whose change is not among the changed ones: their transaction committed late."""

    def answer(
        self, user: str | None, method: str, path: str, query: Mapping[str, str], body: Fields
    ) -> Answer:
        """Return HTTP status and answer of a request by a user, None: nobody in particular."""
        with self.lock:
            self.asked.append(path)
            parts = path.strip("/").split("/")[1:]
            try:
                found = (
                    self._reading(user, parts, query)
                    if method == "GET"
                    else self._writing(user, method, parts, body)
                )
            except RefusedError as error:
                return refusal(error.status, error.code, str(error))
            except (KeyError, TypeError, ValueError) as error:
                return refusal(400, 50, f"The request is not understood: {error!r}")
            return found or refusal(404, 32000, "API path not found")

    def _reading(self, user: str | None, parts: list[str], query: Mapping[str, str]) -> Answer | None:
        found: Fields | None = None
        match parts:
            case ["version"]:
                found = {"version": "5.2+"}
            case ["flag_type", _]:
                types = [_flag_type(name) for name in sorted(FLAGS)]
                found = {
                    kind: [each for each in types if each["type"] == kind] for kind in ("attachment", "bug")
                }
            case ["gatefeed"]:
                found = self._feed(user, int(query.get("since", "0")))
            case ["gatefeed", "snapshot"]:
                found = self._snapshot(user, query)
            case ["bug"]:
                found = self._search(user, query)
            case ["bug", number]:
                found = {"bugs": [_only(self._shown(self._seen(user, int(number))), query)], "faults": []}
            case ["bug", number, "attachment"]:
                found = self._attached(user, int(number), query)
            case ["bug", number, "history"]:
                bug = self._seen(user, int(number))["id"]
                found = {"bugs": [{"alias": [], "history": self.history.get(bug, []), "id": bug}]}
        return None if found is None else (200, found)

    def _writing(self, user: str | None, method: str, parts: list[str], body: Fields) -> Answer | None:
        if user is None:
            raise RefusedError(401, 410, "You must log in before using this part of Bugzilla.")
        match method, parts:
            case "POST", ["bug"]:
                return 200, {"id": self.file(summary=body["summary"], by=user)}
            case "PUT", ["bug", "attachment", number]:
                return self._change_attachment(user, int(number), body)
            case "PUT", ["bug", number]:
                bug = self._seen(user, int(number))["id"]
                return 200, {
                    "bugs": [self._changes(bug, self.change(bug, by=user, **_wanted(self.bugs[bug], body)))]
                }
            case "POST", ["bug", number, "attachment"]:
                bug = self._seen(user, int(number))["id"]
                made = self.attach(
                    bug,
                    content_type=body["content_type"],
                    is_patch=bool(body.get("is_patch")),
                    flags=[(each["name"], each["status"]) for each in body.get("flags", ())],
                    by=user,
                    **{name: body[name] for name in ("data", "file_name", "summary")},
                )
                return 201, {"ids": [made]}
        return None

    # --- bugs --------------------------------------------------------------------------------------------------------

    def _changes(self, bug: int, changes: Fields) -> Fields:
        return {
            "alias": [],
            "changes": changes,
            "id": bug,
            "last_change_time": self.bugs[bug]["last_change_time"],
        }

    def _change_attachment(self, user: str, number: int, body: Fields) -> Answer:
        changes: Fields = {}
        for flag in body.get("flags", ()):
            held = self._attachment(number)["flags"]
            name = flag.get("name") or next((each["name"] for each in held if each["id"] == flag["id"]), None)
            if name is None:
                raise RefusedError(404, 51, f"There is no flag {flag['id']} on attachment {number}.")
            changes |= self.flag(number, name, flag["status"], by=user)
        if body.get("is_obsolete"):
            changes |= self.obsolete(number, by=user)
        when = self.attachments[number]["last_change_time"]
        return 200, {"attachments": [{"changes": changes, "id": number, "last_change_time": when}]}

    def _sees(self, user: str | None, bug: Fields) -> bool:
        return not bug["groups"] or user in {"ADMIN", "SEC"} or (user == "BOT" and self.bot_has_access)

    def _seen(self, user: str | None, number: int) -> Fields:
        """Return a bug; raises RefusedError if it is not there or hidden."""
        bug = self._bug(number)
        if self._sees(user, bug):
            return bug
        login = (
            ""
            if user
            else " To see this bug, you must first log in to an account with the appropriate permissions."
        )
        raise RefusedError(401, 102, f"You are not authorized to access bug #{number}.{login}")

    def _shown(self, bug: Fields) -> Fields:
        own = {name: value for name, value in bug.items() if name != "status_flags"}
        return {
            **_BORING,
            **own,
            **bug["status_flags"],
            "assigned_to": email("ADMIN"),
            "assigned_to_detail": _person("ADMIN"),
            "creator": email(bug["creator"]),
            "creator_detail": _person(bug["creator"]),
        }

    def _search(self, user: str | None, query: Mapping[str, str]) -> Fields:
        def having(name: str, test: Callable[[Fields, str], bool]) -> list[Fields]:
            return [bug for bug in found if test(bug, query[name])] if name in query else found

        found = [bug for _, bug in sorted(self.bugs.items()) if self._sees(user, bug)]
        found = having("id", lambda bug, text: str(bug["id"]) in text.split(","))
        found = having("keywords", lambda bug, text: bool(set(text.split(",")) & set(bug["keywords"])))
        found = having(
            "last_change_time",
            lambda bug, text: bug["last_change_time"] >= text and bug["id"] not in self.hidden_changes,
        )
        if query.get("order") == "bug_id DESC":
            found.reverse()
        start = int(query.get("offset", "0"))
        found = found[start : start + int(query.get("limit", "10000"))]
        return {"bugs": [_only(self._shown(bug), query) for bug in found]}

    def _attached(self, user: str | None, number: int, query: Mapping[str, str]) -> Fields:
        bug = self._seen(user, number)
        mine = [
            _only({**each, "creator": email(each["creator"])}, query)
            for each in self.attachments.values()
            if each["bug_id"] == bug["id"]
        ]
        return {"attachments": {}, "bugs": {str(number): mine}}

    # --- the extension -----------------------------------------------------------------------------------------------

    def _authorize(self, user: str | None) -> None:
        if user not in {"ADMIN", "BOT"} or (user == "BOT" and not self.bot_has_access):
            raise RefusedError(
                401,
                304,
                "Sorry, you aren't a member of the 'gate-feed' group, and so you are not authorized to access "
                "administrative pages.",
            )

    def _standing(self) -> Fields:
        return {"epoch": self.epoch, "floor": self.floor if self.rows else 0, "head": self.head}

    def _feed(self, user: str | None, since: int) -> Fields:
        self._authorize(user)
        rows = [row for row in self.rows if row["seq"] > since and row["seq"] >= self.floor][:PAGE]
        rows = [row for row in rows if row["seq"] not in self.withheld]
        if self.disorder:
            rows = [*reversed(rows), *rows[:2]]
        bugs = {row["bug"] for row in rows if row["bug"]}
        states = {str(bug): self.state(bug) if bug in self.bugs else {"gone": True} for bug in bugs}
        return {**self._standing(), "events": rows, "state": states}

    def _snapshot(self, user: str | None, query: Mapping[str, str]) -> Fields:
        self._authorize(user)
        wanted = set(query.get("keywords", "sec-high,sec-critical").split(","))
        found = [
            number
            for number, bug in sorted(self.bugs.items())
            if number > int(query.get("after", "0")) and wanted & set(bug["keywords"])
        ][:PAGE]
        following = found[-1] if len(found) == PAGE else 0
        return {
            **self._standing(),
            "next": following,
            "state": {str(bug): self.state(bug) for bug in found},
        }

    def state(self, number: int) -> Fields:
        """Return a bug as the extension tells it."""
        bug = self.bugs[number]
        return {
            **{name: bug[name] for name in ("groups", "keywords", "resolution", "status", "status_flags")},
            "patches": [
                {
                    "ctype": each["content_type"],
                    "flags": {flag["name"]: flag["status"] for flag in each["flags"]},
                    "id": each["id"],
                    "obsolete": bool(each["is_obsolete"]),
                    "patch": bool(each["is_patch"]),
                }
                for each in self.attachments.values()
                if each["bug_id"] == number
            ],
        }


def _flag_type(name: str) -> Fields:
    return {
        "description": name,
        "id": FLAGS.index(name) + 1,
        "is_active": True,
        "is_multiplicable": False,
        "is_requesteeble": True,
        "name": name,
        "type": "bug" if name == FLAGS[4] else "attachment",
        "values": ["X", "?", "+", "-"],
    }


def _person(user: str) -> Fields:
    login = email(user)
    return {"email": login, "id": USERS.index(user) + 1, "name": login, "real_name": user.capitalize()}


def _wanted(bug: Fields, body: Fields) -> Fields:
    """Return the fields as they will be: lists come as what is added and removed."""
    wanted: Fields = {}
    for name, value in body.items():
        if isinstance(value, dict):
            held: set[Any] = set(bug[name]) - set(value.get("remove", ())) | set(value.get("add", ()))
            wanted[name] = sorted(held)
        else:
            wanted[name] = value
    return wanted


def _only(fields: Fields, query: Mapping[str, str]) -> Fields:
    """Return the wanted fields."""
    wanted = query.get("include_fields")
    return {name: value for name, value in fields.items() if not wanted or name in wanted.split(",")}
