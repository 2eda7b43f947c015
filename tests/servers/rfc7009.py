"""OAuth 2.0 token revocation (RFC 7009) and introspection (RFC 7662) by two implementations that are not ours.

Authlib's endpoints under Flask hold every request to the standards; ours are the clients, the tokens, and the count of
what was really revoked. Okta as `emulate` (npm, 0.12.2) plays it makes tokens itself, and forgets what is revoked; it
takes a client's secret in the form or as basic authentication.
"""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask

from tests.servers.https import Answer, Seen
from tests.servers.process import NODE_MODULES, free_port, node, serving


class Client(ClientMixin):  # type: ignore[misc]
    """A client, with one way to authenticate."""

    def __init__(self, client_id: str, client_secret: str, method: str) -> None:
        self.client_id = client_id
        self._secret = client_secret
        self._method = method

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self._secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self._method


class Token(TokenMixin):  # type: ignore[misc]
    """A token of a client. `hint` is what kind it is."""

    def __init__(self, text: str, client: str, hint: str) -> None:
        self.text = text
        self.client = client
        self.hint = hint
        self.revoked = False

    def check_client(self, client: Any) -> bool:
        return bool(client.client_id == self.client)

    def is_expired(self) -> bool:
        return False

    def is_revoked(self) -> bool:
        return self.revoked


@dataclass
class OAuthServer:
    """Authlib's endpoints: `/revoke` and `/introspect`. `after`: the next revocation is done and not answered."""

    clients: dict[str, Client] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    revoked: Counter[str] = field(default_factory=Counter)
    after: bool = False

    def __post_init__(self) -> None:
        self._app = Flask("rfc7009")
        server = AuthorizationServer(self._app, query_client=self.clients.get, save_token=lambda *_: None)
        methods = ["client_secret_basic", "client_secret_post", "none"]
        owner = self

        class Revocation(RevocationEndpoint):  # type: ignore[misc]
            CLIENT_AUTH_METHODS = methods

            def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
                return owner.tokens.get(token_string)

            def revoke_token(self, token: Token, request: Any) -> None:
                if not token.revoked:
                    owner.revoked[token.text] += 1
                token.revoked = True

        class Introspection(IntrospectionEndpoint):  # type: ignore[misc]
            CLIENT_AUTH_METHODS = methods

            def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
                found = owner.tokens.get(token_string)
                return None if found is None or found.revoked else found

            def introspect_token(self, token: Token) -> dict[str, Any]:
                return {"active": True, "client_id": token.client}

            def check_permission(self, token: Token, client: Any, request: Any) -> bool:
                return token.check_client(client)

        server.register_endpoint(Revocation)
        server.register_endpoint(Introspection)
        for name, path in (("revocation", "/revoke"), ("introspection", "/introspect")):
            self._app.add_url_rule(
                path, name, lambda name=name: server.create_endpoint_response(name), methods=["POST"]
            )

    def answer(self, seen: Seen) -> Answer:
        """What Flask answers to a request that came over HTTPS."""
        with self._app.test_client() as client:
            told = client.open(
                seen.target,
                method=seen.method,
                base_url=f"https://{seen.host}",
                headers={name: value for name, value in seen.headers.items() if name != "host"},
                data=seen.body,
            )
            answer = Answer(told.status_code, told.get_data(), dict(told.headers))
        if self.after and seen.path == "/revoke":
            self.after = False
            return Answer(raw=lambda handler: handler.connection.close())
        answer.headers = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
        return answer


@contextmanager
def okta(folder: Path, client_id: str, client_secret: str) -> Iterator[int]:
    """The port of an emulated Okta with one client, as long as the context lasts."""
    port = free_port()
    seed = folder / "okta.json"
    client = {"client_id": client_id, "client_secret": client_secret, "name": "x", "auth_server_id": "default"}
    client |= {"redirect_uris": ["http://localhost/"], "token_endpoint_auth_method": "client_secret_basic"}
    servers = [{"id": "default", "name": "default", "audiences": ["api://default"]}]
    seed.write_text(json.dumps({"okta": {"oauth_clients": [client], "authorization_servers": servers}}))
    command = [
        node(),
        str(NODE_MODULES / "emulate" / "dist" / "index.js"),
        *("start", "-p", str(port), "--host", "127.0.0.1", "-s", "okta", "--seed", str(seed)),
    ]
    with serving(command, port, folder):
        yield port


def okta_token(port: int, client_id: str, client_secret: str) -> str:
    """A token that Okta gives to the client."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret, "scope": "x"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/oauth2/default/v1/token", urlencode(form), headers)
        return str(json.loads(connection.getresponse().read())["access_token"])
    finally:
        connection.close()
