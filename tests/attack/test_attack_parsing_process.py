"""Hostile content against the process that parses it: what it could do if it took the process over, and what it costs."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable

import pytest

from distribution_builders import INFO, SDIST_NAME, WHEEL_NAME, sdist, wheel
from liftlock.adapters.parsing.client import ForkedParser
from liftlock.domain.operations.parsing_samples import samples, showing_samples
from liftlock.domain.operations.parsings import (
    ProgramQuestion,
    ReleaseQuestion,
    question,
    read_distributions,
)
from liftlock.domain.operations.source_changes import Change
from liftlock.errors import InputValidationError
from liftlock.ports.confined_parser import ParserFailedError
from parsing_process import TRIES, parsing_process

pytestmark = pytest.mark.process
ENDED = "takes more memory or time than it may"


@pytest.fixture(scope="module")
def parser() -> AsyncIterator[ForkedParser]:
    with parsing_process() as made:
        yield made


@pytest.mark.parametrize("what", TRIES)
async def test_code_in_the_parsing_process_cannot(parser: ForkedParser, what: str) -> None:
    said = (await parser.parse(what, b"")).decode()
    assert said == "refused: PermissionError 1", said


async def test_code_in_the_parsing_process_cannot_answer_the_next_question(parser: ForkedParser) -> None:
    """It can write to its own answer and to what it was given, and to nothing else: not to the channel, not to a log."""
    said = (await parser.parse("write everywhere", b"")).decode()
    assert said.startswith(("ddone: [", "done: [", "dd")), said
    written = said[said.index("[") + 1 : said.index("]")].split(", ")
    assert len(written) == 2, said
    with pytest.raises(InputValidationError, match="refused: b'next'") as caught:
        await parser.parse("refuse", b"next")
    assert caught.value.details["rule"] == "a-rule"
    assert await parser.parse("echo", b"whole") == b"whole"


@pytest.mark.parametrize("what", ["eat memory", "spin", "wait", "answer much", "crash"])
async def test_what_takes_too_much_is_ended_and_the_next_question_is_answered(
    parser: ForkedParser, what: str
) -> None:
    with pytest.raises(ParserFailedError, match=ENDED):
        await parser.parse(what, b"")
    assert await parser.parse("echo", b"next") == b"next"


async def test_every_parsing_answers_its_sample_where_nothing_can_be_imported(parser: ForkedParser) -> None:
    for name, given in {**samples(), **showing_samples()}.items():
        assert await parser.parse(name, given) is not None
    with pytest.raises(ParserFailedError, match="there is no parsing 'other'"):
        await parser.parse("other", b"")


def _zip_of(members: dict[str, bytes], **changes: int) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            info = zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in changes.items():
                setattr(info, key, value)
            archive.writestr(info, content)
    return made.getvalue()


def _gzip_bomb() -> bytes:
    """Return an sdist that unpacks to a gigabyte of zeros."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packing.compress(bytes(1 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    block = packing.compress(bytes(1 << 20)) + packing.flush(zlib.Z_FULL_FLUSH)
    return first + block * 1023


def _zip_bomb() -> bytes:
    """Return a wheel that says that it unpacks to four gigabytes."""
    made = _zip_of({"a": b"\0" * 1000})
    at = made.index(b"PK\x01\x02") + 24
    return made[:at] + b"\xff\xff\xff\xff" + made[at + 4 :]


def _many_members() -> bytes:
    """Return an sdist of headers alone: far more members than may be."""
    header = tarfile.TarInfo("gadget-1.0/a").tobuf()
    return gzip.compress(header * 200_000, 1)


def _pax_bomb() -> bytes:
    """Return an sdist whose first header says that a gigabyte of further headers follows."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    return gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20), 1)


ARCHIVES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a gzip bomb": (SDIST_NAME, _gzip_bomb),
    "a zip bomb": (WHEEL_NAME, _zip_bomb),
    "more members than may be": (SDIST_NAME, _many_members),
    "headers without end": (SDIST_NAME, _pax_bomb),
    "names in another encoding": (
        WHEEL_NAME,
        lambda: _zip_of({"\xe9.py": b""}).replace(b"\xc3\xa9", b"\x82\x82"),
    ),
    "a zip that is cut": (WHEEL_NAME, lambda: wheel()[:-30]),
    "a tar that is cut": (SDIST_NAME, lambda: gzip.compress(gzip.decompress(sdist())[:700])),
    "nothing": (SDIST_NAME, lambda: b""),
    "a central directory that lies": (WHEEL_NAME, lambda: wheel().replace(b"PK\x01\x02", b"PK\x01\x03")),
    "metadata in no encoding": (
        WHEEL_NAME,
        lambda: wheel(extra={f"{INFO}/x": b"\xff"}, metadata="\udcff".encode("utf-8", "replace").decode()),
    ),
}


@pytest.mark.parametrize("what", ARCHIVES)
async def test_a_hostile_archive_is_refused_and_harms_nothing(parser: ForkedParser, what: str) -> None:
    name, make = ARCHIVES[what]
    asked = question(ReleaseQuestion("gadget", "1.0", {name: make()}))
    with pytest.raises((InputValidationError, ParserFailedError)) as caught:
        await parser.parse("release", asked)
    assert name in caught.value.message or ENDED in caught.value.message
    good = question(ReleaseQuestion("gadget", "1.0", {WHEEL_NAME: wheel()}))
    assert [one.filename for one in read_distributions(await parser.parse("release", good))] == [WHEEL_NAME]


DEEP = 100_000
PROGRAMS: dict[str, bytes] = {
    "deep brackets": b"(" * DEEP + b")" * DEEP,
    "deep signs": b"-" * DEEP + b"1",
    "a deep chain": b"a" + b".b" * DEEP,
    "deep calls": b"a" + b"()" * DEEP,
    "deep blocks": b"".join(b" " * depth + b"if x:\n" for depth in range(2000)),
    "a giant list": b"[" + b"0," * 2_000_000 + b"]",
    "a giant number": b"1" * 4_000_000,
    "a file that is too large": b"#" * (4 << 20) + b"#",
    "nul bytes": b"a\0b",
    "another encoding": b"# -*- coding: euc-jp -*-\n\xa4\xa2",
    "an encoding that is none": b"# -*- coding: ../../evil -*-\n",
    "unfinished": b"'''",
}


@pytest.mark.parametrize("what", PROGRAMS)
async def test_a_hostile_program_is_refused_and_harms_nothing(parser: ForkedParser, what: str) -> None:
    asked = question(ProgramQuestion([Change("a.py", b"x = 1\n", PROGRAMS[what])]))
    with pytest.raises((InputValidationError, ParserFailedError)) as caught:
        await parser.parse("program", asked)
    assert caught.value.message.startswith("a.py: ") or ENDED in caught.value.message
    same = question(ProgramQuestion([Change("a.py", b"x = 1\n", b"x  =  1\n")]))
    assert await parser.parse("program", same) == b""
