"""Slack's Web API and file downloads, played by a server of our own on loopback.

Everything here is ours; the third-party emulator of Slack (`emulate`, see `slack_emulate.py`) gives the same tests a
second opinion. This server exists because the emulator ignores `oldest`, `latest`, `inclusive` and the limit of
replies, never says 429, knows no expired token and no Socket Mode. Here these are as Slack's documentation has them,
and where that leaves room the stricter reading is taken:

- https://docs.slack.dev/reference/methods/conversations.history: newest first; `oldest` and `latest` are exclusive
  unless `inclusive`; with `oldest` alone the messages closest to it come first (so older documentation of the method
  has it); a page may hold fewer than `limit`; at most 999, and 15 for apps sold outside the Marketplace.
- https://docs.slack.dev/reference/methods/conversations.replies: earliest first; the parent comes on every page, beside
  the replies; `thread_not_found` for what is none.
- https://docs.slack.dev/reference/methods/conversations.list, conversations.info, conversations.members, users.list,
  users.info, files.info, auth.test, apps.connections.open.
- https://docs.slack.dev/apis/web-api/rate-limits: a method and minute; 429 with Retry-After (or without, if told to).
- https://docs.slack.dev/apis/web-api/pagination: cursors mean nothing outside, and can expire (`invalid_cursor`).
- Files: https://docs.slack.dev/reference/objects/file-object. A token that may not read files is led to a log-in page.

Weaker than the platform: one workspace, GET and POST alike, no Enterprise Grid, no `limit` checks but the maximum.

As a program it serves a generated channel of any size: `python -m tests.servers.slack --port 18000 --messages 200000
--plant 50` (token: any).
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import math
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

from tests.servers.slack_state import ALL_SCOPES, Conversation, Fields, Generated, State, Token, ts_number, ts_text

_END = 9_999_999_999_000_000


class Fault(NamedTuple):
    """What one call gets instead of its answer."""

    status: int = 200
    error: str = ""
    retry_after: str | None = None
    reset: bool = False
    body: bytes = b""


class Refusal(Exception):
    """An answer that is not ok, and what else is in it."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.answer: Fields = {"ok": False, "error": error, **more}


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients may leave in the middle
            super().handle_error(request, client_address)


