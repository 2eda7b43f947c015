"""Notices as issues in Jira Cloud, by its REST interface, version 3
(https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/).

Jira takes no idempotency key. So each issue carries the notice's id as a label, which is looked for before an issue
is made. The search may know an issue only some seconds after it was made
(https://developer.atlassian.com/cloud/jira/platform/search-and-reconcile/): after an interruption it is asked several
times before it is believed that there is none.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from typing import ClassVar, Final, cast
from urllib.parse import urlencode

import msgspec

from keysentry.__about__ import VERSION
from keysentry.connectors.base import Notice, Notifier, NotifierOptions, Recipient
from keysentry.errors import ClosedError, ConfigError, SourceError
from keysentry.model.action import Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify.attempts import Attempts
from keysentry.response.notify.post import TIMEOUT, Answer, Endpoint

__all__ = ["Options", "document", "open_notifier"]

_SUMMARY = 255
"""How long a summary may be, in characters."""
_TEXT = 30_000
"""How long a description may be: Jira takes 32,767 characters of a text field."""
_WAITS: Final = (2.0, 4.0, 8.0, 16.0)
"""How long to wait before asking the search again, in seconds."""
_ADDRESS = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")


class Options(NotifierOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Jira can be told.

    `base_url`: the site (`https://acme.atlassian.net`). `email`: the account that makes the issues. `token`: an API
    token of that account. `project`: the key of the project. `issue_type`: the name of the issue type. `labels`: more
    labels for each issue. `timeout`: how long to wait for an answer, in seconds.
    """

    base_url: str
    email: str
    token: Sensitive | None = None
    project: str
    issue_type: str = "Task"
    labels: tuple[str, ...] = ("keysentry",)
    timeout: float = TIMEOUT

    environment: ClassVar[dict[str, tuple[str, ...]]] = {"token": ("JIRA_API_TOKEN",)}


def open_notifier(options: NotifierOptions) -> Notifier:
    """Jira. Raises `ConfigError`."""
    return Jira(cast(Options, options))


class Jira:
    """Makes issues in one project."""

    def __init__(self, options: Options, wait: Callable[[float], bool] | None = None) -> None:
        """`wait` sleeps so many seconds and answers True if it was woken to stop."""
        if options.token is None:
            advice = "set token, or the variable JIRA_API_TOKEN"
            raise ConfigError("Jira needs an API token", place=options.name, advice=advice)
        if wrong := [label for label in options.labels if re.search(r"\s", label) or not 0 < len(label) <= _SUMMARY]:
            raise ConfigError(f"a label must be one word: {wrong[0]!r}", place=options.name)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", options.project):
            advice = "the letters before the number of an issue: SEC in SEC-12"
            raise ConfigError(f"{options.project!r} is no key of a project", place=options.name, advice=advice)
        self._options = options
        self._token = options.token
        self._endpoint = Endpoint(options.base_url, what=options.name, timeout=options.timeout)
        self._closed = threading.Event()
        self._attempts = Attempts()
        self._wait = wait or self._closed.wait

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """See `Notifier`."""
        with self._attempts.trying(notice.id):
            return self._make(notice)

    def _make(self, notice: Notice) -> Receipt:
        if (known := self._find(notice.id)) is not None:
            return self._receipt("already", known)
        fields = {
            "project": {"key": self._options.project},
            "issuetype": {"name": self._options.issue_type},
            "summary": " ".join(notice.subject.split())[:_SUMMARY],
            "description": document(notice),
            "labels": [*self._options.labels, _label(notice.id)],
        }
        answer = self._ask("POST", "/rest/api/3/issue", msgspec.json.encode({"fields": fields}))
        key = _object(answer).get("key")
        return self._receipt("done", str(key or "an issue"))

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """Whether there is an issue with the notice's label. Asks for up to half a minute before it says that there
        is none.

        Raises `ClosedError` if it is closed meanwhile.
        """
        waits = () if self._attempts.surely_failed(notice.id) else _WAITS
        for seconds in (0.0, *waits):
            if seconds and self._wait(seconds):
                raise ClosedError("closed while it waited", place=self._options.name)
            if (known := self._find(notice.id)) is not None:
                return self._receipt("already", known)
        return None

    def close(self) -> None:
        """See `Notifier`."""
        self._closed.set()
        self._endpoint.close()

    def _find(self, id: str) -> str | None:
        """The key of the issue that a notice made, if the search knows it."""
        jql = f'project = "{self._options.project}" AND labels = "{_label(id)}"'
        query = urlencode({"jql": jql, "fields": "key", "maxResults": 2})
        issues = _object(self._ask("GET", f"/rest/api/3/search/jql?{query}")).get("issues")
        if not isinstance(issues, list):
            raise SourceError("its search answers with something else than issues", place=self._options.name)
        found = [str(one["key"]) for one in issues if isinstance(one, dict) and one.get("key")]
        return found[0] if found else None

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        basic = base64.b64encode(f"{self._options.email}:{self._token.reveal()}".encode()).decode()
        headers = {
            "Authorization": f"Basic {basic}",
            "Accept": "application/json",
            "User-Agent": f"keysentry/{VERSION}",
            **({"Content-Type": "application/json"} if body is not None else {}),
        }
        advice = "check email and token; the account needs Browse Projects and Create Issues in the project"
        return self._endpoint.ask(method, headers, body, path=path, again=body is None, advice=advice)

    def _receipt(self, outcome: str, key: str) -> Receipt:
        address = f"{self._options.base_url.rstrip('/')}/browse/{key}"
        note = f"{key} was made" if outcome == "done" else f"{key} is there"
        return Receipt(outcome="done" if outcome == "done" else "already", note=note, evidence={"issue": address})


def document(notice: Notice) -> dict[str, object]:
    """The notice in Atlassian's document format: paragraphs, lists, and links that can be opened
    (https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/).
    """
    content: list[dict[str, object]] = []
    points: list[str] = []
    for line in (*notice.text[:_TEXT].splitlines(), ""):
        if line.startswith("- "):
            points.append(line[2:])
        else:
            content += [*_list(points), *_paragraph(line)]
            points = []
    return {"type": "doc", "version": 1, "content": content or _paragraph(notice.subject)}


def _paragraph(line: str) -> list[dict[str, object]]:
    return [{"type": "paragraph", "content": _inline(line)}] if line.strip() else []


def _list(points: list[str]) -> list[dict[str, object]]:
    items = [{"type": "listItem", "content": _paragraph(point)} for point in points if point.strip()]
    return [{"type": "bulletList", "content": items}] if items else []


def _inline(line: str) -> list[dict[str, object]]:
    """The text of a line, its addresses as links. No text node may be empty."""
    pieces: list[dict[str, object]] = []
    end = 0
    for match in _ADDRESS.finditer(line):
        pieces.append({"type": "text", "text": line[end : match.start()]})
        link = {"type": "link", "attrs": {"href": match[0]}}
        pieces.append({"type": "text", "text": match[0], "marks": [link]})
        end = match.end()
    pieces.append({"type": "text", "text": line[end:]})
    return [piece for piece in pieces if piece["text"]]


def _label(id: str) -> str:
    return "keysentry-" + re.sub(r"[^A-Za-z0-9_.-]", "-", id)


def _object(answer: Answer) -> dict[str, object]:
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
