"""How `liftlock gate status` shows what gated says of itself."""

from __future__ import annotations

from typing import Any

from liftlock.cli.output import Output


def duration(seconds: float) -> str:
    """Return seconds as people say them: `45 s`, `12 min`, `3 h`, `5 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s"


def _trouble(source: dict[str, Any]) -> str:
    if not source["known"]:
        return "no list yet"
    if source["frozen"]:
        return f"frozen: {source['frozen']}"
    if source["snapshotRefused"]:
        return f"list refused: {source['snapshotRefused']}"
    return "resync asked" if source["resyncAsked"] else "ok"


def status_lines(found: dict[str, Any], out: Output) -> list[str]:
    """Return the tables of feeds, hooks and overrides."""
    feeds = [
        [
            name,
            "never" if source["ageS"] is None else duration(source["ageS"]),
            str(source["seq"] if source["seq"] is not None else "-"),
            str(source["sensitive"]),
            str(source["blocked"]),
            _trouble(source),
        ]
        for name, source in sorted(found["sources"].items())
    ]
    lines = out.table(["feed", "last contact", "seq", "sensitive", "blocked", "state"], feeds)
    if not found["feedConnected"]:
        lines.append("feedd is not connected")
    lines += [
        f"{each['repository']}: its hook fails {each['hook']}, the policy says {each['policy']}: install it again"
        for each in found["disagreements"]
    ]
    hooks = [
        [
            each["repository"],
            each["hook"],
            duration(each["agoS"]) + " ago",
            str(each["pushes"]),
            each["outcome"],
        ]
        for each in found["firings"]
    ]
    lines += ["", *out.table(["repository", "hook", "last asked", "pushes", "answer"], hooks)]
    if found["overrides"]:
        rows = [
            [str(each["bug"]), each["repository"] or "everywhere", each["by"], each["reason"]]
            for each in found["overrides"]
        ]
        lines += ["", *out.table(["override", "where", "by", "reason"], rows)]
    return lines
