"""What `task verify` makes of artifacts that can't be read whole: a red check, never the end of the command."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from liftlock.cli.client import Api
from liftlock.cli.evidence import Collector
from liftlock.cli.failures import UnreachableError
from liftlock.cli.output import Output
from liftlock.cli.profiles import Profile
from liftlock.domain.provenance.producers import Trust
from liftlock.domain.provenance.walk import Walk

TASK = "AAAAAAAAQACAAAAAAAAAAA"
Answer = Callable[[httpx2.Request], httpx2.Response]


class _Cut(httpx2.SyncByteStream):
    """A body whose connection breaks after its first bytes."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield b"ma"
        raise self._error


def _damaged_gzip(_request: httpx2.Request) -> httpx2.Response:
    content = bytearray(gzip.compress(b"made" * 1000))
    content[20] ^= 0xFF
    return httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=_Whole(bytes(content)))


class _Whole(httpx2.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content


def _cut(error: Exception) -> Answer:
    return lambda _: httpx2.Response(200, stream=_Cut(error))


BROKEN: dict[str, Answer] = {
    "the connection ends early": _cut(httpx2.RemoteProtocolError("peer closed connection")),
    "the connection breaks": _cut(httpx2.ReadError("reset")),
    "nothing comes any more": _cut(httpx2.ReadTimeout("slow")),
    "the compressed bytes are damaged": _damaged_gzip,
    "the server says that it is gone": lambda _: httpx2.Response(
        404, json={"code": "ResourceNotFound", "message": "gone"}
    ),
}


def collector(artifact: Answer, chain: Answer | None = None) -> Collector:
    """Return a collector against a server whose artifact `made` is read as `artifact` answers."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        if path.endswith("/artifacts"):
            listed = [{"name": "public/made", "storageType": "s3"}]
            return httpx2.Response(200, json={"artifacts": listed})
        if path.endswith("made"):
            return artifact(request)
        if path.endswith("/keys"):
            return httpx2.Response(200, json={"pools": []})
        if chain is not None:
            return chain(request)
        said: dict[str, Any] = {"artifacts": {}, "task": {"taskGroupId": TASK}}
        return httpx2.Response(200, content=b"s" * 64 if path.endswith(".sig") else json.dumps(said).encode())

    profile = Profile("http://liftlock.invalid", None, None)
    out = Output(True, False, io.StringIO(), io.StringIO())
    return Collector(Api(profile, transport=httpx2.MockTransport(answer)), out)


@pytest.mark.parametrize("how", BROKEN)
def test_an_artifact_that_cannot_be_read_whole_has_no_digest_that_could_match(how: str) -> None:
    evidence = collector(BROKEN[how]).collect(TASK)
    assert evidence.runs[0].observed["public/made"].startswith("nothing: ")


@pytest.mark.parametrize("how", BROKEN)
def test_a_chain_that_cannot_be_read_whole_is_missing_and_the_walk_is_red(how: str) -> None:
    evidence = collector(BROKEN[how], BROKEN[how]).collect(TASK)
    assert list(evidence.missing) == [TASK]
    walk = Walk(evidence, Trust(()))
    assert not walk()
    assert [check.state for check in walk.checks] == ["red"]


def test_a_server_that_is_gone_is_no_verdict() -> None:
    def refuse(_request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    out = Output(True, False, io.StringIO(), io.StringIO())
    profile = Profile("http://liftlock.invalid", None, None)
    with pytest.raises(UnreachableError, match="refused"):
        Collector(Api(profile, transport=httpx2.MockTransport(refuse)), out).collect(TASK)
