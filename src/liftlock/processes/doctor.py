"""`liftlock doctor`: what isolation this machine allows, and how to get what is missing."""

from __future__ import annotations

import asyncio

import click
import msgspec

from liftlock.adapters.sandbox.probe import Diagnosis, diagnose
from liftlock.cli.exit_codes import Exit


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Tell what isolation this machine allows, and how to get what is missing.

    Starts a real sandbox to find out. Ends with 0 if tasks can be run, else with 1.
    """
    diagnosis = asyncio.run(diagnose())
    click.echo(_json(diagnosis) if as_json else "\n".join(_lines(diagnosis)))
    if not diagnosis.possible:
        raise click.exceptions.Exit(Exit.FAILED)


def _lines(diagnosis: Diagnosis) -> list[str]:
    width = max(len(finding.name) for finding in diagnosis.findings)
    lines = [
        f"{'ok' if finding.ok else 'missing':8}{finding.name:{width}}  {finding.detail}"
        for finding in diagnosis.findings
    ]
    if diagnosis.isolation is None or not diagnosis.possible:
        return [*lines, "", "no task can be run here: install or allow what is missing above"]
    reasons = diagnosis.isolation.why_not_untrusted()
    verdict = "tasks can be run here"
    if reasons:
        verdict += "; a pool for untrusted work that requires limits refuses to: " + "; ".join(reasons)
    return [*lines, "", verdict]


def _json(diagnosis: Diagnosis) -> str:
    isolation = diagnosis.isolation
    answer = {
        "possible": diagnosis.possible,
        "untrusted": isolation is not None and diagnosis.possible and isolation.why_not_untrusted() == (),
        "isolation": isolation,
        "findings": diagnosis.findings,
    }
    return msgspec.json.encode(answer).decode()
