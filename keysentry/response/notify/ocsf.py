"""Notices as events of the Open Cybersecurity Schema Framework: one Detection Finding (class 2004) an incident, as
lines of JSON, appended to a file or sent to an address (https://schema.ocsf.io/1.3.0/classes/detection_finding).

`metadata.uid` is the notice's id with the incident's, `metadata.correlation_uid` the notice's id. A file is asked for
it before lines are written again; at an address the id of the request tells a second one apart.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, cast

import msgspec

from keysentry.__about__ import VERSION
from keysentry.connectors.base import Notice, Notifier, NotifierOptions, Recipient
from keysentry.errors import AccessError, ConfigError, SourceError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify import webhook
from keysentry.response.notify.post import TIMEOUT
from keysentry.response.notify.wire import facts_of, text_of

__all__ = ["Options", "events", "open_notifier"]

SCHEMA: Final = "1.3.0"
_SEVERITIES: Final = {"low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High"), "critical": (5, "Critical")}
_STATUSES: Final = {
    "open": (1, "New"),
    **dict.fromkeys(("contained", "assessed", "notified"), (2, "In Progress")),
    **dict.fromkeys(("accepted-risk", "false-positive"), (3, "Suppressed")),
    **dict.fromkeys(("remediated", "closed"), (4, "Resolved")),
}
_PIECE = 1 << 16
_LATEST = 64 << 20
"""How much of the end of a file is asked for what it holds already, in bytes."""


class Options(NotifierOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What OCSF events can be told: where they go, a file or an address.

    `file`: the file that lines are appended to. `url`: the address that they are sent to instead. `key`: the key that
    signs what is sent, as for a webhook. `token`: sent as a bearer token. `timeout`: how long to wait for an answer,
    in seconds. `plain_http`: allow an address that is not encrypted on another machine. `ca_file`: certificates of
    the authority that the receiver's certificate is checked by.
    """

    file: Path | None = None
    url: str = ""
    key: Sensitive | None = None
    token: Sensitive | None = None
    timeout: float = TIMEOUT
    plain_http: bool = False
    ca_file: Path | None = None

    environment: ClassVar[dict[str, tuple[str, ...]]] = {"key": ("KEYSENTRY_WEBHOOK_KEY",)}
    paths: ClassVar[tuple[str, ...]] = ("file", "ca_file")


def open_notifier(options: NotifierOptions) -> Notifier:
    """OCSF events. Raises `ConfigError`."""
    wanted = cast(Options, options)
    if (wanted.file is None) == (not wanted.url):
        raise ConfigError("OCSF events need a file or an address", place=wanted.name, advice="set file or url")
    return EventSender(wanted) if wanted.file is None else EventFile(wanted, wanted.file)


class EventSender:
    """Sends the events of a notice to an address, as one signed request."""

    def __init__(self, options: Options) -> None:
        self._webhook = webhook.Webhook(
            webhook.Options(
                name=options.name,
                url=options.url,
                key=options.key,
                token=options.token,
                timeout=options.timeout,
                plain_http=options.plain_http,
                ca_file=options.ca_file,
            )
        )

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`."""
        return self._webhook.send(notice.id, lines(notice), "application/x-ndjson")

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Not known; sending it again does no harm, because receivers know requests and events by their ids."""
        return None

    def close(self) -> None:
        """See `Notifier`."""
        self._webhook.close()


class EventFile:
    """Appends the events of a notice to a file. Several processes may append to the same one."""

    def __init__(self, options: Options, file: Path) -> None:
        self._options = options
        self._file = file

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`. The lines are on the disk when it returns."""
        try:
            with self._open() as file:
                _lock(file)
                missing = self._missing(file, notice)
                if missing:
                    _append(file, b"".join(missing))
        except PermissionError as error:
            advice = "the user that runs keysentry must be able to write there"
            raise AccessError(f"cannot be written: {error.strerror}", place=self._place, advice=advice) from None
        except OSError as error:
            raise SourceError(f"cannot be written: {error.strerror}", place=self._place) from None
        return self._receipt(notice, "done" if missing else "already")

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Whether the file has the notice's events."""
        try:
            with self._file.open("rb") as file:
                return None if self._missing(file, notice) else self._receipt(notice, "already")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", place=self._place) from None

    def close(self) -> None:
        """Nothing is kept open."""

    @property
    def _place(self) -> str:
        return f"{self._options.name}: {self._file}"

    def _missing(self, file: BinaryIO, notice: Notice) -> list[bytes]:
        """The lines of the notice that are not in the file. An interruption may have left some of them."""
        there = set(_uids(file, notice.id))
        return [line for line, uid in ((_line(one), _uid(one)) for one in events(notice)) if uid not in there]

    def _open(self) -> BinaryIO:
        """The file, made if it is not there, readable by its owner and group only."""
        number = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        file = os.fdopen(number, "r+b", buffering=0)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            file.close()
            raise OSError(0, "it is no file")
        return cast(BinaryIO, file)

    def _receipt(self, notice: Notice, outcome: str) -> Receipt:
        count = len(events(notice))
        note = f"{count} event{'s' if count != 1 else ''} in {self._file.name}"
        evidence = {"file": str(self._file), "correlation_uid": notice.id}
        return Receipt(outcome="done" if outcome == "done" else "already", note=note, evidence=evidence)


