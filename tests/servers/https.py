"""HTTPS servers on loopback, with an authority of their own that is made when the tests run.

A server plays any number of hosts: a test's resolver sends their names here, the client checks the certificate against
the name that it asked for, and the server sees the name in `Host`. What it answers is a function of the test.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Seen:
    """A request as it came. Names of headers are in small letters."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Answer:
    """What is answered. `raw` is called instead, with the handler, for what is no proper answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    raw: Callable[[BaseHTTPRequestHandler], None] | None = None


def in_json(document: object, status: int = 200, **headers: str) -> Answer:
    """An answer in JSON. `_` in names of headers stands for `-`."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, msgspec.json.encode(document), {"Content-Type": "application/json", **told})


class Authority:
    """A certificate authority of the test run. `file` is its certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test run")])
        self.file = folder / "authority.pem"
        certificate = self._sign(self._name, self._key, authority=True)
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, hosts: Sequence[str]) -> ssl.SSLContext:
        """What a server that plays these hosts (and 127.0.0.1) needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:60])])
        certificate = self._sign(name, key, hosts=hosts)
        file = self._folder / f"server-{certificate.serial_number:x}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        file.unlink()
        return context

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool = False, hosts: Sequence[str] = ()
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if hosts:
            names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
            made = made.add_extension(
                x509.SubjectAlternativeName([*names, x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
            )
            issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
            made = made.add_extension(issuer, critical=False)
        return made.sign(self._key, hashes.SHA256())


class Server:
    """A server that runs: where it is, what it has seen, and what it answers."""

    def __init__(self, port: int, answer: Callable[[Seen], Answer]) -> None:
        self.port = port
        self.answer = answer
        self.seen: list[Seen] = []
        self.broken: list[str] = []
        """What went wrong while an answer was made."""

    def resolve(self, host: str, port: int) -> list[tuple[str, int]]:
        """Every host is here."""
        return [("127.0.0.1", self.port)]


@contextmanager
def https(authority: Authority, hosts: Sequence[str], answer: Callable[[Seen], Answer]) -> Iterator[Server]:
    """A server that plays some hosts as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            host = headers.get("host", "").partition(":")[0]
            seen = Seen(self.command, host, self.path, headers, self.rfile.read(length))
            server.seen.append(seen)
            try:
                answer = server.answer(seen)
            except Exception as error:  # the fake is wrong, or the request is: the test fails by it
                answer = Answer(599, f"{type(error).__name__}: {error}".encode())
                server.broken.append(answer.body.decode())
            self.close_connection = True
            if answer.raw is not None:
                answer.raw(self)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away is no event."""

    inner = Quiet(("127.0.0.1", 0), Handler)
    server = Server(inner.server_address[1], answer)
    inner.socket = authority.context(hosts).wrap_socket(inner.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=inner.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        inner.shutdown()
        inner.server_close()
        thread.join()


def forward(seen: Seen, port: int) -> Answer:
    """What a plain server on loopback answers to the same request, `Host` included."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        dropped = ("connection", "content-length", "accept-encoding")
        headers = {name: value for name, value in seen.headers.items() if name not in dropped}
        connection.request(seen.method, seen.target, body=seen.body or None, headers=headers)
        response = connection.getresponse()
        body = response.read()
        kept = {
            name: value
            for name, value in response.getheaders()
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server")
        }
        return Answer(response.status, body, kept)
    finally:
        connection.close()
