"""The walk of the recording, line by line, against another tracker: the stand-in, or a live Bugzilla.

    make bugzilla-test BUGZILLA=https://bugzilla.example.org

The live one needs the product TestProduct with the component TestComponent, the flag types and keywords of the recording,
the group core-security, and four accounts with API keys in BUGZILLA_KEY_ADMIN, _DEV, _SEC and _BOT: SEC may grant
sec-approval and see core-security, BOT is in gate-feed and sees core-security, DEV is in neither. A bug is filed there.

Numbers, times and logins differ from tracker to tracker and are not compared; all else that was recorded is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

RECORDING = Path(__file__).parent / "vectors/bugzilla-5.2.jsonl"
BUG = 32
"""The recording's own bug."""
VOLATILE = frozenset(
    [
        "id",
        "ids",
        "bug_id",
        "type_id",
        "attachment_id",
        "last_change_time",
        "creation_time",
        "creation_date",
        "modification_date",
        "when",
        "update_token",
        "epoch",
        "head",
        "floor",
        "seq",
        "at",
    ]
)
ACCOUNTS = frozenset(["creator", "creator_detail", "assigned_to", "assigned_to_detail", "setter", "who"])


def recording() -> list[dict[str, Any]]:
    """Return its lines, in order."""
    return [json.loads(line) for line in RECORDING.read_text().splitlines()]


