"""Who counts: n of m, never the requester, for this very request, in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.approvals.counting import Rules, count
from liftlock.domain.approvals.people import parse_approvers
from liftlock.domain.approvals.request import FrozenFile, FrozenRequest, read_frozen
from liftlock.errors import InputValidationError
from operation_builders import NOW, Signer, frozen, people


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> list[Signer]:
    folder: Path = tmp_path_factory.mktemp("keys")
    return [Signer.make(name, folder) for name in ("morgan", "alex", "robin")]


def rules(signers: list[Signer], need: int = 1) -> Rules:
    return Rules(need, False, people(*signers))


def test_as_many_people_as_needed_have_to_approve(signers: list[Signer]) -> None:
    morgan, alex, _ = signers
    said = [morgan.say(frozen())]
    one = count(frozen(), said, rules(signers, 2), NOW)
    assert (one.missing, one.holds) == (1, False)
    two = count(frozen(), [*said, alex.say(frozen())], rules(signers, 2), NOW)
    assert (two.missing, two.holds, list(two.approved)) == (0, True, ["morgan", "alex"])


def test_one_person_counts_once_however_often_they_sign(signers: list[Signer]) -> None:
    morgan = signers[0]
    tally = count(frozen(), [morgan.say(frozen())] * 3, rules(signers, 2), NOW)
    assert (tally.missing, tally.holds) == (1, False)


def test_who_asked_for_it_does_not_count_by_any_client(signers: list[Signer]) -> None:
    robin = signers[2]
    tally = count(frozen(), [robin.say(frozen())], rules(signers), NOW)
    assert not tally.holds
    assert tally.ignored[0].why == "robin is who asked for it; nobody approves themselves"
    entry = robin.person() | {"clients": ["people/robin*"]}
    by_other = frozen(requester="people/robin-laptop")
    tally = count(by_other, [robin.say(by_other)], Rules(1, False, parse_approvers({"robin": entry})), NOW)
    assert not tally.holds


def test_one_rejection_ends_it(signers: list[Signer]) -> None:
    morgan, alex, _ = signers
    tally = count(frozen(), [morgan.say(frozen()), alex.say(frozen(), "reject")], rules(signers), NOW)
    assert (tally.rejected, tally.holds) == (("alex",), False)


def test_who_may_not_approve_this_operation_does_not_count(signers: list[Signer]) -> None:
    morgan = signers[0]
    others = parse_approvers({"morgan": morgan.person("format-*")})
    tally = count(frozen(), [morgan.say(frozen())], Rules(1, False, others), NOW)
    assert tally.ignored[0].why == "morgan may not approve publish-widget"
    tally = count(frozen(), [morgan.say(frozen())], Rules(1, False, {}), NOW)
    assert tally.ignored[0].why == "there is no approver morgan"


def test_it_expires_at_its_instant(signers: list[Signer]) -> None:
    said, end = [signers[0].say(frozen())], frozen().expires
    assert count(frozen(), said, rules(signers), end - timedelta(milliseconds=1)).holds
    assert not count(frozen(), said, rules(signers), end).holds
    late = count(frozen(), [signers[0].say(frozen(), at=end)], rules(signers), NOW)
    assert late.ignored[0].why == "it came too late"


def test_an_operation_that_needs_nobody_holds_by_itself() -> None:
    assert count(frozen(), [], Rules(0, False, {}), NOW).holds


CHANGES = [
    {"operation_version": "9" * 64},
    {"hook_version": "9" * 64},
    {"requester": "people/kim"},
    {"input": {"version": "1.1"}},
    {"revision": "b" * 40},
    {"ref": "other"},
    {"project": "other"},
    {"identity": "https://github.com/demo/other"},
    {"contract": ("other",)},
    {"stage2_task_id": "other"},
    {"expires": NOW + timedelta(hours=25)},
    {"requested": NOW - timedelta(seconds=1)},
    {"stage1": msgspec.structs.replace(frozen().stage1, run_id=1)},
    {"stage1": msgspec.structs.replace(frozen().stage1, chain_sha256="9" * 64)},
    {"stage1": msgspec.structs.replace(frozen().stage1, files=(FrozenFile("dist/w.whl", "5" * 64, 9),))},
    {"stage1": msgspec.structs.replace(frozen().stage1, files=(FrozenFile("dist/w.whl", "4" * 64, 10),))},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_any_change_voids_an_approval(signers: list[Signer], change: dict[str, object]) -> None:
    said = signers[0].say(frozen())
    tally = count(frozen(**change), [said], rules(signers), NOW)
    assert not tally.holds
    assert tally.ignored[0].why == "it is for another request: what it approved has changed"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_equal_requests_have_equal_digests_and_others_do_not(one: object, other: object) -> None:
    first, second = frozen(input=one), frozen(input=other)
    same = first.canonical() == second.canonical()
    assert (first.digest == second.digest) is same
    assert read_frozen(first.document).digest == first.digest


def test_what_is_no_frozen_request_is_refused() -> None:
    document = frozen().document
    for wrong in ({}, document | {"more": 1}, document | {"format": "x"}, document | {"stage1": None}, []):
        with pytest.raises(InputValidationError, match="frozen request"):
            read_frozen(wrong)
    assert isinstance(read_frozen(document), FrozenRequest)
