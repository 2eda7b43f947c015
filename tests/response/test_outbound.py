"""Requests of rules: where they may go, what is sent, what comes of every answer, and that no word of a secret stays.

Against an HTTPS server of ours with an authority of the test run; names are sent there by the resolver that the client
is given, so that everything but DNS itself is as it is with a provider.
"""

from __future__ import annotations

import logging
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keysentry.errors import ClosedError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.response.outbound import Outbound, OutboundOptions, Outgoing, is_public, retry_after
from keysentry.rules.forge import forge
from tests.response.secrets_made import holds, told_everywhere
from tests.servers.https import Answer, Authority, Server, https, in_json

pytestmark = pytest.mark.xdist_group("https")

HOST = "api.acme.example"
SECRET = forge("ghp_{base62:30}{crc32-base62:6}", random.Random(7))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[Server]:
    with https(authority, [HOST, "other.acme.example"], lambda seen: Answer()) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.seen.clear()
    running.answer = lambda seen: in_json({"ok": True})
    return running


class Client:
    """An `Outbound` that finds every host at the server, and waits by moving its own clock."""

    def __init__(self, server: Server, authority: Authority, **options: Any) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        chosen = {"allow_private": (HOST,), "ca_file": str(authority.file), "per_minute": 0, **options}
        self.outbound = Outbound(
            OutboundOptions(**chosen), resolve=server.resolve, clock=lambda: self.now, wait=self._wait
        )

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return False

    def send(self, url: str = f"https://{HOST}/me?token={SECRET}", **more: Any) -> Any:
        asked = {"method": "POST", "hosts": (HOST,), "shown": HOST, **more}
        asked.setdefault("headers", {"Authorization": f"Bearer {SECRET}"})
        return self.outbound.send(Outgoing(url=url, body=SECRET.encode(), **asked))


@pytest.fixture
def client(server: Server, authority: Authority) -> Iterator[Client]:
    made = Client(server, authority)
    yield made
    made.outbound.close()


def resolving(*addresses: str) -> Callable[[str, int], Sequence[tuple[str, int]]]:
    return lambda host, port: [(one, port) for one in addresses]


def fault_of(call: Callable[[], object], kind: type[KeysentryError]) -> KeysentryError:
    """The error, which is of exactly this kind and tells no secret."""
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert not holds(told_everywhere(caught.value), SECRET)
    return caught.value


def test_a_request_arrives_as_it_is_and_its_answer_comes_back(client: Client, server: Server) -> None:
    server.answer = lambda seen: in_json({"login": "ann"}, 201, X_Scopes="repo")
    reply = client.send(key="act_1")
    (seen,) = server.seen
    assert (seen.method, seen.host, seen.target) == ("POST", HOST, f"/me?token={SECRET}")
    assert seen.headers["idempotency-key"] == "act_1"
    assert seen.headers["user-agent"].startswith("keysentry/")
    assert seen.bearer == SECRET
    assert seen.body == SECRET.encode()
    assert (reply.status, reply.json(), reply.headers["x-scopes"]) == (201, {"login": "ann"}, "repo")
    assert not holds(repr(reply), "ann")


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}/x",
        f"https://ann@{HOST}/x",
        "https://other.acme.example/x",
        f"https://{HOST}.evil.example/x",
        f"https://{HOST}:8443/x",
        f"https://{HOST}/a b",
        f"https://{HOST}/a\r\nX-More: 1",
        "https://[::1/x",
        "https:///x",
        "file:///etc/passwd",
        f"//{HOST}/x",
    ],
)
def test_what_is_not_https_to_a_named_host_is_never_sent(url: str, server: Server, authority: Authority) -> None:
    client = Client(server, authority)
    fault_of(lambda: client.send(f"{url}{SECRET}" if url.endswith("/x") else url), InputError)
    assert not server.seen


def test_a_host_that_the_options_allow_is_as_good_as_named(server: Server, authority: Authority) -> None:
    client = Client(server, authority, allow_hosts=("*.acme.example",), allow_private=("other.acme.example",))
    assert client.send("https://other.acme.example/x").status == 200


