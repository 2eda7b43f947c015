"""Notices as lines of syslog (RFC 5424), over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425).

Syslog answers nothing: over UDP a line may be lost without a trace; over TCP and TLS the other side is asked to close
the connection after the line, so that one which died is noticed. Each line carries the notice's id, by which a
collector tells a second one apart; so a line whose outcome is unclear is sent again.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from pathlib import Path
from typing import ClassVar, Final, Literal, cast

import msgspec

from keysentry.connectors.base import Notice, Notifier, NotifierOptions, Recipient
from keysentry.errors import AccessError, ConfigError, SourceError
from keysentry.model.action import Receipt
from keysentry.response.notify.cef import cef
from keysentry.response.notify.post import TIMEOUT, tls_context
from keysentry.response.notify.wire import document, iso

__all__ = ["Options", "line", "open_notifier"]

_FACILITIES: Final = {
    "user": 1,
    "daemon": 3,
    "auth": 4,
    "authpriv": 10,
    "audit": 13,
    "alert": 14,
    **{f"local{number}": 16 + number for number in range(8)},
}
_SEVERITIES: Final = {"critical": 2, "high": 3, "medium": 4, "low": 5}
_PORTS: Final = {"udp": 514, "tcp": 514, "tls": 6514}
_LONGEST: Final = {"udp": 2048, "tcp": 65_536, "tls": 65_536}
"""How long a line may be, in bytes. Every receiver of UDP should take 2,048 (RFC 5424, 6.1)."""
_GOODBYE = 2.0
"""How long the other side may take to close the connection, in seconds."""


class Options(NotifierOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What syslog can be told.

    `host`: the collector. `port`: its port; 0: 514, or 6514 with TLS. `transport`: `udp`, `tcp` or `tls`. `form`:
    what a line holds: `cef` or `json`. `facility`: `audit`, `auth`, `local0` and so on. `hostname`: the name that
    lines come from; empty: this machine's. `timeout`: how long to wait for a connection, in seconds. `ca_file`:
    certificates of the authority that the collector's certificate is checked by.
    """

    host: str
    port: int = 0
    transport: Literal["udp", "tcp", "tls"] = "tcp"
    form: Literal["cef", "json"] = "cef"
    facility: str = "audit"
    hostname: str = ""
    timeout: float = TIMEOUT
    ca_file: Path | None = None

    paths: ClassVar[tuple[str, ...]] = ("ca_file",)


def open_notifier(options: NotifierOptions) -> Notifier:
    """Syslog. Raises `ConfigError`."""
    return Syslog(cast(Options, options))


class Syslog:
    """Sends lines to one collector, each over a connection of its own."""

    def __init__(self, options: Options) -> None:
        if options.facility not in _FACILITIES:
            advice = f"one of: {', '.join(_FACILITIES)}"
            raise ConfigError(f"there is no facility {options.facility!r}", place=options.name, advice=advice)
        self._options = options
        self._port = options.port or _PORTS[options.transport]
        self._tls = tls_context(options.ca_file, options.name) if options.transport == "tls" else None

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`."""
        options = self._options
        sent = line(notice, recipient, options)
        try:
            if options.transport == "udp":
                self._datagram(sent)
            else:
                self._stream(sent)
        except ssl.SSLCertVerificationError as error:
            advice = "ca_file names the authority that issued it"
            reason = f"its certificate is not trusted: {error.verify_message}"
            raise AccessError(reason, place=self._place, advice=advice) from None
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise SourceError(f"the line could not be sent: {reason}", place=self._place) from None
        note = f"{len(sent):,} bytes by {options.transport}" + (
            ", which answers nothing" if options.transport == "udp" else ""
        )
        return Receipt(
            outcome="done", note=note, evidence={"collector": f"{options.host}:{self._port}", "id": notice.id}
        )

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Not known; a line that is sent again has the same id."""
        return None

    def close(self) -> None:
        """Nothing is kept open."""

    @property
    def _place(self) -> str:
        return f"{self._options.name} at {self._options.host}:{self._port}"

    def _datagram(self, sent: bytes) -> None:
        kind = socket.SOCK_DGRAM
        family, _, _, _, address = socket.getaddrinfo(self._options.host, self._port, type=kind)[0]
        with socket.socket(family, kind) as one:
            one.settimeout(self._options.timeout)
            one.sendto(sent, address)

    def _stream(self, sent: bytes) -> None:
        """Send the line with its length before it, and wait until the other side has seen the end."""
        frame = f"{len(sent)} ".encode() + sent
        with socket.create_connection((self._options.host, self._port), self._options.timeout) as plain:
            if self._tls is None:
                plain.sendall(frame)
                plain.shutdown(socket.SHUT_WR)
                _goodbye(plain)
                return
            with self._tls.wrap_socket(plain, server_hostname=self._options.host) as secure:
                secure.sendall(frame)
                secure.settimeout(_GOODBYE)
                with contextlib.suppress(TimeoutError, ssl.SSLError, ValueError):
                    secure.unwrap()


def _goodbye(one: socket.socket) -> None:
    """Wait until the other side closes, too. One that does not in time is none of our business; one that resets is."""
    one.settimeout(_GOODBYE)
    with contextlib.suppress(TimeoutError):
        while one.recv(4096):
            pass


def line(notice: Notice, recipient: Recipient, options: Options) -> bytes:
    """The line of RFC 5424, no longer than the transport takes."""
    severity = 1 if notice.urgent else _SEVERITIES.get(notice.severity, 3)
    host = options.hostname or socket.gethostname()
    head = " ".join(
        (
            f"<{8 * _FACILITIES[options.facility] + severity}>1",
            iso(notice.time),
            _name(host, 255),
            "keysentry",
            str(os.getpid()),
            _name(notice.kind, 32),
            "-",
        )
    )
    limit = _LONGEST[options.transport] - len(head) - 1
    return f"{head} ".encode() + _content(notice, recipient, options.form, limit)


def _content(notice: Notice, recipient: Recipient, form: str, limit: int) -> bytes:
    """What the line holds, complete in its form: where it is too long, words and then facts are left out."""
    facts = notice.facts
    incidents = facts.get("incidents")
    few = facts | {"incidents": incidents[:1] if isinstance(incidents, list) else []}
    for text, kept in (
        (notice.text, facts),
        (notice.text[:400], few),
        ("", few),
        ("", {"count": facts.get("count", 1)}),
    ):
        short = msgspec.structs.replace(notice, text=text, facts=kept)
        content = cef(short) if form == "cef" else msgspec.json.encode(document(short, recipient)).decode()
        if len(content.encode()) <= limit:
            break
    return content.encode() if form == "json" else content.encode()[:limit].decode("utf-8", "ignore").encode()


def _name(text: str, limit: int) -> str:
    """A header field: printable ASCII without blanks."""
    return re.sub(r"[^!-~]", "-", text)[:limit] or "-"
