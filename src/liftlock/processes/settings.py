"""What `liftlock up` tells the control plane, through an anonymous file in memory."""

from __future__ import annotations

import argparse
import os
from typing import TypeVar

import msgspec

from liftlock.processes.privileges import UserIds

T = TypeVar("T")


class StaticClientSettings(msgspec.Struct, frozen=True):
    """A client that is configuration: it exists while liftlock runs and can't be changed by the API."""

    client_id: str
    access_token: str
    scopes: tuple[str, ...]
    description: str


class ControlPlaneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the control plane is told.

    `directory`: its own, absolute. `database`: a `postgresql://` address, or None for SQLite in `directory`.
    `policy`: the contents of the standing policy file (TOML), or None for the default policy.
    `drop_box`: a folder into which pushers' hooks may leave rings, made by who may make it; None: one of its own.
    """

    directory: str
    database: str | None
    listen_fd: int
    root_url: str
    static_clients: tuple[StaticClientSettings, ...]
    credentials_issuer: str
    policy: str | None
    drop_box: str | None = None
    published_keys: str | None = None
    """The file of pools' public keys; None: one in `directory`."""
    operations: str | None = None
    """The contents of the operations file (YAML), or None: there are none."""
    integrations: str | None = None
    """The contents of the integrations file (TOML), or None: there are none."""
    github_private_key: str = ""
    github_webhook_secret: str = ""
    user: UserIds | None = None
    login: str | None = None
    """The sign-in file with its secrets, as JSON, or None: people sign in by one-time links only."""
    first_sign_in: str = ""
    """The stored id of the first start's sign-in link; empty: there is none."""
    gate_run: str | None = None
    """The folder of gated's sockets on this host, or None: pages show no gate."""
    mail: str | None = None
    """The mail server, as `smtp://…`; None: no e-mail is sent."""
    webhooks_to: tuple[str, ...] = ()
    """`HOST:PORT` that webhooks may be sent to although their addresses are not public."""


def arguments(description: str) -> tuple[int, int]:
    """Parse the two arguments that the supervisor gives to every child: settings descriptor, parent's pid."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--settings-fd", type=int, required=True, help="descriptor of the settings, as JSON")
    parser.add_argument("--parent-pid", type=int, required=True, help="the process to die with")
    parsed = parser.parse_args()
    return parsed.settings_fd, parsed.parent_pid


def read(settings_fd: int, settings_type: type[T]) -> T:
    """Return the settings that the descriptor holds, and close it."""
    with os.fdopen(settings_fd, "rb") as source:
        return msgspec.json.decode(source.read(), type=settings_type)