@pytest.mark.parametrize("value", ["a\r\nX-More: 1", "a\x00", "ä", "a\x7f"])
def test_a_header_that_is_none_is_never_sent(value: str, client: Client, server: Server) -> None:
    fault_of(lambda: client.send(headers={"Authorization": SECRET + value}), InputError)
    assert not server.seen


NOT_PUBLIC = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b:1::1",
    "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_addresses_that_are_not_public_are_not_connected_to(address: str, server: Server, authority: Authority) -> None:
    assert not is_public(address)
    options = OutboundOptions(ca_file=str(authority.file))
    outbound = Outbound(options, resolve=resolving(address))
    asked = Outgoing(method="GET", url=f"https://{HOST}/{SECRET}", hosts=(HOST,), shown=HOST)
    assert "not public" in str(fault_of(lambda: outbound.send(asked), InputError))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "192.0.0.9"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_one_private_address_among_public_ones_is_enough_to_refuse(authority: Authority) -> None:
    outbound = Outbound(OutboundOptions(), resolve=resolving("8.8.8.8", "10.0.0.1"))
    asked = Outgoing(method="GET", url=f"https://{HOST}/", hosts=(HOST,), shown=HOST)
    fault_of(lambda: outbound.send(asked), InputError)


def test_a_name_that_turns_private_after_the_check_changes_nothing(server: Server, authority: Authority) -> None:
    """DNS rebinding: the name is resolved once a request, and what was checked is connected to."""
    answers = iter([[("127.0.0.1", server.port)], [("10.0.0.1", 443)]])
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[tuple[str, int]]:
        asked.append(host)
        return next(answers)

    options = OutboundOptions(allow_private=(HOST,), ca_file=str(authority.file), per_minute=0)
    outbound = Outbound(options, resolve=resolve)
    request = Outgoing(method="GET", url=f"https://{HOST}/", hosts=(HOST,), shown=HOST)
    assert outbound.send(request).status == 200
    assert asked == [HOST]
    strict = Outbound(OutboundOptions(ca_file=str(authority.file), tries=1), resolve=resolve)
    fault_of(lambda: strict.send(request), InputError)
    assert len(server.seen) == 1


def test_a_certificate_for_another_name_or_of_an_unknown_authority_is_not_trusted(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    other = Client(server, authority, allow_private=("wrong.acme.example",))
    fault = fault_of(lambda: other.send(f"https://wrong.acme.example/{SECRET}", hosts=("*",)), SourceError)
    assert "certificate" in str(fault)
    unknown = Client(server, Authority(tmp_path))
    assert "certificate" in str(fault_of(unknown.send, SourceError))
    assert not server.seen


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, client: Client, server: Server) -> None:
    server.answer = lambda seen: Answer(status, headers={"Location": f"https://{HOST}/elsewhere"})
    assert client.send().status == status
    assert len(server.seen) == 1


def test_a_long_answer_is_cut(server: Server, authority: Authority) -> None:
    client = Client(server, authority, max_body=1000)
    server.answer = lambda seen: Answer(200, b"x" * 5_000_000)
    reply = client.send()
    assert (len(reply.body), reply.cut) == (1000, True)
    server.answer = lambda seen: Answer(200, b"x" * 1000)
    assert client.send().cut is False


def test_an_answer_in_chunks_without_an_end_is_cut(server: Server, authority: Authority) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"3e8\r\n" + b"y" * 1000 + b"\r\n")

    client = Client(server, authority, max_body=100_000)
    server.answer = lambda seen: Answer(raw=endless)
    assert client.send().cut is True


def test_429_is_waited_for_as_long_as_it_says(client: Client, server: Server) -> None:
    answers = iter([Answer(429, headers={"Retry-After": "7"}), Answer(429), in_json({"ok": True})])
    server.answer = lambda seen: next(answers)
    assert client.send().status == 200
    assert client.waits[0] == 7.0
    assert 0 < client.waits[1] < 3


def test_429_that_asks_for_too_long_comes_back_later(client: Client, server: Server) -> None:
    server.answer = lambda seen: Answer(429, headers={"Retry-After": "3600"})
    assert "3,600 s" in str(fault_of(client.send, SourceError))
    assert len(server.seen) == 1


