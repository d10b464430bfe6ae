"""Secrets are sealed to one key, for one operation and one name."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.credentials.sealed_secret import SEALED_PREFIX, public_key_text, seal, unseal
from liftlock.errors import InputValidationError, LiftlockError
from liftlock.values.secret import Secret

SEED, ONCE = bytes(range(32)), bytes(range(1, 33))


def sealed(secret: bytes = b"token") -> str:
    return seal(public_key_text(SEED), ONCE, "publish", "index-token", secret)


@given(st.binary(min_size=1, max_size=200), st.binary(min_size=32, max_size=32))
def test_what_is_sealed_opens_and_does_not_show(secret: bytes, once: bytes) -> None:
    text = seal(public_key_text(SEED), once, "publish", "index-token", secret)
    assert unseal(SEED, "publish", "index-token", text) == secret
    assert len(secret) < 8 or secret not in text.encode()


def test_it_opens_for_nothing_else() -> None:
    for seed, operation, name in (
        (ONCE, "publish", "index-token"),
        (SEED, "other", "index-token"),
        (SEED, "publish", "other"),
    ):
        with pytest.raises(InputValidationError, match="it was not sealed to this worker for"):
            unseal(seed, operation, name, sealed())


def test_a_changed_one_does_not_open() -> None:
    text = sealed()
    for place in range(len(SEALED_PREFIX), len(text), 5):
        changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(InputValidationError):
            unseal(SEED, "publish", "index-token", changed)


@pytest.mark.parametrize(
    "text", ["", "liftlock-sealed-1:", "liftlock-sealed-1:AAAA", "other:AAAA", "liftlock-sealed-1:!"]
)
def test_what_is_no_sealed_secret_is_refused(text: str) -> None:
    with pytest.raises(InputValidationError, match="expected text that begins with liftlock-sealed-1:"):
        unseal(SEED, "publish", "index-token", text)


@pytest.mark.parametrize(
    "key", ["", "liftlock-privileged-1:", "liftlock-privileged-1:AAAA", "ssh-ed25519 AAAA"]
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InputValidationError, match="public key: expected"):
        seal(key, ONCE, "publish", "x", b"token")


def test_a_secret_has_a_size() -> None:
    for secret in (b"", bytes(16385)):
        with pytest.raises(InputValidationError, match="expected 1 to 16384 bytes"):
            sealed(secret)


def test_a_secret_does_not_print_and_is_not_copied() -> None:
    secret = Secret("canary")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", "%s" % secret, repr([secret])):  # noqa: UP031 -- every way in which text is made
        assert "canary" not in shown
    for attempt in (lambda: pickle.dumps(secret), lambda: copy.copy(secret)):
        with pytest.raises(LiftlockError):
            attempt()
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert secret.reveal() == "canary"