@dataclass
class Walk:
    """`numbers`: what the recording's numbers are here, by kind; `differences`: by the line's note."""

    address: str
    keys: Mapping[str, str]
    numbers: dict[tuple[str, int], int] = field(default_factory=dict)
    differences: dict[str, list[str]] = field(default_factory=dict)
    began: int = 0
    has_feed: bool = True
    same_accounts: bool = True

    def run(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each line's note with what differs, nothing if it is as recorded."""
        with httpx2.Client(base_url=self.address, timeout=30, trust_env=False) as http:
            status, answer = self._ask(http, "GET", "/rest/gatefeed", "BOT", {"since": "2147483647"}, None)
            self.has_feed, self.began = status == 200, answer.get("head", 0)
            for line in recording():
                try:
                    yield line["note"], list(self._compare(http, line))
                except (httpx2.HTTPError, ValueError) as error:
                    yield line["note"], [f"no answer: {error!r}"]

    def _ask(
        self,
        http: httpx2.Client,
        method: str,
        path: str,
        who: str | None,
        query: Mapping[str, str],
        body: Any,
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Accept": "application/json"} | ({"X-BUGZILLA-API-KEY": self.keys[who]} if who else {})
        answer = http.request(method, path, params=dict(query), json=body, headers=headers)
        return answer.status_code, answer.json()

    # --- requests ----------------------------------------------------------------------------------------------------

    def _number(self, kind: str, recorded: int) -> int:
        return self.numbers.get((kind, recorded), recorded)

    def _path(self, path: str) -> str:
        parts = path.split("/")
        for at, part in enumerate(parts):
            if part.isdigit():
                parts[at] = str(
                    self._number("attachment" if parts[at - 1] == "attachment" else "bug", int(part))
                )
        return "/".join(parts)

    def _query(self, line: dict[str, Any]) -> dict[str, str]:
        query = {name: str(value) for name, value in line["query"].items()}
        if "id" in query:
            query["id"] = str(self._number("bug", int(query["id"])))
        if "since" in query:
            query["since"] = str(self.began if line["note"].endswith("start") else 2_147_483_647)
        if "last_change_time" in query and self.changed:
            query["last_change_time"] = self.changed
        return query

    changed: str = ""
    """A minute before the bug's last change here."""

    def _body(self, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        made = dict(body)
        if "ids" in made:
            made["ids"] = [self._number("bug", each) for each in made["ids"]]
        if "flags" in made:
            made["flags"] = [
                {**flag, **({"id": self._number("flag", flag["id"])} if "id" in flag else {})}
                for flag in made["flags"]
            ]
        return made

    # --- answers -----------------------------------------------------------------------------------------------------

    def _compare(self, http: httpx2.Client, line: dict[str, Any]) -> Iterator[str]:
        if "gatefeed" in line["path"] and not self.has_feed:
            yield "not tried: the extension is not installed there"
            return
        status, answer = self._ask(
            http,
            line["method"],
            self._path(line["path"]),
            line["as"],
            self._query(line),
            self._body(line["body"]),
        )
        if status != line["status"]:
            yield f"status: recorded {line['status']}, found {status}: {json.dumps(answer)[:300]}"
            return
        self._learn(line["answer"], answer)
        recorded, found = (
            self._comparable(each, number)
            for each, number in ((line["answer"], BUG), (answer, self._number("bug", BUG)))
        )
        yield from self._unlike("", recorded, found)

    def _learn(self, recorded: dict[str, Any], found: dict[str, Any]) -> None:
        """Note what the recording's numbers are here."""
        if set(recorded) == {"id"}:
            self.numbers["bug", recorded["id"]] = found["id"]
        if set(recorded) == {"ids"}:
            self.numbers["attachment", recorded["ids"][0]] = found["ids"][0]
        for bug, listed in recorded.get("bugs", {}).items() if isinstance(recorded.get("bugs"), dict) else ():
            here = found["bugs"].get(str(self._number("bug", int(bug))), [])
            for one, other in zip(listed, here, strict=False):
                for flag, flag_here in zip(one["flags"], other["flags"], strict=False):
                    self.numbers["flag", flag["id"]] = flag_here["id"]
        for bug in found["bugs"] if isinstance(found.get("bugs"), list) else ():
            if bug.get("id") == self._number("bug", BUG) and "last_change_time" in bug:
                when = datetime.fromisoformat(bug["last_change_time"]) - timedelta(minutes=1)
                self.changed = when.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _comparable(self, answer: dict[str, Any], bug: int) -> Any:
        """Return an answer with what it says of the walk's bug alone, under one name for it."""
        answer = json.loads(json.dumps(answer).replace(f"#{bug}.", "#N."))
        listed = answer.get("bugs")
        if isinstance(listed, dict):
            answer["bugs"] = {"N": listed[str(bug)]}
        elif isinstance(listed, list):
            answer["bugs"] = [_merged(each) for each in listed if each.get("id", bug) == bug]
        if "events" in answer:
            answer["events"] = [row for row in answer["events"] if row["bug"] == bug]
            for row in answer["events"]:
                row["bug"] = "N"
            answer["state"] = {"N": answer["state"][str(bug)]} if str(bug) in answer["state"] else {}
        return answer

    def _unlike(self, where: str, recorded: Any, found: Any) -> Iterator[str]:
        """Yield where something recorded is not found; what is found beyond it may be newer."""
        if isinstance(recorded, dict) and isinstance(found, dict):
            for name, value in recorded.items():
                if name not in found:
                    yield f"{where}.{name}: recorded, and not found"
                elif name in ACCOUNTS and not self.same_accounts:
                    continue
                elif name in VOLATILE:
                    if type(value) is not type(found[name]):
                        yield f"{where}.{name}: recorded {value!r}, found {found[name]!r}"
                else:
                    yield from self._unlike(f"{where}.{name}", value, found[name])
        elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
            for at, (one, other) in enumerate(zip(recorded, found, strict=True)):
                yield from self._unlike(f"{where}[{at}]", one, other)
        elif recorded != found:
            yield f"{where}: recorded {json.dumps(recorded)[:200]}, found {json.dumps(found)[:200]}"


def _merged(bug: dict[str, Any]) -> dict[str, Any]:
    """Return a bug with its history as one entry: how it is cut depends on the second in which something happened."""
    if "history" not in bug:
        return bug
    changes: dict[tuple[str, Any], dict[str, Any]] = {}
    for change in (each for entry in bug["history"] for each in entry["changes"]):
        held = changes.setdefault(
            (change["field_name"], change.get("attachment_id")), {**change, "added": "", "removed": ""}
        )
        for key in ("added", "removed"):
            held[key] = " ".join(filter(None, (held[key], change[key])))
    return {**bug, "history": list(changes.values())}


def main() -> int:
    """Print a line for each of the recording's; return 1 if one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("address", help="the tracker's address, such as https://bugzilla.example.org")
    address = parser.parse_args().address.rstrip("/")
    lacking = [
        f"BUGZILLA_KEY_{who}"
        for who in ("ADMIN", "DEV", "SEC", "BOT")
        if f"BUGZILLA_KEY_{who}" not in os.environ
    ]
    write: Callable[[str], object] = sys.stdout.write
    if not address.startswith(("http://", "https://")) or lacking:
        write(f"expected an address, and API keys in {', '.join(lacking) or 'the environment'}\n")
        return 2
    keys = {who: os.environ[f"BUGZILLA_KEY_{who}"] for who in ("ADMIN", "DEV", "SEC", "BOT")}
    failed = 0
    for note, differences in Walk(address, keys, same_accounts=False).run():
        write(
            f"{'FAIL' if differences else 'ok'} {note}\n" + "".join(f"    {each}\n" for each in differences)
        )
        failed += bool(differences)
    write(f"{failed} of {len(recording())} lines differ\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
