"""The base of every command: exit statuses, credentials, signing, output."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import click
import httpx2
import mohawk
import pytest
from click.testing import CliRunner

from liftlock import errors
from liftlock.cli import failures, main
from liftlock.cli.client import Api
from liftlock.cli.command import api_command
from liftlock.cli.exit_codes import BY_CODE, Exit, exit_status
from liftlock.cli.failures import AnsweredError, TimedOutError, UnreachableError, UsageError
from liftlock.cli.output import Output, printable
from liftlock.cli.profiles import Profile, load_profile

ROOT = "http://127.0.0.1:8080"
KNOWN = Profile(ROOT, "people/robin", "a-token")


def _classes(base: type[errors.LiftlockError]) -> Iterator[type[errors.LiftlockError]]:
    for child in base.__subclasses__():
        yield child
        yield from _classes(child)


def _api(handler: object, profile: Profile = KNOWN) -> Api:
    return Api(profile, transport=httpx2.MockTransport(handler))  # type: ignore[arg-type]


def test_every_error_code_of_the_product_has_an_exit_status() -> None:
    codes = {
        one.code
        for one in _classes(errors.LiftlockError)
        if one.__module__ in {errors.__name__, failures.__name__}
    }
    assert codes <= set(BY_CODE)


def test_the_code_that_the_server_answered_decides_the_exit_status() -> None:
    assert exit_status(AnsweredError(403, "InsufficientScopes", "no")) is Exit.DENIED
    assert exit_status(AnsweredError(400, "InputValidationError", "no")) is Exit.USAGE
    assert exit_status(AnsweredError(500, "SomethingNew", "no")) is Exit.FAILED
    assert exit_status(TimedOutError("late")) is Exit.TIMEOUT


def test_help_lists_every_command_without_importing_one() -> None:
    result = CliRunner().invoke(main.cli, ["--help"])
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output for name in main.COMMANDS)


def test_a_command_of_a_missing_part_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(main.COMMANDS, "nothing", main.Entry("liftlock.cli.not_there:command", "…"))
    assert main.run(["nothing"]) == Exit.USAGE
    assert "nothing: not part of this installation" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["no-such-noun"]) == Exit.USAGE
    assert "No such command" in capsys.readouterr().err


def test_a_refusal_of_the_server_ends_a_command_with_3_and_the_servers_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @main.cli.command("refused")
    @api_command
    def refused(api: Api, out: Output) -> None:
        raise AnsweredError(403, "InsufficientScopes", "you lack hooks:trigger-hook:g/h")

    monkeypatch.setattr(main.LazyGroup, "get_command", lambda self, ctx, name: refused)
    monkeypatch.setenv("TASKCLUSTER_ROOT_URL", ROOT)
    assert main.run(["refused"]) == 3
    assert "InsufficientScopes: you lack hooks:trigger-hook:g/h" in capsys.readouterr().err
    assert main.run(["refused", "--json"]) == 3
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "InsufficientScopes"


def test_the_environment_without_a_root_url_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"TASKCLUSTER_ROOT_URL is not set: .* or name a --profile"):
        load_profile({}, None)


def test_the_environment_gives_root_url_client_token_and_certificate() -> None:
    profile = load_profile(
        {
            "TASKCLUSTER_ROOT_URL": ROOT + "/",
            "TASKCLUSTER_CLIENT_ID": "c",
            "TASKCLUSTER_ACCESS_TOKEN": "t",
            "TASKCLUSTER_CERTIFICATE": "{}",
        },
        None,
    )
    assert profile == Profile(ROOT, "c", "t", "{}")
    assert "'t'" not in repr(profile)


def _write_profile(folder: Path, text: str, mode: int) -> dict[str, str]:
    (folder / "liftlock").mkdir()
    path = folder / "liftlock" / "profiles.toml"
    path.write_text(text)
    path.chmod(mode)
    return {"XDG_CONFIG_HOME": str(folder)}


def test_a_named_profile_is_read_and_the_environment_ignored(tmp_path: Path) -> None:
    environment = _write_profile(
        tmp_path, f'[r]\nroot-url="{ROOT}"\nclient-id="c"\naccess-token="t"\n', 0o600
    )
    assert load_profile(environment | {"TASKCLUSTER_CLIENT_ID": "other"}, "r") == Profile(ROOT, "c", "t")


def test_a_profile_that_others_can_read_is_refused(tmp_path: Path) -> None:
    environment = _write_profile(tmp_path, f'[r]\nroot-url="{ROOT}"\n', 0o640)
    with pytest.raises(UsageError, match="can be read by others: run chmod 600"):
        load_profile(environment, "r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[other]\n", "there is no profile 'r'"),
        ('[r]\nroot_url="x"\n', r"r.root_url: expected one of"),
        ("[r]\n", "root-url is missing"),
        ('[r]\nroot-url="ftp://x"\n', r"expected http\(s\)://HOST"),
        ('[r]\nroot-url="https://x/path"\n', r"expected http\(s\)://HOST"),
        ("[r\n", "Expected"),
    ],
)
def test_a_profile_that_makes_no_sense_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_profile(_write_profile(tmp_path, text, 0o600), "r")


@pytest.mark.parametrize("payload", [None, {"a": 1}])
@pytest.mark.parametrize("root", ["http://127.0.0.1:8080", "https://liftlock.example"])
def test_a_signed_request_is_accepted_by_an_independent_verifier(payload: object, root: str) -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        body = request.read()
        receiver = mohawk.Receiver(
            lambda sender: {"id": sender, "key": "a-token", "algorithm": "sha256"},
            request.headers["authorization"],
            str(request.url),
            request.method,
            content=body,
            content_type="application/json" if body else "",
            accept_untrusted_content=not body,
        )
        return httpx2.Response(200, json=receiver.parsed_header["id"])

    api = _api(handler, Profile(root, "people/robin", "a-token"))
    assert (
        api.call("GET" if payload is None else "POST", "queue", "task", "a/b", payload=payload)
        == "people/robin"
    )


def test_an_anonymous_profile_signs_nothing_and_cannot_limit_its_scopes() -> None:
    api = _api(lambda request: httpx2.Response(200, json="authorization" in request.headers), Profile(ROOT))
    assert api.get("queue", "ping") is False
    with pytest.raises(UsageError, match="needs credentials"):
        api.call("GET", "queue", "ping", authorized_scopes=["a"])
    with pytest.raises(UsageError, match="no access token for the client c"):
        _api(lambda request: httpx2.Response(200), Profile(ROOT, "c")).get("queue", "ping")


def test_a_certificate_that_is_no_json_is_refused_when_it_is_read() -> None:
    with pytest.raises(
        UsageError, match="TASKCLUSTER_CERTIFICATE: the certificate of temporary credentials is JSON"
    ):
        load_profile({"TASKCLUSTER_ROOT_URL": ROOT, "TASKCLUSTER_CERTIFICATE": "x"}, None)


def test_parts_of_a_route_are_encoded_whole() -> None:
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.raw_path.decode())
        return httpx2.Response(200, json={"ok": True})

    assert _api(handler).get("index", "task", "a/b c", query={"limit": "1"}) == {"ok": True}
    assert seen == ["/api/index/v1/task/a%2Fb%20c?limit=1"]


def test_an_error_answer_carries_the_servers_code_and_message() -> None:
    api = _api(lambda request: httpx2.Response(409, json={"code": "RequestConflict", "message": "exists"}))
    with pytest.raises(AnsweredError, match="exists") as caught:
        api.put("hooks", "hooks", "g", "h", payload={})
    assert (caught.value.status, caught.value.answered_code) == (409, "RequestConflict")


def test_a_page_of_a_proxy_in_between_is_shown_as_what_it_is() -> None:
    with pytest.raises(AnsweredError, match="HTTP 502 without an error code: '<html>'"):
        _api(lambda request: httpx2.Response(502, text="<html>")).get("queue", "ping")


def test_an_empty_answer_is_none() -> None:
    assert _api(lambda request: httpx2.Response(204)).delete("auth", "roles", "r") is None


def test_lists_are_read_page_after_page() -> None:
    pages = {"": {"tasks": [1, 2], "continuationToken": "x"}, "x": {"tasks": [3]}}
    api = _api(
        lambda request: httpx2.Response(200, json=pages[request.url.params.get("continuationToken", "")])
    )
    assert list(api.all_pages("queue", "task-group", "g", "list", key="tasks")) == [1, 2, 3]


def test_an_artifacts_redirect_is_followed_without_the_callers_signature() -> None:
    signed: list[bool] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        signed.append("authorization" in request.headers)
        if request.url.path.startswith("/api/"):
            return httpx2.Response(303, headers={"location": f"{ROOT}/bytes"}, json={"url": f"{ROOT}/bytes"})
        return httpx2.Response(200, content=b"content")

    assert _api(handler).artifact("t", "public/a.json") == b"content"
    assert signed == [True, False]


def test_an_artifact_larger_than_asked_for_is_not_kept() -> None:
    with pytest.raises(AnsweredError, match="larger than 3 bytes"):
        _api(lambda request: httpx2.Response(200, content=b"1234")).artifact("t", "n", max_bytes=3)


def test_no_connection_and_no_answer_in_time_are_told_apart() -> None:
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    def late(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("late")

    with pytest.raises(UnreachableError):
        _api(broken).get("queue", "ping")
    with pytest.raises(TimedOutError):
        _api(late).get("queue", "ping")


def test_names_from_repositories_cannot_drive_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x9bc\td\n") == "a[2Jbc\td\n"
    out = Output(as_json=False, colour=False, stdout=io.StringIO(), stderr=io.StringIO())
    assert out.table(["NAME", "N"], [["x\x1b[31m\ny", "1"]]) == ["NAME     N", "x[31m y  1"]
    out.progress("p\x07")
    assert out.stderr.getvalue() == "p\n"  # type: ignore[attr-defined]


def test_data_is_json_or_lines_never_both() -> None:
    for as_json, expected in ((True, '{\n  "b": 1\n}\n'), (False, "line\n")):
        out = Output(as_json=as_json, colour=False, stdout=io.StringIO(), stderr=io.StringIO())
        out.data({"b": 1}, ["line"])
        assert out.stdout.getvalue() == expected  # type: ignore[attr-defined]


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert not Output.open(as_json=False, no_color=True).colour


def test_every_command_of_the_table_can_be_loaded() -> None:
    context = click.Context(main.cli)
    for name in main.COMMANDS:
        assert isinstance(main.cli.get_command(context, name), click.Command), name


def test_a_module_without_its_command_is_told_and_never_crashes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(main.COMMANDS, "nothing", main.Entry("liftlock.cli.output:nothing", "…"))
    assert main.run(["nothing"]) == Exit.USAGE
    assert "liftlock.cli.output:nothing is no command" in capsys.readouterr().err


def test_an_id_that_looks_like_an_option_is_answered_with_where_it_belongs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["task", "verify", "-AAAAAAAQACAAAAAAAAAAA"]) == Exit.USAGE
    assert "An id that begins with - has to stand behind --, at the end." in capsys.readouterr().err
    assert main.run(["task", "verify", "--nonsense"]) == Exit.USAGE
    assert "behind --" not in capsys.readouterr().err
