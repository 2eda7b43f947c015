"""Microsoft Entra's token service as a server of our own, with TLS, because azure-identity speaks to nothing else.

Played: the discovery document and the client credentials grant, each error with the number that Entra documents
(https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes). Not played: everything else. The
certificate is made when the server starts; who trusts it is told by `REQUESTS_CA_BUNDLE`.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.graph_state import TENANT

APP = "11111111-2222-3333-4444-555555555555"


class EntraServer:
    """The server; a test sets the secret that counts and the token that is given."""

    def __init__(self, folder: Path) -> None:
        self.secret = "a-local-secret"
        self.token = "token-1"
        self.asked: list[str] = []
        self.unavailable = 0
        self.bundle = folder / "entra.pem"
        self.http = _Server(("127.0.0.1", 0), _Handler)
        self.http.entra = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(self.bundle))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.http.server_address[1]}"


@contextmanager
def entra(folder: Path) -> Iterator[EntraServer]:
    server = EntraServer(folder)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    entra: EntraServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """The test looks at `asked`."""

    def do_GET(self) -> None:
        base = f"{self.server.entra.url}/{TENANT}"
        if self.path != f"/{TENANT}/v2.0/.well-known/openid-configuration":
            self._refuse(90002, "invalid_tenant", "Tenant was not found.")
            return
        self._send(
            200,
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "issuer": f"{base}/v2.0",
            },
        )

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        entra = self.server.entra
        entra.asked.append(form["scope"][0])
        if entra.unavailable:
            entra.unavailable -= 1
            self._send(503, {"error": "temporarily_unavailable"})
        elif form["client_id"] != [APP]:
            self._refuse(700016, "unauthorized_client", "Application was not found in the directory.")
        elif form["client_secret"] != [entra.secret]:
            self._refuse(7000215, "invalid_client", "Invalid client secret provided.")
        else:
            self._send(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": entra.token})

    def _refuse(self, number: int, error: str, words: str) -> None:
        description = f"AADSTS{number}: {words} Trace ID: 0 Correlation ID: 0"
        self._send(401 if number > 700000 else 400, {"error": error, "error_description": description})

    def _send(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _certificate(file: Path) -> Path:
    """A key and a certificate of its own for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return file
