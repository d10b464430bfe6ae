"""Identifiers, instants and JSON: what is accepted, what is not, and what the message says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.errors import InputInvalidError, MalformedPayloadError, RequestArgumentsError
from liftlock.values import ids
from liftlock.values.instants import format_instant, format_ms, from_ms, parse_instant, to_ms
from liftlock.values.json import canonical, decode, digest

_FROM, _TO = datetime.fromisoformat("1970-01-01"), datetime.fromisoformat("9998-01-01")
INSTANTS = st.datetimes(_FROM, _TO, timezones=st.just(UTC))


@given(INSTANTS)
def test_an_instant_survives_the_wire_to_the_millisecond(instant: datetime) -> None:
    again = parse_instant(format_instant(instant))
    assert timedelta() <= instant - again < timedelta(milliseconds=1)
    assert format_ms(to_ms(instant)) == format_instant(instant)
    assert from_ms(to_ms(again)) == again


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500Z"),
        ("2026-01-31T12:00:00.123456789+02:00", "2026-01-31T10:00:00.123Z"),
        ("2024-02-29T23:59:59.999-01:00", "2024-03-01T00:59:59.999Z"),
    ],
)
def test_offsets_and_fractions_are_understood(text: str, expected: str) -> None:
    assert format_instant(parse_instant(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00Z\n",
     "٢٠٢٦-01-31T12:00:00Z", "0001-01-01T00:00:00+23:59"],
)  # fmt: skip
def test_what_is_no_instant_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(InputInvalidError, match="deadline"):
        parse_instant(text, what="deadline")


@pytest.mark.parametrize("text", ["", "abc", "A" * 22, "fN1SbArXTPSVFNUvaOlin!", "fN1SbArXTPSVFNUvaOlinQ\n"])
def test_what_is_no_slugid_is_refused(text: str) -> None:
    with pytest.raises(RequestArgumentsError, match="expected a slugid"):
        ids.task_id(text)


def test_a_slugid_is_accepted() -> None:
    assert ids.task_id("fN1SbArXTPSVFNUvaOlinQ") == "fN1SbArXTPSVFNUvaOlinQ"


@pytest.mark.parametrize("text", ["a", "a/b/c", "/b", "a/", "a b/c", "a" * 39 + "/b"])
def test_what_is_no_task_queue_is_refused(text: str) -> None:
    with pytest.raises(RequestArgumentsError, match="taskQueueId"):
        ids.task_queue_id(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_canonical_json_decodes_to_the_same_value(value: object) -> None:
    assert decode(canonical(value)) == value


@given(st.dictionaries(st.text(), st.integers()))
def test_the_digest_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    assert digest(dict(reversed(list(value.items())))) == digest(value)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"nul", b'{"a":1,}', b"\xff", b"[" * 100_000, b"1" * 5000 + b"x"]
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPayloadError, match="body"):
        decode(data)
