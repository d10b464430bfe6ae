"""Write docs/reference/compatibility.md from what the tests of the official client hold; `--check` only compares and ends with 1.

tests/process/test_client_methods.py and test_client_methods_answers.py try every row: the page says nothing that is not tested.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

import made_page

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from client_methods import DIFFERS, HOUSEKEEPING, NOT_OFFERED, OPEN, Method, methods  # noqa: E402 -- the path comes first

PAGE = ROOT / "docs" / "reference" / "compatibility.md"
HEAD = """\
# Compatibility with official clients

<!-- Made by scripts/compatibility.py from tests/client_methods.py: change the tables there, then run `make docs`. -->

The official client (`taskcluster` on PyPI, 106 to 113) works unmodified. Below is a row for every method of its classes.
The tests take each of them as the client has it: HTTP method, path, arguments, query options and stability are the same; a
caller without scopes gets a 403 that names exactly what the reference says is needed; with them it does its work, and its
answer is as the schema that is published for it says; what is not offered answers 400 and says so. How the methods behave is on the pages of the services, beginning with [access](access.md) and [queue](queue.md).

## Programs

Driven in the tests as they are published, without a change:

| program | what it does there |
|---|---|
| `taskcluster` for Python, synchronous and asynchronous | every method; temporary and limited credentials; signed links; artifacts of every type up and down |
| the JavaScript client of npm | roles, secrets, tasks from creation to completion, artifacts up and down, hooks, the index, signed links, refusals |
| `taskgraph decision`, `taskgraph action-callback` | a push's task graph, and actions on it |
| `tc-admin` | generates, compares and applies roles, hooks and pools; the second time there is nothing to do |
| scriptworker | claims tasks, runs them, uploads artifacts and resolves them; its verifier accepts liftlock's chains of trust |
| dashboards such as Treeherder | [sign people in](../how-to/sign-in.md#third-parties) by the same steps; tested with a page of another origin in a real browser |

## What programs can read

| address | what |
|---|---|
| `/references/manifest.json` | the list of the references |
| `/references/<service>/v1/api.json` | the methods of a service: path, arguments, query options, scopes, schemas, stability |
| `/schemas/<service>/v1/<name>.json` | the schema of a body or an answer, JSON Schema draft 7 |
| `/schemas/common/<name>.json` | schemas of the references, and `action-schema-v1` of `public/actions.json` |
| `/openapi.json` | the same as an OpenAPI 3.1 document |

They are made at the start of the control plane from the routes that answer and the schemas that validate, need no
credentials and may be read by any page. Addresses in them are below the root URL that the control plane was given.
"""


def verdict(method: Method) -> str:
    """Return what the row of `method` says."""
    if method.key in NOT_OFFERED:
        return f"not offered: {NOT_OFFERED[method.key]}"
    if method.key in DIFFERS:
        return f"differs: {DIFFERS[method.key]}"
    if method.key in OPEN:
        return f"works; needs no scope: {OPEN[method.key]}"
    return "works; needs no scope" if method.name in HOUSEKEEPING else "works"


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for client, group in groupby(methods(), key=lambda method: method.client):
        lines += [f"## {client}", "", "| method | call | stability | liftlock |", "|---|---|---|---|"]
        for method in group:
            call = f"`{method.entry['method'].upper()} {method.entry['route']}`"
            lines.append(f"| `{method.name}` | {call} | {method.entry['stability']} | {verdict(method)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(made_page.run(sys.argv[1:], PAGE, page(), "the tests"))
