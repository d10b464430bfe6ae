"""Which caches a task gets, and what that makes of its level."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftlock.domain.inputs.caches import MAX_CACHES, Granted, cache_key, caches, grant
from liftlock.domain.inputs.policy import STRICTEST, parse_policy
from liftlock.errors import InputValidationError

LOWER = parse_policy("[caches]\nlower-levels = true")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
POOL = "local/unprivileged"


def granted(*asked: dict[str, Any], level: int = 3, **more: Any) -> tuple[Granted, ...]:
    given = {"policy": LOWER, "scopes": ("worker:cache:*",), "is_open": False, "pool": POOL} | more
    return grant(caches(list(asked), "payload.caches"), level=level, **given)


def refused(*asked: dict[str, Any], **more: Any) -> str:
    with pytest.raises(InputValidationError) as caught:
        granted(*asked, **more)
    return caught.value.message


def one(name: str = "deps", mount: str = "/build/c", **more: Any) -> dict[str, Any]:
    return {"name": name, "mount": mount, **more}


def test_a_cache_is_of_the_tasks_own_level_unless_it_says_a_lower_one() -> None:
    assert [cache.level for cache in granted(one())] == [3]
    assert [cache.level for cache in granted(one(level=1))] == [1]


def test_a_cache_above_the_tasks_level_is_refused() -> None:
    assert (
        refused(one(level=2), level=1)
        == "payload.caches[0].level: expected at most the task's own level, 1, found 2"
    )


def test_all_caches_of_a_task_have_one_level() -> None:
    said = refused(one(level=1), one("other", "/build/d"))
    assert said.startswith("payload.caches[1].level: all caches of a task have one level")
    assert said.endswith("expected 1, found 3")
    assert [cache.level for cache in granted(one(level=1), one("other", "/build/d", level=1))] == [1, 1]


def test_a_lower_level_needs_the_policys_consent() -> None:
    assert "does not let a task of level 3 use a cache of level 1" in refused(one(level=1), policy=STRICTEST)
    assert granted(one(level=3), policy=STRICTEST)


@pytest.mark.parametrize("spelling", ["worker", "docker-worker", "generic-worker"])
def test_any_spelling_of_the_scope_will_do(spelling: str) -> None:
    assert granted(one(), scopes=(f"{spelling}:cache:deps",))
    assert "needs the scope worker:cache:deps" in refused(one(), scopes=(f"{spelling}:cache:dep",))


def test_no_two_pools_levels_names_or_opennesses_share_a_key() -> None:
    several = product(("a/b", "a/c"), (1, 2, 3), ("x", "y", "closed\0x"), (True, False))
    keys = [cache_key(pool, level, name, is_open=is_open) for pool, level, name, is_open in several]
    assert len(set(keys)) == len(keys) == 36


@given(TEXT, TEXT)
def test_a_key_is_fit_for_a_file_name(pool: str, name: str) -> None:
    key = cache_key(pool, 1, name, is_open=False)
    assert len(key) <= 80
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(
    "place",
    ["/build", "/inputs/x", "/usr/local/x", "/etc", "build/x", "/build/../x", "/", "/tmp/x", "/proc/x", 7, "/build//x"],
)  # fmt: skip
def test_a_place_that_is_not_the_tasks_own_is_refused(place: object) -> None:
    assert refused(one(mount=place)).startswith(  # type: ignore[arg-type] -- what a task may write
        "payload.caches[0].mount: expected an absolute path of plain names"
    )


@pytest.mark.parametrize("place", ["/build/c", "/builds/worker/checkouts", "/cache", "/root/.cache/pip"])
def test_a_place_of_the_tasks_own_is_taken(place: str) -> None:
    assert granted(one(mount=place))[0].path == place


def test_caches_do_not_lie_in_each_others_way() -> None:
    assert "lies in the way of deps at /build/c" in refused(one(), one("x", "/build/c/d"))
    assert "the name 'deps' is taken" in refused(one(), one("deps", "/build/d"))
    many = [one(f"n{number}", f"/build/{number}") for number in range(MAX_CACHES + 1)]
    assert len(granted(*many[:-1])) == MAX_CACHES
    assert refused(*many).startswith("payload.caches: expected a list of at most 20 caches")
