"""Posting into a channel of Teams through its workflow ("Post to a channel when a webhook request is received").

The address of a workflow is a secret: whoever has it can post. It stands in no error and in no log; the standard
library's client is used because the usual ones write addresses to their logs. Redirects are not followed.

A message holds one adaptive card and is 28 kB at most. The older connectors (`webhook.office.com`) take the same, but
answer 200 with words about a failure.

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from keysentry.connectors.microsoft.faults import retry_after
from keysentry.errors import AccessError, ClosedError, ConfigError, InputError, SourceError, UnclearError
from keysentry.model.sensitive import Sensitive

_TIMEOUT: Final = 30.0
_LOCAL: Final = frozenset(("127.0.0.1", "localhost", "::1"))
_TOLD: Final = 12_000
"""How much of a notice is told, in bytes: a message holds 28 kB."""
_ANSWER: Final = 4096
_FAILED: Final = "webhook message delivery failed"
_NEW: Final = "make the channel's workflow anew (Workflows, in the channel's menu) and set `webhook` to its address"


class Workflow:
    """One channel's workflow. Safe to use from several threads."""

    def __init__(self, webhook: Sensitive, *, place: str, timeout: float = _TIMEOUT) -> None:
        """Raises `ConfigError` for what is no address."""
        url = webhook.reveal()
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError("webhook is no address", place=place) from None
        self.host = parts.hostname or ""
        sound = self.host and url.isascii() and all(33 <= ord(char) < 127 for char in url) and "@" not in parts.netloc
        if not sound or (parts.scheme != "https" and not (parts.scheme == "http" and self.host in _LOCAL)):
            raise ConfigError("webhook must be an address like https://host/path", place=place)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._place = f"{place} at {self.host}"
        self._timeout = timeout
        self._closed = threading.Event()

    def post(self, subject: str, text: str, links: Sequence[tuple[str, str]]) -> int:
        """Post a card, once; the status of the answer.

        Raises `SourceError` (try later), `AccessError` (a person must act), `InputError` or `UnclearError`.
        """
        if self._closed.is_set():
            raise ClosedError("closed", place=self._place)
        body = msgspec.json.encode(card(subject, text, links))
        connection = self._connect()
        try:
            connection.request("POST", self._target, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read(_ANSWER).decode("utf-8", "replace")
            status, after = response.status, response.getheader("Retry-After")
        except (OSError, http.client.HTTPException) as error:
            raise UnclearError(
                f"the connection ended before an answer ({type(error).__name__})", place=self._place
            ) from None
        finally:
            connection.close()
        self._judge(status, after, said)
        return status

    def close(self) -> None:
        """No further card is posted."""
        self._closed.set()

    def _connect(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection
        if self._tls is not None:
            connection = http.client.HTTPSConnection(self.host, self._port, timeout=self._timeout, context=self._tls)
        else:
            connection = http.client.HTTPConnection(self.host, self._port, timeout=self._timeout)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise SourceError(f"it cannot be reached ({type(error).__name__})", place=self._place) from None
        return connection

    def _judge(self, status: int, after: str | None, said: str) -> None:
        """Raise unless an answer is a success. What the other side says is not repeated: it may hold its address."""
        answered = f"it answers {status} {http.client.responses.get(status, '')}".rstrip()
        if status == 429 or (200 <= status < 300 and _FAILED in said.lower()):
            wait = retry_after(after)
            asked = f"; it asks to wait {wait:,.0f} s" if wait else ""
            raise SourceError(f"{answered}, and did not post the message{asked}", place=self._place)
        if 200 <= status < 300:
            return
        if status in (401, 403, 404, 410):
            raise AccessError(answered, place=self._place, advice=_NEW)
        if status == 503:
            raise SourceError(answered, place=self._place)
        if status >= 500 or status == 408:
            raise UnclearError(answered, place=self._place)
        raise InputError(answered, place=self._place, advice=_NEW if 300 <= status < 400 else "")


def card(subject: str, text: str, links: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A notice as a message with one adaptive card. Its words are literal: runs of text know no markup.

    https://adaptivecards.io/explorer/RichTextBlock.html
    """
    body = [_words(" ".join(subject.split()), size="Large", weight="Bolder")] if subject.strip() else []
    body += [_words(paragraph) for paragraph in _cut(text).split("\n\n") if paragraph.strip()]
    actions = [{"type": "Action.OpenUrl", "title": label or url, "url": url} for label, url in links[:6]]
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
        **({"actions": actions} if actions else {}),
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _words(text: str, **look: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text.strip("\n"), **look}]}


def _cut(text: str) -> str:
    data = text.strip().encode("utf-8", "replace")
    return data.decode() if len(data) <= _TOLD else data[:_TOLD].decode("utf-8", "ignore") + "…"
