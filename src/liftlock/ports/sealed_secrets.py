"""Secrets of privileged operations: opened for one run, by the worker that holds the key."""

from __future__ import annotations

from typing import Protocol

from liftlock.values.secret import Secret


class SealedSecrets(Protocol):
    """Opens what was sealed to this worker."""

    def open(self, operation: str, name: str) -> Secret:
        """Return the secret `name` of `operation`; NotFoundError, or InputValidationError if it was sealed for another."""
        ...
