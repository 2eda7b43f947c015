"""A mail server: aiosmtpd (the SMTP of RFC 5321, with STARTTLS, implicit TLS and AUTH) with a handler of our own.

It keeps every mail that it took, in order, and the addresses each went to. `say` names answers for the next command
of a kind instead of its own (`{"DATA": "451 later"}`); `cut` breaks the connection after the content came, before or
after it was taken. Stricter than most: no AUTH and no mail without TLS, where a certificate is given.
"""

from __future__ import annotations

import email
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from typing import Any, Literal, NamedTuple, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from tests.servers.process import free_port


class Taken(NamedTuple):
    """A mail, as bytes and parsed, and where it went."""

    raw: bytes
    mail: EmailMessage
    to: list[str]
    encrypted: bool


class MailServer:
    """The state of the server, and aiosmtpd's handler."""

    def __init__(self) -> None:
        self.mails: list[Taken] = []
        self.refused: set[str] = set()
        self.say: dict[str, str] = {}
        self.cut: Literal["", "before", "after"] = ""
        self.host = "127.0.0.1"
        self.port = 0

    async def handle_MAIL(
        self, server: Server, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if "MAIL" in self.say:
            return self.say.pop("MAIL")
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Server, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if "RCPT" in self.say:
            return self.say.pop("RCPT")
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        if "DATA" in self.say:
            return self.say.pop("DATA")
        if self.cut != "before":
            raw = cast(bytes, envelope.content)
            mail = cast(EmailMessage, email.message_from_bytes(raw, policy=default))
            encrypted = cast(Any, server).transport.get_extra_info("ssl_object") is not None
            self.mails.append(Taken(raw, mail, list(envelope.rcpt_tos), encrypted))
        if self.cut:
            self.cut = ""
            cast(Any, server).transport.abort()
        return "250 OK queued"


@contextmanager
def mail_server(
    tls: ssl.SSLContext | None = None, *, starttls: bool = True, login: tuple[str, str] | None = None
) -> Iterator[MailServer]:
    """A server on a port of the loopback interface: with STARTTLS if there is a certificate, or with TLS from the
    start."""
    handler = MailServer()

    def known(server: Server, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = login is not None and (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=right, handled=False)

    settings: dict[str, Any] = {"authenticator": known, "auth_required": login is not None}
    if tls is not None and starttls:
        settings |= {"tls_context": tls, "require_starttls": True}
    else:
        settings |= {"auth_require_tls": False}
    handler.port = free_port()
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=handler.port,
        ssl_context=None if starttls else tls,
        ready_timeout=10,
        **settings,
    )
    controller.start()
    try:
        yield handler
    finally:
        controller.stop()
