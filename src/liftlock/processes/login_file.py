"""The sign-in file and the secrets that it names, checked before anything starts; and what it needs installed."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Final

import msgspec

from liftlock.domain.credentials.login_settings import LoginSettings, ProviderSettings, parse_login_settings
from liftlock.errors import InputInvalidError
from liftlock.values.json import decode_as, encode

_IMPORTED_LATE: Final = (
    "liftlock.adapters.login.github",
    "liftlock.adapters.login.oidc",
    "anyio._backends._asyncio",
    "certifi",
    "h11",
    "httpcore2",
    "idna",
)


def read_login(path: Path) -> str:
    """Return what the file at `path` says, as JSON, with the secrets from the files that it names, which lie beside it.

    Raises:
        InputInvalidError: one can't be read or makes no sense, or a provider is named and authlib is not installed.
    """
    found = parse_login_settings(_read(path))
    if found.provider and importlib.util.find_spec("authlib") is None:
        raise InputInvalidError("sign-in file: identity providers need authlib: install liftlock[login]")
    filled = tuple(_filled(one, path.parent) for one in found.provider)
    return encode(msgspec.structs.replace(found, provider=filled)).decode()


def preload(told: str | None) -> None:
    """Import what identity providers need, for a process that loses its right to read the installation and its authorities."""
    if told is not None and decode_as(told, LoginSettings, what="sign-in file").provider:
        for name in _IMPORTED_LATE:
            importlib.import_module(name)
        importlib.import_module("liftlock.adapters.login.answers").verification()


def _filled(one: ProviderSettings, folder: Path) -> ProviderSettings:
    if one.client_secret:
        return one
    secret = _read(folder / one.client_secret_file).strip()
    if not secret:
        raise InputInvalidError(
            f"{folder / one.client_secret_file}: expected the secret of provider {one.name}"
        )
    return msgspec.structs.replace(one, client_secret=secret)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputInvalidError(f"{path}: {getattr(error, 'strerror', None) or 'expected UTF-8'}") from error
