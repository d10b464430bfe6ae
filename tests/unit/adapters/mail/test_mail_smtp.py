"""The mail server's address says host, port, encryption, sender and credentials, and is never repeated."""

from __future__ import annotations

import pytest

from liftlock.adapters.mail.smtp import SmtpServer, parse_server
from liftlock.errors import InputInvalidError


def test_without_more_mail_is_encrypted_by_starttls() -> None:
    assert parse_server("smtp://mail.example?from=a@b.example") == SmtpServer(
        "mail.example", 587, "starttls", "a@b.example"
    )


def test_smtps_is_encrypted_from_the_first_byte() -> None:
    assert parse_server("smtps://u%40x:p%2Fw@mail.example?from=a@b.example") == SmtpServer(
        "mail.example", 465, "implicit", "a@b.example", "u@x", "p/w"
    )


def test_no_encryption_has_to_be_asked_for() -> None:
    assert parse_server("smtp://127.0.0.1:25?from=a@b.example&tls=none").tls == "none"


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example?from=a@b.example",
        "smtp://?from=a@b.example",
        "smtp://mail.example",
        "smtp://mail.example?from=nobody",
        "smtp://mail.example?from=a@b.example%0d%0aX:y",
        "smtp://mail.example?from=a@b.example&tls=maybe",
        "smtps://mail.example?from=a@b.example&tls=none",
        "smtp://mail.example?from=a@b.example&other=1",
        "smtp://mail.example/path?from=a@b.example",
        "smtp://user:hunter2@mail.example:99999?from=a@b.example",
    ],
)
def test_an_address_of_another_form_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputInvalidError, match="the mail server's") as refused:
        parse_server(url)
    assert "hunter2" not in refused.value.message
