"""What every command that asks the server has in common: credentials, `--json`, and where to write."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from liftlock.cli.client import Api
from liftlock.cli.output import Output, printable
from liftlock.cli.profiles import load_profile


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`, and pass an `Output` as `out`."""

    @click.option("--json", "as_json", is_flag=True, help="Write the answer as JSON.")
    @wraps(function)
    def with_output(*args: Any, as_json: bool, **options: Any) -> Any:
        out = Output.open(as_json=as_json, no_color=bool(os.environ.get("NO_COLOR")))
        return function(*args, out=out, **options)

    return with_output


def api_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--json`, and pass an `Api` of the caller's credentials as `api` and an `Output` as `out`.

    The function may return an exit status.
    """

    @json_option
    @click.pass_context
    @wraps(function)
    def with_api(ctx: click.Context, *args: Any, **options: Any) -> Any:
        profile = load_profile(os.environ, ctx.find_root().obj)
        api = Api(profile)
        try:
            return ctx.invoke(function, *args, api=api, **options)
        finally:
            api.close()
            for scopes in api.retiring:
                click.echo(f"warning: this needs what is to be taken away: {printable(scopes)}", err=True)

    return with_api
