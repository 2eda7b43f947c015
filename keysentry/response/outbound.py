"""The one HTTP client for requests that rules and users declare: it sends secrets, so it goes nowhere else.

Algorithm. A request names the hosts that it may go to. The host's addresses are resolved once, each of them is checked,
and the connection is made to an address that was checked: a name that resolves otherwise a moment later changes
nothing. TLS is verified against the host's name. A redirect is an answer like any other and never followed. Calls to
one host go through one `Pace`.

Invariants. HTTPS only. No private, loopback, link-local, shared (CGNAT), multicast or reserved address, also where one
of those is written inside an IPv6 address, unless the options name the host. Nothing is logged, and no error holds an
address, a header or a body: secrets stand in all of them. An answer is read up to `max_body` bytes, and a whole
exchange takes `total` seconds at most.

Failure modes. Before the request is sent everything may be tried again. What fails afterwards is tried again only for a
`repeatable` request; else it ends as `UnclearError`. 429 is always obeyed. Proxies are not used: through one, the
address could not be checked.

It stands on the standard library: the usual clients write addresses and headers to their logs.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from keysentry.__about__ import VERSION
from keysentry.connectors.pace import Clock, Pace, Refused
from keysentry.errors import AccessError, ConfigError, InputError, KeysentryError, SourceError, UnclearError

Resolve = Callable[[str, int], Sequence[tuple[str, int]]]
"""From a host and a port to (address, port) pairs. Raises `OSError`."""

_PIECE = 64 * 1024
_VISIBLE = re.compile(r"[!-~]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[ -~]*")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_TRANSLATED = ipaddress.IPv6Network("64:ff9b:1::/48")


class OutboundOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What requests of rules and users may do.

    `allow_hosts`: globs on hosts that rules may send to beside those that they name (`*.okta.com`, for rules whose host
    is found beside the secret). `allow_private`: hosts that may have private addresses (`name`), and ports other than
    443 (`name:port`): your own GitLab, an emulator. `ca_file`: certificates of an authority of your own, in PEM,
    trusted beside those of the system. `connect_timeout`: seconds to connect. `read_timeout`: seconds between two
    pieces of an answer. `total`: seconds for a whole exchange. `max_body`: bytes of an answer that are read.
    `per_minute`: requests a minute to one host; 0: no limit of ours. `tries`: how often a request is sent at most.
    `longest_wait`: the longest wait that a host may ask for, in seconds; beyond it the action comes back later.
    """

    allow_hosts: tuple[str, ...] = ()
    allow_private: tuple[str, ...] = ()
    ca_file: str = ""
    connect_timeout: float = 10.0
    read_timeout: float = 15.0
    total: float = 30.0
    max_body: int = 256 * 1024
    per_minute: float = 60.0
    tries: int = 3
    longest_wait: float = 30.0

    paths: ClassVar[tuple[str, ...]] = ("ca_file",)


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request, ready to be sent. Its `repr` shows nothing but the method and `shown`.

    `hosts`: globs on the hosts that it may go to. `shown`: what errors call the other side. `repeatable`: sending it
    twice does no more than sending it once. `key`: the idempotency key, which the provider is told.
    """

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""
    hosts: tuple[str, ...]
    shown: str
    repeatable: bool = False
    key: str = ""

    def __repr__(self) -> str:
        return f"Outgoing({self.method} to {self.shown})"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. Names of headers are in small letters. `cut`: the body was longer than what is here."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""
    cut: bool = False

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> object:
        """The body as JSON; None if it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def field(self, name: str) -> object:
        """A field of a body that is a JSON object; None where there is none."""
        document = self.json()
        return document.get(name) if isinstance(document, dict) else None


