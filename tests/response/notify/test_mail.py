"""E-mail against a real SMTP server (aiosmtpd): encryption, log-in, refusals, and what is not known."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.policy import default
from html.parser import HTMLParser
from typing import Any, cast

import pytest

from keysentry.connectors.base import Notice, Recipient
from keysentry.errors import AccessError, ConfigError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify import open_notifier
from keysentry.response.notify.mail import Mail, Options, message
from keysentry.response.notify.messages import author_notice
from tests.response.notify.facts import ACTION, LANGUAGES, TIME, case, forged, notice, voice
from tests.servers.certificates import Authority
from tests.servers.process import free_port
from tests.servers.smtp import MailServer, mail_server

pytestmark = pytest.mark.xdist_group("notify-mail")
LOGIN = ("keysentry", "-".join(("local", "test", "word")))
AUTHOR = Recipient(author="Ann Lee", author_id="U1", email="ann@acme.example")
TEAM = Recipient()


@pytest.fixture(scope="module")
def running(trusted: Authority) -> Iterator[MailServer]:
    with mail_server(trusted.server, login=LOGIN) as server:
        yield server


@pytest.fixture
def server(running: MailServer) -> MailServer:
    running.mails.clear()
    running.refused.clear()
    running.say.clear()
    running.cut = ""
    return running


@pytest.fixture
def settings(server: MailServer, trusted: Authority) -> dict[str, Any]:
    return {
        "name": "mail",
        "host": "localhost",
        "port": server.port,
        "user": LOGIN[0],
        "password": Sensitive(LOGIN[1]),
        "sender": "Keysentry <keysentry@acme.example>",
        "to": ("Security <security@acme.example>", "soc@acme.example"),
        "timeout": 5.0,
        "ca_file": trusted.ca_file,
    }


def to_author(language: str = "en", **changes: Any) -> Notice:
    return author_notice(ACTION, [case(**changes)], voice(language), time=TIME)


def test_an_author_is_written_to_encrypted_and_once(server: MailServer, settings: dict[str, Any]) -> None:
    receipt = open_notifier(Options(**settings)).tell(to_author(), AUTHOR)
    (taken,) = server.mails
    assert taken.to == ["ann@acme.example"] and taken.encrypted
    assert taken.mail["To"] == "ann@acme.example" and taken.mail["From"] == "Keysentry <keysentry@acme.example>"
    assert receipt.outcome == "done" and receipt.evidence["message-id"] == f"<{ACTION}@acme.example>"
    assert taken.mail["Auto-Submitted"] == "auto-generated" and taken.mail["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"


def test_a_notice_is_the_same_mail_whenever_it_is_sent(server: MailServer, settings: dict[str, Any]) -> None:
    Mail(Options(**settings)).tell(to_author(), AUTHOR)
    Mail(Options(**settings)).tell(to_author(), AUTHOR)
    first, second = server.mails
    assert first.raw == second.raw
    other = message(notice(id="act_2"), "k@acme.example", ["a@acme.example"], "", TIME)
    assert other["Message-ID"] != first.mail["Message-ID"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_plain_text_and_html_say_the_same_in_every_language(
    server: MailServer, settings: dict[str, Any], language: str
) -> None:
    told = to_author(language)
    Mail(Options(**settings)).tell(told, AUTHOR)
    mail = server.mails[0].mail
    plain, html = (part.get_content().replace("\r\n", "\n") for part in cast(Any, mail).iter_parts())
    assert plain.rstrip("\n") == told.text
    assert mail["Subject"] == told.subject and mail["Content-Language"] == language
    words = re.sub(r"\s+", " ", told.text.replace("\n- ", "\n")).strip()
    assert re.sub(r"\s+", " ", _Text.of(html)).strip() == words
    assert f'<html lang="{language}">' in html
    assert '<a href="https://wiki.example/secrets">' in html


class _Text(HTMLParser):
    """The text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "li"):
            self.found.append(" ")

    @classmethod
    def of(cls, page: str) -> str:
        one = cls()
        one.feed(page)
        return "".join(one.found)


