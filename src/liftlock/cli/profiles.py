"""Whose credentials a command uses: the environment's, or those of a named profile.

A profile is a table of `$XDG_CONFIG_HOME/liftlock/profiles.toml` (mode 0600):

    [release]
    root-url = "https://liftlock.example.org"
    client-id = "people/robin"
    access-token = "…"
    certificate = "…"        # only with temporary credentials

Source: docs/reference/cli.md#credentials
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from liftlock.cli.failures import UsageError

_ROOT_URL, _CLIENT, _TOKEN, _CERTIFICATE = (
    "TASKCLUSTER_ROOT_URL",
    "TASKCLUSTER_CLIENT_ID",
    "TASKCLUSTER_ACCESS_TOKEN",
    "TASKCLUSTER_CERTIFICATE",
)


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the server is and who asks; without a client id the caller is anonymous."""

    root_url: str
    client_id: str | None = None
    access_token: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)


def load_profile(environment: Mapping[str, str], name: str | None) -> Profile:
    """Return the profile called `name`, or without a name the one that the environment describes.

    Raises:
        UsageError: no root URL is known, the file can be read by others, or the profile is not in it.
    """
    if name is not None:
        return _from_file(_profiles_path(environment), name)
    root_url = environment.get(_ROOT_URL)
    if not root_url:
        raise UsageError(
            f"{_ROOT_URL} is not set: set it (liftlock up writes it to liftlock.env), or name a --profile"
        )
    return Profile(
        _checked_root(root_url, _ROOT_URL),
        environment.get(_CLIENT) or None,
        environment.get(_TOKEN) or None,
        _checked_certificate(environment.get(_CERTIFICATE) or None, _CERTIFICATE),
    )


def _profiles_path(environment: Mapping[str, str]) -> str:
    base = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
    return os.path.join(base, "liftlock", "profiles.toml")


def _from_file(path: str, name: str) -> Profile:
    table = _read(path).get(name)
    if not isinstance(table, dict):
        raise UsageError(f"{path}: there is no profile {name!r}")
    known = {"root-url", "client-id", "access-token", "certificate"}
    for key, value in table.items():
        if key not in known or not isinstance(value, str):
            raise UsageError(f"{path}: {name}.{key}: expected one of {sorted(known)} with a string")
    if "root-url" not in table:
        raise UsageError(f"{path}: {name}: root-url is missing")
    root = _checked_root(table["root-url"], f"{path}: {name}.root-url")
    certificate = _checked_certificate(table.get("certificate"), f"{path}: {name}.certificate")
    return Profile(root, table.get("client-id"), table.get("access-token"), certificate)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise UsageError(
                    f"{path} holds an access token and can be read by others: run chmod 600 {path}"
                )
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def _checked_root(text: str, what: str) -> str:
    root = text.rstrip("/")
    if not root.startswith(("http://", "https://")) or root.count("/") != 2:
        raise UsageError(f"{what}: expected http(s)://HOST[:PORT], got {text[:200]!r}")
    return root


def _checked_certificate(text: str | None, what: str) -> str | None:
    if text is not None:
        try:
            json.loads(text)
        except ValueError as error:
            raise UsageError(f"{what}: the certificate of temporary credentials is JSON: {error}") from error
    return text
