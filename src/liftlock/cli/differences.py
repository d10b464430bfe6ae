"""The differences of what is approved, for people at a terminal."""

from __future__ import annotations

from typing import Any, Final

from liftlock.cli.output import Output, printable

_STYLE: Final = {"+": "green", "-": "red", "@": "dim"}


def difference_lines(out: Output, compared: dict[str, Any]) -> list[str]:
    """Return the lines of every difference: a heading for each file, and for each member what happened to it."""
    lines = []
    for one in compared["differences"]:
        lines += ["", out.styled(_heading(one, compared), "bold")]
        if one["problem"]:
            lines.append(printable(f"  not compared: {one['problem']}"))
            continue
        lines.append(f"  {_counts(one)}")
        for entry in one["entries"]:
            lines += _entry_lines(out, entry)
        if one["leftOff"]:
            lines.append(f"  and {one['leftOff']} more that are not listed")
    return lines or ["", "nothing to compare with: there was no release before"]


def _heading(one: dict[str, Any], compared: dict[str, Any]) -> str:
    if one["against"] == "source":
        return f"{one['path']} against the source at {compared['revision'][:12]}"
    last = compared["lastOperationId"]
    whose = "on the index" if last is None else f"of operation {last}"
    return f"{one['path']} against {one['counterpart'] or 'the last release'} {whose}"


def _counts(one: dict[str, Any]) -> str:
    found = [entry["status"] for entry in one["entries"]]
    counts = ", ".join(f"{found.count(status)} {status}" for status in ("added", "removed", "changed"))
    return f"{one['same']} the same, {counts}"


def _entry_lines(out: Output, entry: dict[str, Any]) -> list[str]:
    sizes = " → ".join("-" if entry[side] is None else str(entry[side]) for side in ("before", "after"))
    note = f" ({entry['note']})" if entry["note"] else ""
    lines = [printable(f"  {entry['status']:<8} {entry['path']}  {sizes} bytes{note}")]
    for line in entry["text"].split("\n")[:-1]:
        style = _STYLE.get(line[:1])
        lines.append(f"    {printable(line) if style is None else out.styled(line, style)}")
    return lines
