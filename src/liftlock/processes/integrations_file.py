"""The integrations file, and the two secrets that it names: read by the process that may, handed on in memory."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from liftlock.domain.dispatch.mapping import parse_rules
from liftlock.domain.forge.settings import parse_github
from liftlock.errors import InputInvalidError

MIN_SECRET = 16
"""Characters of a webhook's secret at least."""


class Integrations(NamedTuple):
    """What the file says, as it stands there, and what the files that it names hold."""

    text: str | None = None
    private_key: str = ""
    webhook_secret: str = ""

    def told(self) -> dict[str, Any]:
        """Return what of the control plane's settings comes from here."""
        return {
            "integrations": self.text,
            "github_private_key": self.private_key,
            "github_webhook_secret": self.webhook_secret,
        }


def read_integrations(path: Path) -> Integrations:
    """Return the file at `path`, checked.

    Raises:
        InputInvalidError: it, or a file that it names, can't be read or makes no sense; the message says which.
    """
    text = _read(path)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputInvalidError(f"{path}: expected TOML: {error}") from error
    parse_rules(document.get("event", []))
    if "github" not in document:
        return Integrations(text)
    settings = parse_github(document["github"])
    secret = _read(path.parent / settings.webhook_secret_file).strip()
    if len(secret) < MIN_SECRET:
        raise InputInvalidError(
            f"{settings.webhook_secret_file}: expected a secret of at least {MIN_SECRET} characters"
        )
    return Integrations(text, _read(path.parent / settings.private_key_file), secret)


def pull_projects(text: str | None) -> frozenset[str]:
    """Return the projects whose pull requests start decision tasks, by the checked file's `text`."""
    document = tomllib.loads(text or "")
    if "github" not in document:
        return frozenset()
    return frozenset(
        each.project for each in parse_github(document["github"]).repository if each.pull_requests
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputInvalidError(f"{path}: {getattr(error, 'strerror', None) or 'expected UTF-8'}") from error