def lines(notice: Notice) -> bytes:
    """The events of a notice, a line each."""
    return b"".join(map(_line, events(notice)))


def events(notice: Notice) -> list[dict[str, object]]:
    """The events of a notice: one an incident that its facts hold. They validate against OCSF 1.3.0."""
    return [_event(notice, fact) for fact in facts_of(notice)]


def _event(notice: Notice, fact: dict[str, object]) -> dict[str, object]:
    severity, severity_name = _SEVERITIES.get(text_of(fact, "severity"), (0, "Unknown"))
    status, status_name = _STATUSES.get(text_of(fact, "state"), (0, "Unknown"))
    confidence = fact.get("confidence")
    return {
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200401,
        "type_name": "Detection Finding: Create",
        "time": int(notice.time * 1000),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "message": notice.subject,
        "confidence_score": round(100 * confidence) if isinstance(confidence, float | int) else 0,
        "metadata": {
            "version": SCHEMA,
            "product": {"name": "keysentry", "vendor_name": "keysentry", "version": VERSION},
            "uid": f"{notice.id}/{text_of(fact, 'id')}",
            "correlation_uid": notice.id,
        },
        "finding_info": _info(fact),
        "resources": [_resource(fact)],
        "evidences": [{"data": _evidence(fact)}],
        "unmapped": {"notice": {"kind": notice.kind, "urgent": notice.urgent, "count": notice.facts.get("count", 1)}},
    }


def _info(fact: dict[str, object]) -> dict[str, object]:
    title = text_of(fact, "title") or text_of(fact, "rule")
    found: dict[str, object] = {
        "uid": text_of(fact, "id"),
        "title": title,
        "desc": f"{title}: {text_of(fact, 'secret')}",
        "types": [text_of(fact, "category")],
        "analytic": {"name": text_of(fact, "rule"), "uid": text_of(fact, "rule"), "type": "Rule", "type_id": 1},
        "src_url": text_of(fact, "place", "uri"),
    }
    for name in ("first_seen", "last_seen"):
        seen = fact.get(name)
        found[f"{name}_time"] = int(seen * 1000) if isinstance(seen, float | int) else ""
    return {name: value for name, value in found.items() if value != ""}


def _resource(fact: dict[str, object]) -> dict[str, object]:
    place = "place"
    owner = {"name": text_of(fact, place, "author"), "uid": text_of(fact, place, "author_id")}
    owner = {name: text for name, text in owner.items() if text}
    found: dict[str, object] = {
        "uid": text_of(fact, place, "record"),
        "name": text_of(fact, place, "container") or text_of(fact, place, "path") or text_of(fact, place, "source"),
        "type": text_of(fact, place, "source"),
        "owner": owner,
    }
    return {name: value for name, value in found.items() if value} or {"name": "unknown"}


def _evidence(fact: dict[str, object]) -> dict[str, object]:
    names = ("secret", "rule", "provider", "lifetime", "liveness", "audience", "reach", "places", "regressions", "done")
    return {name: fact[name] for name in (*names, "reference") if fact.get(name) not in (None, "")}


# -- the file ---------------------------------------------------------------------------------------------------------


def _lock(file: BinaryIO) -> None:
    """Be the only one to append, among those who ask, until the file is closed."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - where there is no such lock, one process writes
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def _append(file: BinaryIO, content: bytes) -> None:
    """Write lines behind what is there; if that ends in the middle of a line, after an interruption, end it first. On a
    full disk nothing of them stays.
    """
    end = file.seek(0, os.SEEK_END)
    if end:
        file.seek(end - 1)
        if file.read(1) != b"\n":
            content = b"\n" + content
    try:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise


def _uids(file: BinaryIO, id: str) -> Iterator[str]:
    """The ids of a notice's events that are in the file, in complete lines, among the latest ones."""
    mark = msgspec.json.encode(id)
    for line in _latest_lines(file):
        if mark in line:
            try:
                yield _uid(msgspec.json.decode(line, type=dict[str, object]))
            except msgspec.DecodeError:  # the beginning of a line that was interrupted, and ended later
                continue


def _latest_lines(file: BinaryIO) -> Iterator[bytes]:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _LATEST))
    rest = b""
    while piece := file.read(_PIECE):
        *found, rest = (rest + piece).split(b"\n")
        yield from found


def _uid(event: dict[str, object]) -> str:
    return text_of(event, "metadata", "uid")


def _line(event: dict[str, object]) -> bytes:
    return msgspec.json.encode(event) + b"\n"
