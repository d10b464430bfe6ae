"""`liftlock access`: who one is, what one may, and why (A14)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from liftlock.cli import access_diff, access_paths, access_retiring, access_sign_in, access_unused
from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import Exit
from liftlock.cli.failures import UsageError
from liftlock.cli.output import Output, printable


@click.group()
def access() -> None:
    """Explain who may do what, and why."""


for command in (
    access_paths.paths,
    access_paths.reach,
    access_paths.who,
    access_paths.check,
    access_sign_in.sign_in_link,
    access_diff.diff,
    access_unused.unused,
    access_retiring.retiring,
):
    access.add_command(command)


@access.command()
@api_command
def whoami(api: Api, out: Output) -> None:
    """Show who the server takes you for, and all your scopes."""
    me = api.post("auth", "explain", payload={"need": {"AllOf": []}})
    scopes = api.get("auth", "scopes", "current")["scopes"]
    answer = {"clientId": me["clientId"], "scopes": me["scopes"], "expandedScopes": scopes}
    lines = [out.styled(me["clientId"], "bold"), *(f"  {printable(scope)}" for scope in scopes)]
    out.data(answer, lines)


@access.command()
@click.argument("scopes", nargs=-1, metavar="SCOPE...")
@click.option("--rule", metavar="NAME", help="Explain a refusal that names a rule instead of scopes.")
@click.option(
    "--any", "any_of", is_flag=True, help="One of the scopes is enough; without it, all are needed."
)
@click.option("--client", "client_id", metavar="ID", help="Explain for this client instead of yourself.")
@click.option("--holding", multiple=True, metavar="SCOPE", help="Explain for whoever held these scopes.")
@api_command
def explain(
    api: Api,
    out: Output,
    scopes: tuple[str, ...],
    rule: str | None,
    client_id: str | None,
    holding: tuple[str, ...],
    *,
    any_of: bool,
) -> int:
    """Show whether SCOPEs are held, by which chain of roles, and who could grant what is missing.

    Exit status 0 if they are, 3 if not. With --rule, what must hold, and what to do about it.
    """
    if bool(scopes) == (rule is not None):
        raise UsageError("expected scopes, or --rule: a refusal names the one or the other")
    if rule is not None:
        told = api.get("auth", "refusal-rule", rule)
        lines = [
            f"what must hold: {told['holds']}",
            f"what to do:     {told['remedy']}",
            f"see:            {told['page']}",
        ]
        out.data(told, lines)
        return Exit.OK
    need: Any = scopes[0] if len(scopes) == 1 else {"AnyOf" if any_of else "AllOf": list(scopes)}
    payload: dict[str, Any] = {"need": need}
    if client_id is not None:
        payload["clientId"] = client_id
    if holding:
        payload["scopes"] = list(holding)
    answer = api.post("auth", "explain", payload=payload)
    who = answer["clientId"] or "who holds " + ", ".join(holding)
    verdict = "may" if answer["satisfied"] else "may not"
    out.data(answer, [f"{printable(who)}: {verdict}", *_tree(out, answer["tree"], "  ")])
    return Exit.OK if answer["satisfied"] else Exit.DENIED


def _tree(out: Output, node: dict[str, Any], indent: str) -> Iterator[str]:
    mark = out.styled("ok     ", "green") if node["satisfied"] else out.styled("missing", "red")
    if node["kind"] != "Scope":
        yield f"{indent}{mark} {'all of' if node['kind'] == 'AllOf' else 'any of'}"
        for part in node["parts"]:
            yield from _tree(out, part, indent + "  ")
        return
    yield f"{indent}{mark} {out.styled(node['scope'], 'bold')}"
    below = indent + "          "
    if node["satisfied"] and not node["chain"]:
        yield f"{below}held as {out.styled(node['by'], 'dim')}"
    for step in node["chain"]:
        held, role, given = (out.styled(step[name], "dim") for name in ("held", "roleId", "given"))
        yield f"{below}{held} has role {role}, which gives {given}"
    for role in node["grantorRoles"]:
        yield f"{below}role {out.styled(role, 'dim')} gives it"
    for client in node["grantorClients"]:
        client_id, by = out.styled(client["clientId"], "dim"), out.styled(client["by"], "dim")
        yield f"{below}{client_id} could grant it (it holds {by})"
