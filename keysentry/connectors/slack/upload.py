"""Putting a file into Slack, in the three steps that it asks for
(https://docs.slack.dev/messaging/working-with-files#upload): an address, the content, and sharing it in a conversation.

Slack shares some time after it has answered, and now and then not at all: it is read back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec

from keysentry.connectors.pace import Refused
from keysentry.connectors.slack.acting import Actor, Limited
from keysentry.connectors.slack.client import Fields, retry_after
from keysentry.connectors.slack.sealed import SealedFile
from keysentry.errors import SourceError, UnclearError

_TIMEOUT: Final = 60.0
_LOOKS: Final = 6


def share(actor: Actor, file: SealedFile, channel: str, thread: str, look: Callable[[], bool]) -> None:
    """Upload a file and share it in a thread; `look` says whether it is to be seen there.

    Raises `SourceError`, and `UnclearError` where it does not appear.
    """
    told = actor.call("files.getUploadURLExternal", filename=file.name, length=len(file.content))
    id, url = told.get("file_id"), told.get("upload_url")
    if not isinstance(id, str) or not isinstance(url, str) or not _safe(url, actor.base_url):
        raise SourceError("Slack gives no address to upload a file to", place=actor.place)
    actor.pace("upload").call(partial(_send, url, file.content))
    files = msgspec.json.encode([{"id": id, "title": file.title or file.name}]).decode()

    def complete() -> Fields:
        return actor.once("files.completeUploadExternal", files=files, channel_id=channel, thread_ts=thread)

    actor.settled(complete, lambda: {} if look() else None)
    for attempt in range(_LOOKS):
        if look():
            return
        actor.pace("settling").pause(0.25 * 2**attempt)
    raise UnclearError(f"Slack took the file {id} and does not show it", place=actor.place)


def _send(url: str, content: bytes) -> None:
    """Send the content. It may be sent again: it becomes a file only when it is shared."""
    request = Request(url, data=content, headers={"Content-Type": "application/octet-stream"})  # noqa: S310  see _safe
    try:
        with urlopen(request, timeout=_TIMEOUT):  # noqa: S310
            return
    except HTTPError as error:
        with error:
            if error.code == 429:
                raise Limited("too many uploads", retry_after(dict(error.headers.items()))) from None
            if error.code >= 500 or error.code == 408:
                raise Refused(f"Slack has a fault of its own at an upload ({error.code})") from None
            raise SourceError(f"Slack answers {error.code} to an upload", place="Slack") from None
    except (OSError, HTTPException) as error:
        raise Refused(f"an upload broke off ({type(error).__name__})") from None


def _safe(url: str, base_url: str) -> bool:
    """Whether an address is one of HTTPS, or of the very interface that we talk to."""
    parts, own = urlsplit(url), urlsplit(base_url)
    return parts.scheme == "https" or (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
