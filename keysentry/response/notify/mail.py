"""Notices by e-mail: SMTP, encrypted, as plain text and simple HTML.

A mail's `Message-ID` is made from the notice's id, so that a notice is the same mail whenever it is sent. Whether a
server took a mail can be asked of nobody: where an attempt was interrupted after the content was sent, its outcome is
unclear (`UnclearError`), unless the configuration says that sending it again is fine, because the mailboxes show
mails with one `Message-ID` once (Exchange and Gmail do).
"""

from __future__ import annotations

import html
import re
import smtplib
import ssl
import time
from collections.abc import Callable
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import ClassVar, Literal, cast

from keysentry.connectors.base import Notice, Notifier, NotifierOptions, Recipient
from keysentry.errors import AccessError, ConfigError, InputError, SourceError, UnclearError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify.attempts import Attempts
from keysentry.response.notify.post import TIMEOUT, local, tls_context, words_of

__all__ = ["Options", "message", "open_notifier"]

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LINK = re.compile(r"https?://[^\s<>\"&]+(?:&amp;[^\s<>\"&]+)*[^\s<>\"&.,;:!?)\]]")


class Options(NotifierOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What e-mail can be told.

    `host`: the server that takes mails. `port`: its port; 0: 587, 465 or 25, by `security`. `security`: `starttls`,
    `tls` or `none`; the last only on this machine. `user`: the name to log in with. `password`: the password to log
    in with. `sender`: the address that mails come from, with a name if you like (`Keysentry
    <keysentry@acme.example>`). `to`: who is told where a notice is not for an author. `reply_to`: where answers go.
    `domains`: authors are only written to at addresses of these domains; empty: at any. `again`: send a mail again
    whose outcome is unclear; for mailboxes that show mails with one Message-ID once.

    `timeout`: how long to wait for the server, in seconds. `ca_file`: certificates of the authority that the server's
    certificate is checked by.
    """

    host: str
    port: int = 0
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: Sensitive | None = None
    sender: str
    to: tuple[str, ...] = ()
    reply_to: str = ""
    domains: tuple[str, ...] = ()
    again: bool = False
    timeout: float = TIMEOUT
    ca_file: Path | None = None

    environment: ClassVar[dict[str, tuple[str, ...]]] = {"password": ("KEYSENTRY_SMTP_PASSWORD",)}
    paths: ClassVar[tuple[str, ...]] = ("ca_file",)


def open_notifier(options: NotifierOptions) -> Notifier:
    """E-mail. Raises `ConfigError`."""
    return Mail(cast(Options, options))


class Mail:
    """Sends mails by one server, each over a connection of its own."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        for setting in (options.sender, options.reply_to, *options.to):
            if setting and not _ADDRESS.fullmatch(parseaddr(setting)[1]):
                raise ConfigError(f"{setting!r} is no e-mail address", place=options.name)
        if options.security == "none" and not local(options.host):
            advice = 'security = "starttls" or "tls"'
            raise ConfigError(
                "mails are not sent without encryption to another machine", place=options.name, advice=advice
            )
        self._options = options
        self._clock = clock
        self._attempts = Attempts()
        self._tls = tls_context(options.ca_file, options.name) if options.security != "none" else None

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`."""
        with self._attempts.trying(notice.id):
            return self._send(notice, recipient)

    def _send(self, notice: Notice, recipient: Recipient) -> Receipt:
        to = self._to(recipient)
        mail = message(notice, self._options.sender, to, self._options.reply_to, notice.time or self._clock())
        server = self._connect()
        try:
            refused = self._begin(server, to)
            answer = self._content(server, mail.as_bytes(policy=SMTP))
        finally:
            _leave(server)
        evidence = {"message-id": str(mail["Message-ID"]), "server": self._options.host, "answer": answer}
        if refused:
            evidence["refused"] = ", ".join(refused)
        count = len(to) - len(refused)
        note = f"a mail to {count} address{'es' if count != 1 else ''}" + (
            f", {len(refused)} refused" if refused else ""
        )
        return Receipt(outcome="done", note=note, evidence=evidence)

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Nobody can be asked. None after an attempt that surely failed, or where the configuration allows to send a
        mail again; else raises `UnclearError`.
        """
        if self._options.again or self._attempts.surely_failed(notice.id):
            return None
        advice = "look into the mailbox; again = true sends such mails again, where mailboxes show a Message-ID once"
        raise UnclearError("whether the mail was sent is not known", place=self._place, advice=advice)

    def close(self) -> None:
        """Nothing is kept open."""

    @property
    def _place(self) -> str:
        return f"{self._options.name} at {self._options.host}"

    def _to(self, recipient: Recipient) -> list[str]:
        """Who is written to. An author whose address is not known is told by nobody else in their stead."""
        if not (recipient.author_id or recipient.email):
            if not self._options.to:
                raise InputError("nobody is named whom to write to", place=self._options.name, advice="set to")
            return [parseaddr(one)[1] for one in self._options.to]
        address = next((one for one in (recipient.email, recipient.author) if _ADDRESS.fullmatch(one)), "")
        if not address:
            advice = "tell this author by the platform, or a team by another notifier"
            raise InputError(
                "the platform tells no e-mail address of the author", place=self._options.name, advice=advice
            )
        domain = address.rpartition("@")[2].lower()
        if self._options.domains and domain not in {one.lower().lstrip("@") for one in self._options.domains}:
            reason = "the author's address is in none of the domains that may be written to"
            raise InputError(reason, place=self._options.name, advice="see domains")
        return [address]

    def _connect(self) -> smtplib.SMTP:
        """A connection that is encrypted and logged in."""
        options = self._options
        port = options.port or _PORTS[options.security]
        try:
            if options.security == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(options.host, port, timeout=options.timeout, context=self._tls)
            else:
                server = smtplib.SMTP(options.host, port, timeout=options.timeout)
        except (OSError, smtplib.SMTPException) as error:
            raise self._failed(error) from None
        try:
            if options.security == "starttls":
                server.starttls(context=self._tls)
            if options.user and options.password is not None:
                server.login(options.user, options.password.reveal())
        except (OSError, smtplib.SMTPException, ValueError) as error:
            _leave(server)
            raise self._failed(error) from None
        return server

    def _begin(self, server: smtplib.SMTP, to: list[str]) -> list[str]:
        """Everything before the content; gives the addresses that the server refused for good."""
        refused: list[str] = []
        try:
            server.ehlo_or_helo_if_needed()
            self._accepted(*server.mail(parseaddr(self._options.sender)[1]))
            for address in to:
                code, said = server.rcpt(address)
                if code // 100 == 5 and len(to) > 1:
                    refused.append(address)
                else:
                    self._accepted(code, said)
        except (OSError, smtplib.SMTPException) as error:
            raise self._failed(error) from None
        if len(refused) == len(to):
            raise InputError("the server refuses every address", place=self._place)
        return refused

    def _content(self, server: smtplib.SMTP, content: bytes) -> str:
        """Send the content. From its end to the server's answer, the outcome is not known."""
        try:
            code, said = server.data(content)
        except smtplib.SMTPDataError as error:  # it does not even want to begin
            raise self._failed(error) from None
        except (OSError, smtplib.SMTPException):
            reason = "the connection ended while the content was sent"
            raise (SourceError if self._options.again else UnclearError)(reason, place=self._place) from None
        self._accepted(code, said)
        return f"{code} {words_of(said, 100)}"

    def _accepted(self, code: int, said: bytes) -> None:
        if code // 100 != 2:
            raise self._failed(smtplib.SMTPResponseException(code, said))

    def _failed(self, error: Exception) -> SourceError | InputError:
        """What an error means: a passing one, one for a person, or one that stays."""
        if isinstance(error, ssl.SSLCertVerificationError):
            advice = "ca_file names the authority that issued it"
            return AccessError(
                f"its certificate is not trusted: {error.verify_message}", place=self._place, advice=advice
            )
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return AccessError(
                "the server offers no STARTTLS, or no way to log in", place=self._place, advice="see security"
            )
        if not isinstance(error, smtplib.SMTPResponseException):
            return SourceError(f"cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}",
                               place=self._place)  # fmt: skip
        code, said = error.smtp_code, error.smtp_error
        text = f"the server says {code} {words_of(said if isinstance(said, bytes) else said.encode(), 200)}"
        if isinstance(error, smtplib.SMTPAuthenticationError) or code in (530, 534, 535):
            return AccessError(text, place=self._place, advice="check user and password")
        return InputError(text, place=self._place) if code // 100 == 5 else SourceError(text, place=self._place)


def message(notice: Notice, sender: str, to: list[str], reply_to: str, when: float) -> EmailMessage:
    """The mail of a notice: the same for the same notice."""
    from datetime import UTC, datetime

    mail = EmailMessage(policy=SMTP)
    name, address = parseaddr(sender)
    user, _, domain = address.rpartition("@")
    mail["From"] = Address(name, user, domain)
    mail["To"] = ", ".join(to)
    mail["Subject"] = " ".join(notice.subject.split())
    mail["Date"] = format_datetime(datetime.fromtimestamp(int(when), UTC))
    mail["Message-ID"] = f"<{re.sub(r'[^A-Za-z0-9._-]', '-', notice.id)}@{domain}>"
    if reply_to:
        mail["Reply-To"] = reply_to
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notes in answer
    if notice.urgent:
        mail["Importance"] = "high"
    mail.set_content(notice.text + "\n")
    mail.add_alternative(_html(notice), subtype="html")
    mail["Content-Language"] = notice.language  # not before: it would become a header of the plain part
    boundary = re.sub(r"[^A-Za-z0-9]", "", notice.id)
    mail.set_boundary(f"=_keysentry_{boundary}")  # else it would be another one each time
    return mail


def _html(notice: Notice) -> str:
    body: list[str] = []
    for block in re.split(r"\n{2,}", notice.text):
        points: list[str] = []
        for line in (*block.splitlines(), ""):
            if line.startswith("- "):
                points.append(f"<li>{_linked(line[2:])}</li>")
                continue
            body += [f"<ul>{''.join(points)}</ul>"] if points else []
            body += [f"<p>{_linked(line)}</p>"] if line else []
            points = []
    language = html.escape(notice.language, quote=True)
    return f'<!DOCTYPE html>\n<html lang="{language}"><body>\n' + "\n".join(body) + "\n</body></html>\n"


def _linked(line: str) -> str:
    return _LINK.sub(lambda match: f'<a href="{match[0]}">{match[0]}</a>', html.escape(line, quote=False))


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (OSError, smtplib.SMTPException):
        pass
    finally:
        server.close()
