"""The keyed hash is HMAC-SHA256, whatever the key's length and however often the key is used."""

from __future__ import annotations

import hmac

from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.credentials.keyed_hash import keyed_hash


@given(key=st.binary(max_size=200), messages=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_it_is_the_standard_librarys_hmac(key: bytes, messages: list[bytes]) -> None:
    for message in messages:
        assert keyed_hash(key, message) == hmac.digest(key, message, "sha256")