def test_names_from_outside_are_text_and_never_markup_or_headers(server: MailServer, settings: dict[str, Any]) -> None:
    hostile = {"container": "<script>alert(1)</script>\r\nBcc: eve@evil.example", "author": '"><img src=x>'}
    Mail(Options(**settings)).tell(to_author(**hostile), AUTHOR)
    (taken,) = server.mails
    assert taken.mail["Bcc"] is None and taken.to == ["ann@acme.example"]
    html = [part.get_content() for part in cast(Any, taken.mail).iter_parts()][1]
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;" in html


def test_no_secret_is_in_the_mail_only_its_mask(server: MailServer, settings: dict[str, Any]) -> None:
    Mail(Options(**settings)).tell(to_author(), AUTHOR)
    taken = server.mails[0]
    text = "".join(part.get_content() for part in cast(Any, taken.mail).iter_parts())
    assert forged(1)[4:20] not in text and forged(1)[:4] in text


def test_a_team_is_written_to_at_the_addresses_of_the_configuration(
    server: MailServer, settings: dict[str, Any]
) -> None:
    Mail(Options(**settings)).tell(notice(), TEAM)
    assert server.mails[0].to == ["security@acme.example", "soc@acme.example"]


def test_an_address_that_is_refused_does_not_keep_the_others_from_it(
    server: MailServer, settings: dict[str, Any]
) -> None:
    server.refused = {"soc@acme.example"}
    receipt = Mail(Options(**settings)).tell(notice(), TEAM)
    assert server.mails[0].to == ["security@acme.example"]
    assert receipt.evidence["refused"] == "soc@acme.example" and "1 refused" in receipt.note


