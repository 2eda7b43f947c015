"""The content of files: streamed, in ranges where a connection breaks, and never to a stranger.

A file's address (`url_private_download`) is asked with the token as bearer
(https://docs.slack.dev/reference/objects/file-object). Slack does not say no to a token that may not read a file: it
leads to a page for logging in, which must not pass for the file.

Invariants. The token goes to Slack's own hosts (and that of `base_url`) only, over HTTPS; a redirection to another host
is followed without it. At most one piece is held. What comes is one state of the file: if it changed under the read,
the read fails and is done anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from keysentry.connectors.pace import Pace, Refused
from keysentry.connectors.slack.client import Client, retry_after
from keysentry.errors import InputError, SourceError

_PIECE: Final = 256 << 10
_HOSTS: Final = (".slack.com", ".slack-gov.com", ".slack-files.com", ".slack-edge.com")
_REDIRECTIONS: Final = 4
_BREAKS: Final = 5


class _Stay(HTTPRedirectHandler):
    """Leaves redirections to the caller: urllib would send the token along to wherever they lead."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> None:
        return None


class Downloads:
    """Gives the content of files of one workspace."""

    def __init__(self, client: Client, timeout: float = 60.0) -> None:
        self._client = client
        self._timeout = timeout
        self._opener: OpenerDirector = build_opener(_Stay)

    def content(self, url: str, place: str, *, page: bool = False) -> Iterator[bytes]:
        """A file in pieces, from its start. `page` says that the file is itself a web page (a canvas, a post).

        Raises `InputError` for a file that cannot be had, `SourceError` for one that may be had later, and
        `AccessError` where the token is not accepted at all.
        """
        self._check_host(url, place)
        pace: Pace = self._client.pace("files")
        done, breaks, etag = 0, 0, ""
        while True:
            response = pace.call(partial(self._follow, url, place, done, etag, page))
            with response:
                skip = _start(response, done, etag, place)
                etag = response.headers.get("ETag", "")
                total = _total(response, done - skip)
                before = done
                whole = True
                try:
                    for piece in _pieces(response, skip):
                        pace.pause(0)
                        done += len(piece)
                        yield piece
                except (OSError, HTTPException):
                    whole = False  # what is left is asked for again, from where it broke
            if done >= total if total is not None else whole:
                return
            breaks = 1 if done > before else breaks + 1
            if breaks > _BREAKS:
                raise SourceError(f"the connection breaks at byte {done:,}, again and again", place=place)

    def _follow(self, url: str, place: str, offset: int, etag: str, page: bool) -> HTTPResponse:
        for _ in range(_REDIRECTIONS):
            headers = {"Accept-Encoding": "identity"}
            if self._trusted(url):
                headers["Authorization"] = self._client.authorization
            if offset:
                headers["Range"] = f"bytes={offset}-"
                if etag and not etag.startswith("W/"):
                    headers["If-Range"] = etag
            if urlsplit(url).scheme not in ("http", "https"):
                raise InputError("its address is not one of the web", place=place)
            found = self._request(Request(url, headers=headers), place)  # noqa: S310  its scheme was looked at
            if isinstance(found, HTTPResponse):
                if not page and found.headers.get_content_type() == "text/html":
                    found.close()
                    raise self._not_allowed(place)
                return found
            url = urljoin(url, found)
            if "redir=" in urlsplit(url).query:
                raise self._not_allowed(place)
        raise InputError("its address leads round in circles", place=place)

    def _request(self, request: Request, place: str) -> HTTPResponse | str:
        """The response, or where it says to look instead."""
        try:
            response: HTTPResponse = self._opener.open(request, timeout=self._timeout)
        except HTTPError as error:
            with error:
                return self._refusal(error, place)
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Refused(f"no answer for {place}: {reason or type(error).__name__}") from None
        return response

    def _refusal(self, error: HTTPError, place: str) -> str:
        code = error.code
        if code in (301, 302, 303, 307, 308):
            return error.headers.get("Location", "")
        if code == 429:
            raise Refused("too many downloads", retry_after(dict(error.headers.items())))
        if code >= 500 or code == 408:
            raise Refused(f"Slack has a fault of its own at {place} ({code})")
        if code in (401, 403):
            raise self._not_allowed(place)
        if code == 416:
            raise SourceError("it became shorter while it was read", place=place)
        raise InputError(f"Slack answers {code}: the file is not there any more", place=place)

    def _not_allowed(self, place: str) -> InputError:
        """Why a file is not given: the token is dead (that is raised), or may not read files."""
        _who, scopes = self._client.scopes()
        if scopes is not None and "files:read" not in scopes:
            return InputError("the token may not read files", place=place, advice="add the scope files:read")
        return InputError("Slack does not give it to this token", place=place, advice="it needs the scope files:read")

    def _check_host(self, url: str, place: str) -> None:
        if not self._trusted(url):
            raise InputError(f"it is kept elsewhere, at {urlsplit(url).hostname or 'no address'}", place=place)

    def _trusted(self, url: str) -> bool:
        parts = urlsplit(url)
        own = urlsplit(self._client.base_url)
        if (parts.scheme, parts.netloc) == (own.scheme, own.netloc):
            return True
        host = (parts.hostname or "").lower()
        return parts.scheme == "https" and parts.port in (None, 443) and host.endswith(_HOSTS)


def _start(response: HTTPResponse, done: int, etag: str, place: str) -> int:
    """How many bytes to pass over: those that were given already, if the server does not begin where it was asked to.

    Raises `SourceError` if the server says that the file is not what it was.
    """
    if not done:
        return 0
    told = response.headers.get("Content-Range", "")
    if response.status == 206 and told.startswith(f"bytes {done}-"):
        return 0
    if response.status == 206 or response.headers.get("ETag", "") != etag:
        raise SourceError("it changed while it was read", place=place)
    return done


def _total(response: HTTPResponse, before: int) -> int | None:
    """How long the whole file is, if the server tells."""
    _unit, _slash, whole = response.headers.get("Content-Range", "").partition("/")
    if response.status == 206 and whole.isdigit():
        return int(whole)
    length = response.headers.get("Content-Length", "")
    return before + int(length) if length.isdigit() else None


def _pieces(response: HTTPResponse, skip: int) -> Iterator[bytes]:
    while piece := response.read(_PIECE):
        if skip >= len(piece):
            skip -= len(piece)
            continue
        yield piece[skip:]
        skip = 0