def test_5xx_is_tried_again_only_where_that_does_no_harm(client: Client, server: Server) -> None:
    answers = iter([Answer(500), Answer(503), in_json({"ok": True})])
    server.answer = lambda seen: next(answers)
    assert client.send(repeatable=True).status == 200
    server.seen.clear()
    server.answer = lambda seen: Answer(500)
    assert client.send().status == 500
    assert len(server.seen) == 1
    fault_of(lambda: client.send(repeatable=True), SourceError)
    assert len(server.seen) == 4


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def rubbish(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/banana " + SECRET.encode() + b"\r\n\r\n")


def short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x")


@pytest.mark.parametrize("broken", [reset, rubbish, short])
def test_what_breaks_after_it_was_sent_is_unclear_or_tried_again(
    broken: Callable[[BaseHTTPRequestHandler], None], client: Client, server: Server
) -> None:
    answers = iter([Answer(raw=broken), Answer(raw=broken), in_json({"ok": True})])
    server.answer = lambda seen: next(answers)
    fault_of(client.send, UnclearError)
    assert len(server.seen) == 1
    assert client.send(repeatable=True).status == 200
    assert len(server.seen) == 3


def test_a_provider_that_hangs_or_drips_ends_with_the_time_limit(server: Server, authority: Authority) -> None:
    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.recv(1)

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            handler.wfile.write(b"X-A: b\r\n")
            handler.wfile.flush()
            time.sleep(0.05)

    hanging = Client(server, authority, read_timeout=0.2, total=30)
    server.answer = lambda seen: Answer(raw=hang)
    assert "in time" in str(fault_of(hanging.send, UnclearError))
    dripping = Client(server, authority, read_timeout=5, total=0.4)
    server.answer = lambda seen: Answer(raw=drip)
    start = time.monotonic()
    fault_of(dripping.send, UnclearError)
    assert time.monotonic() - start < 2


def test_no_connection_and_no_name_mean_later(authority: Authority) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        options = OutboundOptions(allow_private=(HOST,), tries=2)
        asked = Outgoing(method="POST", url=f"https://{HOST}/{SECRET}", hosts=(HOST,), shown=HOST)
        nobody = Outbound(options, resolve=lambda host, _: [("127.0.0.1", port)], wait=lambda seconds: False)
        assert "2 tries" in str(fault_of(lambda: nobody.send(asked), SourceError))

    def unknown(host: str, port: int) -> list[tuple[str, int]]:
        raise socket.gaierror(-2, f"Name or service not known {SECRET}")

    nowhere = Outbound(options, resolve=unknown, wait=lambda seconds: False)
    assert "resolved" in str(fault_of(lambda: nowhere.send(asked), SourceError))


def test_hosts_have_a_limit_each(server: Server, authority: Authority) -> None:
    client = Client(server, authority, per_minute=60, allow_private=(HOST, "other.acme.example"))
    for _ in range(12):
        client.send()
    assert sum(client.waits) == pytest.approx(2.0)
    client.send("https://other.acme.example/", hosts=("other.acme.example",))
    assert sum(client.waits) == pytest.approx(2.0)


def test_closing_ends_waits_and_sends_nothing_more(server: Server, authority: Authority) -> None:
    client = Client(server, authority)
    client.outbound.close()
    fault_of(client.send, ClosedError)
    assert not server.seen


def test_nothing_is_logged(client: Client, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        client.send(key=SECRET)
        server.answer = lambda seen: Answer(raw=reset)
        fault_of(client.send, UnclearError)
    assert not holds(caplog.text, SECRET)
    assert SECRET not in repr(Outgoing(method="GET", url=f"https://{HOST}/{SECRET}", hosts=(HOST,), shown=HOST))


def test_retry_after_is_read_in_both_forms() -> None:
    from email.utils import formatdate

    from keysentry.response.outbound import Reply

    def of(value: str) -> float | None:
        return retry_after(Reply(status=429, headers={"retry-after": value}))

    assert of("12") == 12.0
    assert of(formatdate(time.time() + 60, usegmt=True)) == pytest.approx(60, abs=2)
    assert of(formatdate(time.time() - 60, usegmt=True)) == 0.0
    assert of("soon") is None
    assert of("") is None
    assert msgspec.structs.fields(OutboundOptions)
