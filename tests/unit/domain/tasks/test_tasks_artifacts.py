"""Which artifacts a run may create, what may replace what, and where links lead."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from liftlock.domain.tasks.artifacts import (
    MAX_LINK_HOPS,
    Artifact,
    Content,
    Create,
    Declared,
    Same,
    admit,
    artifact_name,
    declare,
    encoding_of,
    follow,
    is_safe_inline,
    may_write,
)
from liftlock.domain.tasks.lifecycle import Conflict, Run
from liftlock.errors import InputInvalidError, InputValidationError, RefusedError
from liftlock.values.instants import format_instant, to_ms
from task_builders import NOW

TOMORROW = NOW + timedelta(days=1)


def body(**changes: Any) -> dict[str, Any]:
    return {"storageType": "s3", "contentType": "text/plain", "expires": format_instant(TOMORROW), **changes}


def made(given: dict[str, Any]) -> Declared:
    return declare(given, task_expires_ms=to_ms(TOMORROW), now=NOW)


def link(name: str, target: str) -> Artifact:
    return Artifact(name, Declared("link", "text/plain", to_ms(TOMORROW), target))


def stored(name: str) -> Artifact:
    return Artifact(name, Declared("s3", "text/plain", to_ms(TOMORROW)), Content("b", 1, "identity", "c", 1))


def test_an_artifact_may_expire_with_its_task_and_not_later() -> None:
    assert made(body()).expires_ms == to_ms(TOMORROW)
    with pytest.raises(InputInvalidError, match="after the task's own"):
        made(body(expires=format_instant(TOMORROW + timedelta(milliseconds=1))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contentType": None}, "contentType: missing"),
        ({"url": "https://x"}, "url: not a field"),
        ({"contentType": "text/plain\r\nX: y"}, "contentType: expected printable"),
        ({"expires": format_instant(NOW)}, "has passed"),
        ({"storageType": "reference", "url": "javascript:alert(1)"}, "http"),
        ({"storageType": "link", "artifact": "a\nb"}, "printable"),
        (
            {"storageType": "error", "contentType": None, "reason": "file-missing-on-worker"},
            "message: missing",
        ),
    ],
)
def test_fields_that_do_not_fit_the_storage_type_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputInvalidError, match=message):
        made(body(**change))


def test_an_unknown_storage_type_is_malformed() -> None:
    with pytest.raises(InputValidationError, match="storageType"):
        made(body(storageType="azure"))


def test_the_same_declaration_is_idempotent_and_may_extend_expiry_only() -> None:
    earlier = format_instant(TOMORROW - timedelta(hours=1))
    existing = Artifact("a", made(body(expires=earlier)))
    assert admit(existing, made(body(expires=earlier))) == Same(None)
    assert admit(existing, made(body())) == Same(to_ms(TOMORROW))
    later = Artifact("a", made(body()))
    assert isinstance(admit(later, made(body(expires=earlier))), Conflict)


def test_only_a_reference_gives_way_and_only_to_a_reference_or_link() -> None:
    reference = Artifact("a", made(body(storageType="reference", url="https://example.com/1")))
    other = made(body(storageType="reference", url="https://example.com/2"))
    assert admit(reference, other) == Create(other)
    to_link = made(body(storageType="link", artifact="b"))
    assert admit(reference, to_link) == Create(to_link)
    assert isinstance(admit(reference, made(body())), Conflict)
    assert isinstance(admit(stored("a"), to_link), Conflict)
    assert isinstance(admit(stored("a"), made(body(contentType="text/html"))), Conflict)


def run(state: str, **changes: Any) -> Run:
    return Run(0, state, "scheduled", 0, **{"started_ms": 1, **changes})  # type: ignore[arg-type]  # by name


def test_artifacts_are_written_while_the_claim_holds_and_not_at_its_end() -> None:
    held = (run("running", taken_until_ms=100),)
    assert may_write(held, 0, 99) is None
    assert isinstance(may_write(held, 0, 100), Conflict)


def test_artifacts_are_written_for_twenty_five_minutes_after_an_exception() -> None:
    ended = (run("exception", resolved_ms=1000, reason_resolved="internal-error"),)
    limit = 1000 + 25 * 60 * 1000
    assert may_write(ended, 0, limit - 1) is None
    assert isinstance(may_write(ended, 0, limit), Conflict)


def test_a_worker_that_let_its_claim_lapse_writes_no_artifacts() -> None:
    lapsed = (run("exception", resolved_ms=1000, reason_resolved="claim-expired"),)
    assert isinstance(may_write(lapsed, 0, 1001), Conflict)


@pytest.mark.parametrize("state", ["pending", "completed", "failed"])
def test_artifacts_of_other_runs_are_closed(state: str) -> None:
    assert isinstance(may_write((run(state),), 0, 5), Conflict)
    assert isinstance(may_write((), 0, 5), Conflict)


def test_links_are_followed_to_what_they_name() -> None:
    all_of_them = {"a": link("a", "b"), "b": link("b", "c"), "c": stored("c")}
    asked: list[str] = []
    assert follow("a", all_of_them.get, asked.append) == stored("c")
    assert asked == ["a", "b", "c"]
    assert follow("gone", all_of_them.get, asked.append) is None


def test_a_cycle_of_links_is_an_input_error_that_shows_it() -> None:
    cycle = {"a": link("a", "b"), "b": link("b", "a")}
    with pytest.raises(InputInvalidError, match="a -> b -> a"):
        follow("a", cycle.get, lambda _name: None)


def test_an_endless_chain_of_links_is_cut() -> None:
    with pytest.raises(InputInvalidError, match=f"more than {MAX_LINK_HOPS} links"):
        follow("0", lambda name: link(name, str(int(name) + 1)), lambda _name: None)


def test_every_hop_of_a_link_needs_its_own_scope() -> None:
    def allow(name: str) -> None:
        if not name.startswith("public/"):
            raise RefusedError("no")

    both = {"public/a": link("public/a", "private/key"), "private/key": stored("private/key")}
    with pytest.raises(RefusedError):
        follow("public/a", both.get, allow)


def test_names_are_printable_ascii_with_slashes() -> None:
    assert artifact_name("public/logs/live.log") == "public/logs/live.log"
    for wrong in ("", "a\x00b", "é", "x" * 1025, "a\n"):
        with pytest.raises(InputInvalidError):
            artifact_name(wrong)


def test_markup_and_scripts_are_never_shown_in_place() -> None:
    assert is_safe_inline("text/plain; charset=utf-8")
    for kind in (
        "text/html",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "application/javascript",
        "",
    ):
        assert not is_safe_inline(kind)


def test_only_encodings_that_can_be_measured_are_taken() -> None:
    assert (encoding_of(None), encoding_of("GZIP"), encoding_of("identity")) == (
        "identity",
        "gzip",
        "identity",
    )
    with pytest.raises(InputInvalidError, match="Content-Encoding"):
        encoding_of("br")