@pytest.mark.parametrize(
    ("recipient", "changes", "words"),
    [
        (Recipient(author="Ann", author_id="U1"), {}, "tells no e-mail address"),
        (Recipient(author_id="U1", email="ann@acme.example\r\nBcc: x@evil.example"), {}, "tells no e-mail address"),
        (AUTHOR, {"domains": ("other.example",)}, "none of the domains"),
        (TEAM, {"to": ()}, "nobody is named"),
    ],
)
def test_an_author_who_cannot_be_written_to_is_told_of_and_nobody_else_is_written_to(
    server: MailServer, settings: dict[str, Any], recipient: Recipient, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        Mail(Options(**(settings | changes))).tell(to_author(), recipient)
    assert not server.mails


def test_an_author_may_be_named_by_an_address(server: MailServer, settings: dict[str, Any]) -> None:
    recipient = Recipient(author="ann@acme.example", author_id="117")
    Mail(Options(**(settings | {"domains": ("ACME.example",)}))).tell(to_author(), recipient)
    assert server.mails[0].to == ["ann@acme.example"]


# -- servers that refuse, and what is not known

ANSWERS = [
    ("MAIL", "421 too busy", SourceError, "421 too busy"),
    ("RCPT", "450 greylisted", SourceError, "450 greylisted"),
    ("RCPT", "550 no such mailbox", InputError, "550"),
    ("DATA", "451 try again", SourceError, "451"),
    ("DATA", "554 looks like spam", InputError, "looks like spam"),
]


@pytest.mark.parametrize(("command", "answer", "kind", "words"), ANSWERS, ids=[f"{one[0]}-{one[1]}" for one in ANSWERS])
def test_what_an_answer_means(
    server: MailServer, settings: dict[str, Any], command: str, answer: str, kind: type[KeysentryError], words: str
) -> None:
    server.say = {command: answer}
    with pytest.raises(kind) as caught:
        Mail(Options(**settings)).tell(to_author(), AUTHOR)
    assert type(caught.value) is kind and words in str(caught.value) and not server.mails


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_mail_whose_answer_is_lost_is_unclear_and_not_sent_twice(
    server: MailServer, settings: dict[str, Any], cut: Any
) -> None:
    server.cut = cut
    mail = Mail(Options(**settings))
    with pytest.raises(UnclearError):
        mail.tell(to_author(), AUTHOR)
    with pytest.raises(UnclearError, match="not known"):
        mail.told(to_author(), AUTHOR)
    assert len(server.mails) == (1 if cut == "after" else 0)


def test_a_mail_that_was_put_off_is_sent_later_without_a_doubt(server: MailServer, settings: dict[str, Any]) -> None:
    """Greylisting: the first attempt surely told nobody, so that nobody need be asked before the next one."""
    mail = Mail(Options(**settings))
    server.say = {"RCPT": "450 greylisted"}
    with pytest.raises(SourceError):
        mail.tell(to_author(), AUTHOR)
    assert mail.told(to_author(), AUTHOR) is None
    mail.tell(to_author(), AUTHOR)
    assert len(server.mails) == 1
    with pytest.raises(UnclearError):  # after a restart: this process has not tried
        Mail(Options(**settings)).told(to_author(), AUTHOR)
    server.cut = "after"
    with pytest.raises(UnclearError):
        mail.tell(to_author(), AUTHOR)
    with pytest.raises(UnclearError):  # what is known of an earlier attempt says nothing of this one
        mail.told(to_author(), AUTHOR)


def test_where_mailboxes_show_an_id_once_it_may_be_sent_again(server: MailServer, settings: dict[str, Any]) -> None:
    server.cut = "after"
    mail = Mail(Options(**settings, again=True))
    with pytest.raises(SourceError) as caught:
        mail.tell(to_author(), AUTHOR)
    assert type(caught.value) is SourceError and mail.told(to_author(), AUTHOR) is None
    mail.tell(to_author(), AUTHOR)
    assert len({one.mail["Message-ID"] for one in server.mails}) == 1


def test_a_wrong_password_is_for_a_person_and_not_told(server: MailServer, settings: dict[str, Any]) -> None:
    wrong = Sensitive("-".join(("another", "local", "word")))
    with pytest.raises(AccessError, match="check user and password") as caught:
        Mail(Options(**(settings | {"password": wrong}))).tell(to_author(), AUTHOR)
    assert wrong.reveal() not in str(caught.value) and not server.mails


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(server: MailServer, settings: dict[str, Any]) -> None:
    with pytest.raises(AccessError, match="certificate is not trusted"):
        Mail(Options(**(settings | {"ca_file": None}))).tell(to_author(), AUTHOR)
    assert not server.mails


def test_tls_from_the_start(trusted: Authority, settings: dict[str, Any]) -> None:
    with mail_server(trusted.server, starttls=False) as server:
        own = {"port": server.port, "security": "tls", "user": "", "password": None}
        Mail(Options(**(settings | own))).tell(to_author(), AUTHOR)
        assert server.mails[0].encrypted


def test_a_server_without_starttls_gets_nothing(settings: dict[str, Any]) -> None:
    with mail_server() as server:
        with pytest.raises(AccessError, match="offers no STARTTLS"):
            Mail(Options(**(settings | {"port": server.port}))).tell(to_author(), AUTHOR)
        assert not server.mails
        plain = {"port": server.port, "security": "none", "user": "", "password": None}
        Mail(Options(**(settings | plain))).tell(to_author(), AUTHOR)
        assert len(server.mails) == 1


def test_nobody_there(settings: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="cannot be reached"):
        Mail(Options(**(settings | {"port": free_port()}))).tell(to_author(), AUTHOR)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sender": "nobody"}, "no e-mail address"),
        ({"to": ("a@b", "not an address")}, "no e-mail address"),
        ({"security": "none", "host": "mail.example"}, "without encryption"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(
    settings: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        open_notifier(Options(**(settings | changes)))


def test_a_bulk_notice_is_one_mail_that_any_server_takes(server: MailServer, settings: dict[str, Any]) -> None:
    Mail(Options(**settings)).tell(notice(300), TEAM)
    (taken,) = server.mails
    assert max(map(len, taken.raw.split(b"\r\n"))) <= 998
    parsed = email.message_from_bytes(taken.raw, policy=default)
    assert not parsed.defects and str(parsed["Subject"]).startswith("Critical: 300 secrets")