class Outbound:
    """Sends requests. Safe to use from several threads."""

    def __init__(
        self,
        options: OutboundOptions | None = None,
        *,
        resolve: Resolve | None = None,
        clock: Clock = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`resolve`, `clock` and `wait` stand for the system's; a wait answers True if it was woken to stop."""
        self.options = options or OutboundOptions()
        self._resolve = resolve or system_resolve
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._paces: dict[str, Pace] = {}
        self._trust: ssl.SSLContext | None = None
        self._closed = False

    def send(self, outgoing: Outgoing) -> Reply:
        """The answer, whatever its status; 429 is waited for, and 5xx where the request is repeatable.

        Raises `InputError` for a request that must not be sent, `UnclearError`, and `SourceError` for all that may be
        tried again later (`ClosedError` once closed).
        """
        address = self._checked(outgoing)
        return self._pace(address.hostname or "").call(lambda: self._once(outgoing, address))

    def close(self) -> None:
        """Wake all who wait; nothing is sent afterwards."""
        with self._lock:
            self._closed = True
            paces = list(self._paces.values())
        for pace in paces:
            pace.close()

    def _pace(self, host: str) -> Pace:
        with self._lock:
            if host not in self._paces:
                options = self.options
                self._paces[host] = Pace(
                    host,
                    per_second=options.per_minute / 60,
                    burst=max(1, int(options.per_minute / 6)),
                    tries=options.tries,
                    longest=options.longest_wait,
                    clock=self._clock,
                    wait=self._wait,
                )
                if self._closed:
                    self._paces[host].close()
            return self._paces[host]

    def _checked(self, outgoing: Outgoing) -> SplitResult:
        """The parts of the address, if it may be used at all."""
        place = outgoing.shown
        try:
            address = urlsplit(outgoing.url)
            host, port = address.hostname or "", address.port or 443
        except ValueError:
            host = ""
        if not host or not _VISIBLE.fullmatch(outgoing.url):
            raise InputError("its address cannot be understood", place=place)
        if address.scheme != "https" or address.username is not None:
            raise InputError("requests go over HTTPS only, without a name in the address", place=place)
        if not any(fnmatchcase(host, one) for one in (*outgoing.hosts, *self.options.allow_hosts)):
            raise InputError(
                "the request would go to a host that is not named", place=place, advice="name it in allow_hosts"
            )
        if port != 443 and not self._private(host, port):
            raise InputError("the port is not 443", place=place, advice="name host:port in allow_private")
        for name, value in outgoing.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise InputError("a header holds characters that no header can hold", place=place)
        return address

    def _private(self, host: str, port: int) -> bool:
        named = self.options.allow_private
        return f"{host}:{port}" in named or (port == 443 and host in named)

    def _addresses(self, host: str, port: int, place: str) -> Sequence[tuple[str, int]]:
        """Where a host is. All of its addresses must be allowed."""
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise Refused("its name cannot be resolved")
        if not self._private(host, port) and not all(is_public(address) for address, _ in found):
            raise InputError(
                "it resolves to an address that is not public",
                place=place,
                advice="name the host in allow_private if it is yours",
            )
        return found

    def _once(self, outgoing: Outgoing, address: SplitResult) -> Reply:
        host, port = address.hostname or "", address.port or 443
        with _deadline(self.options.total) as watch:
            connection = self._connect(self._addresses(host, port, outgoing.shown), host, port, outgoing.shown, watch)
            try:
                reply, fault = self._exchange(connection, outgoing, address)
                if watch.ended:
                    reply, fault = None, "no answer came in time"
            finally:
                connection.close()
        if reply is None:
            if outgoing.repeatable:
                raise Refused(fault)
            raise UnclearError(
                f"the request was sent, but {fault}",
                place=outgoing.shown,
                advice="look there whether it had its effect",
            )
        if reply.status == 429 or (reply.status >= 500 and outgoing.repeatable):
            raise Refused(f"it answered {reply.status}", retry_after(reply))
        return reply

    def _connect(
        self, found: Sequence[tuple[str, int]], host: str, port: int, place: str, watch: _Watch
    ) -> http.client.HTTPSConnection:
        """A verified connection to the first address that answers."""
        context = self._context()
        fault: KeysentryError | Refused = Refused("no connection")
        for address in found:
            raw: socket.socket | None = None
            try:
                raw = socket.create_connection(address, timeout=self.options.connect_timeout)
                watch.over(raw)
                secured = context.wrap_socket(raw, server_hostname=host, do_handshake_on_connect=False)
                raw = secured
                watch.over(secured)
                secured.do_handshake()
                secured.settimeout(self.options.read_timeout)
                connection = http.client.HTTPSConnection(host, port, context=context)
                connection.sock = secured
                return connection
            except ssl.SSLCertVerificationError as error:
                reason = f"its certificate cannot be trusted: {error.verify_message}"
                fault = SourceError(reason, place=place, advice="ca_file names an authority of your own")
            except OSError as error:
                fault = Refused(f"no connection: {error.strerror or type(error).__name__}")
            if raw is not None:
                raw.close()
        raise fault

    def _exchange(
        self, connection: http.client.HTTPSConnection, outgoing: Outgoing, address: SplitResult
    ) -> tuple[Reply | None, str]:
        """The answer, or why there is none."""
        path = address.path or "/"
        target = f"{path}?{address.query}" if address.query else path
        headers = {"User-Agent": f"keysentry/{VERSION}", "Connection": "close", **outgoing.headers}
        if outgoing.key:
            headers["Idempotency-Key"] = outgoing.key
        body = outgoing.body if outgoing.body or outgoing.method not in ("GET", "HEAD", "DELETE") else None
        try:
            connection.request(outgoing.method, target, body=body, headers=headers)
            with contextlib.closing(connection.getresponse()) as response:
                return self._read(response), ""
        except (http.client.HTTPException, OSError, ValueError) as error:
            timed = isinstance(error, TimeoutError)
            return None, "no answer came in time" if timed else f"the connection broke ({type(error).__name__})"

    def _read(self, response: http.client.HTTPResponse) -> Reply:
        limit = self.options.max_body
        pieces, size = [], 0
        while size <= limit and (piece := response.read(min(_PIECE, limit + 1 - size))):
            pieces.append(piece)
            size += len(piece)
        if size <= limit and response.length:
            raise http.client.IncompleteRead(b"")
        body = b"".join(pieces)
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        return Reply(status=response.status, headers=headers, body=body[:limit], cut=size > limit)

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._trust is None:
                context = ssl.create_default_context()
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                if self.options.ca_file:
                    try:
                        context.load_verify_locations(self.options.ca_file)
                    except OSError:
                        raise ConfigError(
                            "it cannot be read as certificates in PEM", place=self.options.ca_file
                        ) from None
                self._trust = context
            return self._trust


class _Watch:
    """Ends an exchange that takes too long, by shutting its socket down from another thread."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._over = False
        self._lock = threading.Lock()

    def over(self, one: socket.socket) -> None:
        with self._lock:
            self._socket = one
            if self._over:
                _shut(one)

    @property
    def ended(self) -> bool:
        """Whether the time was over: what was read until then may lack its end."""
        with self._lock:
            return self._over

    def end(self) -> None:
        with self._lock:
            self._over = True
            if self._socket is not None:
                _shut(self._socket)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(one, socket.SHUT_RDWR)


@contextmanager
def _deadline(seconds: float) -> Iterator[_Watch]:
    watch = _Watch()
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()


def system_resolve(host: str, port: int) -> Sequence[tuple[str, int]]:
    """The addresses of a host, as the system tells them, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(entry[4][0]), int(entry[4][1])) for entry in found))


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where it holds an IPv4 address inside.

    The ranges: https://www.iana.org/assignments/iana-ipv4-special-registry and .../iana-ipv6-special-registry.
    """
    try:
        one = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(one, ipaddress.IPv6Address):
        inner = one.ipv4_mapped or one.sixtofour or (one.teredo[1] if one.teredo else None)
        if one in _NAT64:
            inner = ipaddress.IPv4Address(int(one) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if one.is_site_local or one in _TRANSLATED:
            return False
    return one.is_global and not (one.is_multicast or one.is_reserved or one.is_unspecified)


def retry_after(reply: Reply) -> float | None:
    """How many seconds an answer asks to wait (RFC 9110, section 10.2.3); None if it says nothing."""
    value = reply.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def ask(outbound: Outbound, outgoing: Outgoing) -> Reply:
    """The answer to a question that changes nothing. Raises `SourceError` for 5xx as for no answer, and `InputError`
    for an answer that is too long: half of one must not be taken for the whole.
    """
    reply = outbound.send(outgoing)
    if reply.cut:
        raise InputError("its answer is too long", place=outgoing.shown, advice="raise max_body")
    if reply.status >= 500:
        raise SourceError(f"it answered {reply.status}", place=outgoing.shown)
    return reply


def refused(reply: Reply, place: str, advice: str = "") -> KeysentryError:
    """What an answer means that is not the one hoped for, to a request that carried a credential of ours."""
    said = f"it answered {reply.status}"
    if reply.status in (401, 403):
        return AccessError(said, place=place, advice=advice or "look at the credential and its permissions")
    if reply.status >= 500:
        return UnclearError(f"{said}: whether the request had its effect is not known", place=place)
    if 300 <= reply.status < 400:
        return InputError(f"{said}, a redirect, which is not followed", place=place, advice="name the final address")
    return InputError(said, place=place, advice=advice)