class SlackServer:
    """A workspace behind HTTP. Its state is changed directly, or by its faults and limits."""

    def __init__(self, state: State | None = None, port: int = 0) -> None:
        self.state = state or State()
        self.calls: list[tuple[float, str, dict[str, str]]] = []
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.limits: dict[str, int] = {}
        self.minute = 60.0
        self.clock: Callable[[], float] = time.monotonic
        self.says_when = True
        self.too_many = 0
        self.most = 999
        self.short_pages = False
        self.open_to_all = False
        self.redirect: dict[str, str] = {}
        self.open_file = b""
        self.on_file: Callable[[str], None] = lambda token: None
        self.sockets: Callable[[], str] = lambda: ""
        self.on_call: Callable[[str, dict[str, str]], None] = lambda method, arguments: None
        self._lock = threading.RLock()
        self._made: dict[str, deque[float]] = defaultdict(deque)
        self._expired: set[str] = set()
        self._cursors = 0
        self._http = _Http(("127.0.0.1", port), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/api/"

    def serve(self) -> None:
        self._http.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def count(self, method: str) -> int:
        return sum(1 for _at, called, _arguments in self.calls if called == method)

    def fail(self, method: str, *faults: Fault) -> None:
        """Give the next calls of a method these faults."""
        self.faults[method].extend(faults)

    def expire_cursors(self) -> None:
        """Make every cursor that was given invalid."""
        self._expired.add(str(self._cursors))

    # -- calls ------------------------------------------------------------------------------------------------------

    def answer(self, method: str, arguments: dict[str, str], token: str) -> tuple[int, Fields, dict[str, str]]:
        """Status, body and headers of a call."""
        with self._lock:
            self.calls.append((self.clock(), method, arguments))
            self.on_call(method, arguments)
            wait = self._over_limit(method)
            if wait:
                self.too_many += 1
                headers = {"Retry-After": str(math.ceil(wait))} if self.says_when else {}
                return 429, {"ok": False, "error": "ratelimited"}, headers
            headers = {}
            try:
                known = self._token(token)
                headers["x-oauth-scopes"] = ",".join(sorted(known.scopes))
                play = getattr(self, "_" + method.replace(".", "_"), None)
                if play is None:
                    raise Refusal("unknown_method")
                return 200, {"ok": True, **play(arguments, known)}, headers
            except Refusal as refusal:
                return 200, refusal.answer, headers

    def _over_limit(self, method: str) -> float:
        limit = self.limits.get(method)
        if limit is None:
            return 0.0
        now, made = self.clock(), self._made[method]
        while made and now - made[0] >= self.minute:
            made.popleft()
        if len(made) >= limit:
            return self.minute - (now - made[0])
        made.append(now)
        return 0.0

    def _token(self, token: str) -> Token:
        if not token:
            raise Refusal("not_authed")
        known = self.state.tokens.get(token)
        if known is None and self.open_to_all:
            known = self.state.tokens[token] = Token(set(ALL_SCOPES))
        if known is None:
            raise Refusal("invalid_auth")
        if known.fault:
            raise Refusal(known.fault)
        return known

    @staticmethod
    def _need(token: Token, *scopes: str) -> None:
        missing = [scope for scope in scopes if scope not in token.scopes]
        if missing:
            raise Refusal("missing_scope", needed=",".join(missing), provided=",".join(sorted(token.scopes)))

    def _conversation(self, arguments: dict[str, str], token: Token, right: str) -> Conversation:
        conversation = self.state.conversations.get(arguments.get("channel", ""))
        if conversation is None:
            raise Refusal("channel_not_found")
        told = conversation.told
        self._need(token, f"{_family(told)}:{right}")
        open_to_person = not token.bot and _family(told) == "channels"
        if right == "history" and not told.get("is_member") and not told.get("is_im") and not open_to_person:
            raise Refusal("not_in_channel")
        return conversation

    # -- methods ----------------------------------------------------------------------------------------------------

    def _auth_test(self, _arguments: dict[str, str], token: Token) -> Fields:
        who = {"url": f"https://{self.state.domain}.slack.com/", "team": "Acme", "user": "keysentry", "user_id": "U0"}
        return who | {"team_id": "T0000001"} | ({"bot_id": "B00000001"} if token.bot else {})

    def _conversations_list(self, arguments: dict[str, str], token: Token) -> Fields:
        types = arguments.get("types", "public_channel").split(",")
        families = {"public_channel": "channels", "private_channel": "groups", "im": "im", "mpim": "mpim"}
        self._need(token, *(f"{families[one]}:read" for one in types))
        wanted = {families[one] for one in types}
        listed = [one.told for one in self.state.conversations.values() if _family(one.told) in wanted]
        seen = [told for told in listed if told.get("is_member") or _family(told) in ("channels", "im")]
        return self._listed("channels", seen, arguments)

    def _conversations_info(self, arguments: dict[str, str], token: Token) -> Fields:
        return {"channel": self._conversation(arguments, token, "read").told}

    def _conversations_members(self, arguments: dict[str, str], token: Token) -> Fields:
        return self._listed("members", self._conversation(arguments, token, "read").members, arguments)

    def _users_list(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "users:read")
        return self._listed("members", list(self.state.users.values()), arguments)

    def _users_info(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "users:read")
        user = self.state.users.get(arguments.get("user", ""))
        if user is None:
            raise Refusal("user_not_found")
        return {"user": user}

    def _files_info(self, arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "files:read")
        file = self.state.files.get(arguments.get("file", ""))
        if file is None:
            raise Refusal("file_not_found")
        return {"file": file.told}

    def _apps_connections_open(self, _arguments: dict[str, str], token: Token) -> Fields:
        self._need(token, "connections:write")
        return {"url": self.sockets()}

    def _conversations_history(self, arguments: dict[str, str], token: Token) -> Fields:
        conversation = self._conversation(arguments, token, "history")
        after, before = self._span(arguments)
        place = self._place(arguments)
        forward = "oldest" in arguments and "latest" not in arguments
        if place is not None:
            after, before = (place, before) if forward else (after, place)
        limit = self._limit(arguments, 100)
        moments = conversation.top(after, before)
        page = list(moments[:limit] if forward else moments[max(0, len(moments) - limit) :])
        found = [message for moment in reversed(page) if (message := conversation.message(moment)) is not None]
        more = len(page) < len(moments)
        answer: Fields = {"messages": found, "has_more": more, "pin_count": 0}
        if more:
            answer["response_metadata"] = {"next_cursor": self._cursor(page[-1] if forward else page[0])}
        return answer

    def _conversations_replies(self, arguments: dict[str, str], token: Token) -> Fields:
        conversation = self._conversation(arguments, token, "history")
        moment = ts_number(arguments.get("ts", "0"))
        if conversation.message(moment) is None:
            raise Refusal("thread_not_found")
        parent = conversation.parent_of(moment)
        after, before = self._span(arguments)
        place = self._place(arguments)
        after = after if place is None else place
        replies = [reply for reply in conversation.thread(parent) if after < reply < before]
        limit = self._limit(arguments, 1000)
        page, more = replies[:limit], len(replies) > limit
        found = [message for one in (parent, *page) if (message := conversation.message(one)) is not None]
        answer: Fields = {"messages": found, "has_more": more}
        if more:
            answer["response_metadata"] = {"next_cursor": self._cursor(page[-1])}
        return answer

    # -- pages ------------------------------------------------------------------------------------------------------

    def _span(self, arguments: dict[str, str]) -> tuple[int, int]:
        """The times that are asked for, both exclusive."""
        bounds: list[int] = []
        for key, absent in (("oldest", 0), ("latest", _END)):
            try:
                bounds.append(ts_number(arguments[key]) if key in arguments else absent)
            except ValueError:
                raise Refusal(f"invalid_ts_{key}") from None
        wide = 1 if arguments.get("inclusive") in ("1", "true") else 0
        return bounds[0] - wide, bounds[1] + wide

    def _limit(self, arguments: dict[str, str], default: int) -> int:
        limit = min(int(arguments.get("limit") or default), self.most)
        return max(1, limit // 2) if self.short_pages else limit

    def _cursor(self, place: int) -> str:
        self._cursors += 1
        return base64.b64encode(f"{len(self._expired)}:{place}".encode()).decode()

    def _place(self, arguments: dict[str, str]) -> int | None:
        cursor = arguments.get("cursor")
        if not cursor:
            return None
        try:
            age, _colon, place = base64.b64decode(cursor, validate=True).decode().partition(":")
            if int(age) != len(self._expired):
                raise Refusal("invalid_cursor")
            return int(place)
        except (binascii.Error, ValueError):
            raise Refusal("invalid_cursor") from None

    def _listed(self, key: str, items: list[Any], arguments: dict[str, str]) -> Fields:
        start = self._place(arguments) or 0
        end = start + self._limit(arguments, 100)
        following = self._cursor(end) if end < len(items) else ""
        return {key: items[start:end], "response_metadata": {"next_cursor": following}}


def _family(told: Fields) -> str:
    if told.get("is_im"):
        return "im"
    if told.get("is_mpim"):
        return "mpim"
    return "groups" if told.get("is_private") else "channels"


def _handler(server: SlackServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or the second small write of an answer waits for the client's acknowledgement

        def log_message(self, format: str, *args: Any) -> None:
            return

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            arguments = {key: values[-1] for key, values in parse_qs(body).items()}
            self._call(urlsplit(self.path).path.removeprefix("/api/"), arguments)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.startswith("/files-pri/"):
                server.on_file(self._bearer())
                self._file(parts.path)
            elif parts.path == "/open":
                server.on_file(self._bearer())
                self._send(200, server.open_file, {"Content-Type": "text/plain"})
            elif parts.path == "/":
                self._send(200, b"<html><body>Sign in to Acme</body></html>", {"Content-Type": "text/html"})
            else:
                arguments = {key: values[-1] for key, values in parse_qs(parts.query).items()}
                self._call(parts.path.removeprefix("/api/"), arguments)

        def _bearer(self) -> str:
            return self.headers.get("Authorization", "").removeprefix("Bearer ").strip()

        def _call(self, method: str, arguments: dict[str, str]) -> None:
            faults = server.faults.get(method)
            if faults:
                self._fault(faults.popleft(), method, arguments)
                return
            status, answer, headers = server.answer(method, arguments, self._bearer())
            self._send(status, absolute(answer, server.url), {"Content-Type": "application/json", **headers})

        def _fault(self, fault: Fault, method: str, arguments: dict[str, str]) -> None:
            server.calls.append((server.clock(), method, arguments))
            if fault.reset:  # half an answer, and then the connection is gone
                _status, answer, _headers = server.answer(method, arguments, self._bearer())
                body = absolute(answer, server.url)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
            body = fault.body or json.dumps({"ok": False, "error": fault.error or "fatal_error"}).encode()
            self._send(fault.status, body, headers)

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def _file(self, path: str) -> None:
            faults = server.faults.get("files")
            if faults:
                self._fault(faults.popleft(), "files", {})
                return
            server.calls.append((server.clock(), "files", {"range": self.headers.get("Range", "")}))
            token = server.state.tokens.get(self._bearer())
            if token is None or token.fault or "files:read" not in token.scopes:
                self._send(302, b"", {"Location": f"{server.url}/?redir=%2Ffiles-pri"})
                return
            elsewhere = next((to for start, to in server.redirect.items() if path.startswith(start)), "")
            if elsewhere:
                self._send(302, b"", {"Location": elsewhere})
                return
            stored = server.state.files.get(path.split("/")[2].partition("-")[2])
            if stored is None:
                self._send(404, b"", {})
                return
            start = 0
            told = self.headers.get("Range", "")
            if stored.ranges and told.startswith("bytes=") and self.headers.get("If-Range", stored.etag) == stored.etag:
                start = int(told[6:].partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", stored.told.get("mimetype", "application/octet-stream"))
            self.send_header("ETag", stored.etag)
            self.send_header("Content-Length", str(stored.size - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{stored.size - 1}/{stored.size}")
            self.end_headers()
            stop = stored.size
            if stored.breaks and stored.breaks[0] > start:
                stop = stored.breaks.pop(0)
                self.close_connection = True
            while start < stop:
                end = min(start + 65536, stop)
                self.wfile.write(stored.read(start, end))
                start = end

    return Handler


def absolute(answer: Fields, url: str) -> bytes:
    """An answer as JSON, the addresses of files made whole."""
    return msgspec.json.encode(answer).replace(b'"/files-pri/', f'"{url}/files-pri/'.encode())


@contextmanager
def slack(state: State | None = None, port: int = 0) -> Iterator[SlackServer]:
    """A server that runs as long as the context lasts."""
    server = SlackServer(state, port)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def main() -> None:
    """Serve a generated channel until interrupted."""
    parser = argparse.ArgumentParser(description="A Slack workspace with a generated channel, on loopback.")
    parser.add_argument("--port", type=int, default=18000)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--plant", type=int, default=0, help="how many messages hold a forged credential")
    parser.add_argument("--channels", type=int, default=1, help="over how many channels they are spread")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    state = State()
    for number in range(7):
        state.add_user(f"U{number:08d}", f"person{number}")
    for number in range(chosen.channels):
        count = chosen.messages // chosen.channels + (number < chosen.messages % chosen.channels)
        plants = chosen.plant // chosen.channels + (number < chosen.plant % chosen.channels)
        state.add_conversation(Generated(f"C{number:08d}", f"channel-{number}", count, plants, chosen.seed))
    with slack(state, chosen.port) as server:
        server.open_to_all = True
        first = [moment for one in islice(state.conversations.values(), 1) for moment in one.top(0, _END)[:1]]
        print(
            f"{server.base_url} {chosen.messages:,} messages from {ts_text(first[0]) if first else 'never'}", flush=True
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()
