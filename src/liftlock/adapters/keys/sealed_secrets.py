"""Sealed secrets as files in one folder, opened by a key that is this user's alone. Implements `ports.sealed_secrets`.

The folder holds ciphertext and may be read by everybody. It is read at each run: a secret that was sealed anew counts at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from liftlock.adapters.keys.private_files import read_private, replace_file
from liftlock.domain.credentials.sealed_secret import KEY_BYTES, public_key_text, unseal
from liftlock.errors import InputValidationError, NotFoundError, StorageError
from liftlock.ports.entropy import Entropy
from liftlock.values.secret import Secret

KEY_FILE: Final = "sealing-key"
PUBLIC_FILE: Final = "sealing-key.pub"
SUFFIX: Final = ".sealed"
MAX_SEALED_BYTES: Final = 64 << 10


class SecretsFolder:
    """Opens the files of `folder` with the key in `directory`, which is made if there is none."""

    def __init__(self, directory: Path, folder: Path, entropy: Entropy) -> None:
        path = directory / KEY_FILE
        seed = read_private(path)
        if seed is None:
            seed = entropy.token_bytes(KEY_BYTES)
            replace_file(path, seed)
        if len(seed) != KEY_BYTES:
            raise StorageError(f"key file {path}: expected {KEY_BYTES} bytes, found {len(seed)}")
        self._seed = seed
        self._folder = folder

    @property
    def public_key(self) -> str:
        """Return the key that secrets are sealed to."""
        return public_key_text(self._seed)

    def publish(self, path: Path) -> None:
        """Write the public key to `path`, for everybody to read."""
        replace_file(path, (self.public_key + "\n").encode(), mode=0o644)

    def open(self, operation: str, name: str) -> Secret:
        """Return the secret; see the port."""
        path = self._folder / f"{name}{SUFFIX}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NotFoundError(
                f"secret {name}: nothing was sealed under that name; use `liftlock operation seal-secret`"
            ) from None
        except OSError as error:
            raise StorageError(f"secret {name}: {error.strerror}") from error
        with os.fdopen(descriptor, "rb") as file:
            sealed = file.read(MAX_SEALED_BYTES)
        opened = unseal(self._seed, operation, name, sealed.decode("ascii", "replace"))
        try:
            return Secret(opened.decode().rstrip("\n"))
        except UnicodeDecodeError:
            raise InputValidationError(f"secret {name}: expected text in UTF-8") from None
