"""Write docs/reference/cli.md from the help texts of the command line; `--check` only compares and ends with 1.

The page can't drift from the program: `make docs` writes it, `make check` compares it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import made_page

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"
WIDTH = 100
HEAD = """\
# Command line

<!-- Made by scripts/cli_reference.py from the program's own help: change the help text, then run `make docs`. -->

Data goes to standard output, progress to standard error.

## Credentials

They come from `TASKCLUSTER_ROOT_URL`, `TASKCLUSTER_CLIENT_ID`, `TASKCLUSTER_ACCESS_TOKEN` and `TASKCLUSTER_CERTIFICATE`, or from
a profile: `liftlock --profile NAME …`.

## Exit status

0 done, 1 the task failed or it could not be done, 2 usage, 3 denied, 4 waiting for approval, 5 verification failed, 6 timeout,
7 the plan has changes. Which error ends with which is in [errors](errors.md#codes).
"""


def sections(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    """Yield the section of `command`, then those of its subcommands in their own order; hidden ones are left out."""
    context = click.Context(
        command, info_name=name, parent=parent, max_content_width=WIDTH, terminal_width=WIDTH
    )
    path = context.command_path
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield f"## {path}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from sections(child, child_name, context)


def page() -> str:
    """Return the whole page; the same on every machine, whatever its terminal and settings."""
    os.environ.update({"NO_COLOR": "1", "COLUMNS": str(WIDTH)})
    from liftlock.cli.main import cli  # noqa: PLC0415  # after the environment is fixed

    return "\n".join([HEAD, *sections(cli, "liftlock", None)])


if __name__ == "__main__":
    sys.exit(made_page.run(sys.argv[1:], PAGE, page(), "the program's help"))
