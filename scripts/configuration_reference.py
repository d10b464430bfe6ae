"""Write docs/reference/configuration-files.md from the schemas of the files; `--check` only compares and ends with 1."""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Any

from liftlock.domain.configuration.kinds import FILE_KINDS, LISTS, schema

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "configuration-files.md"
HEAD = """\
# Configuration files

<!-- Made by scripts/configuration_reference.py from the schemas: change those, then run `make docs`. -->

Every kind of file, from its JSON schema. A server publishes the schemas at `/schemas/configuration/v1/<kind>.json`, for editors.
What the files become is on the page [configuration](configuration.md).
"""


def kind_of(part: dict[str, Any]) -> str:
    """Return the type of a field in words."""
    if "enum" in part:
        return " or ".join(f"`{each}`" for each in part["enum"])
    if "$ref" in part:
        return f"[{part['$ref'].rpartition('/')[2]}](#{part['$ref'].rpartition('/')[2].lower()})"
    if "anyOf" in part:
        return " or ".join(map(kind_of, part["anyOf"]))
    if part.get("type") == "array":
        return f"list of {kind_of(part.get('items', {}))}"
    if part.get("type") == "object":
        more = part.get("additionalProperties")
        return f"mapping of {kind_of(more)}" if isinstance(more, dict) and more else "mapping"
    return {"string": "text", "boolean": "true or false", "integer": "number", "null": "nothing"}.get(
        part.get("type", ""), "anything"
    )


def table(document: dict[str, Any]) -> list[str]:
    """Return the rows of one definition."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, part in document["properties"].items():
        default = "needed" if name in document.get("required", ()) else f"`{json.dumps(part.get('default'))}`"
        meaning = part.get("description", "").replace("|", "\\|")
        lines.append(f"| `{name}` | {kind_of(part)} | {default} | {meaning} |")
    return lines


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    shown: set[str] = set()
    for kind in FILE_KINDS:
        document = schema(kind)
        form = "a list" if kind in LISTS else "one mapping" if kind == "liftlock" else "a mapping by name"
        lines += [f"## {kind}.yml", "", f"The file is {form}. {document['title']}", ""]
        for number, (name, definition) in enumerate(reversed(document["definitions"].items())):
            if name in shown:
                continue
            shown.add(name)
            if number or kind != "liftlock":
                lines += [f"### {name}", "", definition.get("description", "").splitlines()[0], ""]
            lines += [*table(definition), ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the page, or compare it; return the exit status."""
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted)
        return 0
    found = PAGE.read_text() if PAGE.exists() else ""
    sys.stdout.writelines(
        difflib.unified_diff(found.splitlines(True), wanted.splitlines(True), "page", "schemas")
    )
    return int(found != wanted)


if __name__ == "__main__":
    sys.exit(main())
