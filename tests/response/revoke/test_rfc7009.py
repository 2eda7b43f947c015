"""Tokens of any OAuth server, against Authlib's endpoints under Flask and against Okta as `emulate` plays it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from keysentry.errors import AccessError, ConfigError, InputError, SourceError, UnclearError
from keysentry.model.sensitive import Sensitive
from keysentry.response.revoke import rfc7009
from keysentry.response.revoke.base import Tools
from keysentry.response.revoke.table import open_revoker
from tests.response.secrets_made import credential, holds, told_everywhere
from tests.servers.http_provider import Provider
from tests.servers.https import Answer, Seen, forward, in_json
from tests.servers.providers import Providers
from tests.servers.rfc7009 import Client, OAuthServer, Token, okta, okta_token

pytestmark = pytest.mark.xdist_group("https")

URL = "https://acme.okta.example"
KEY = "act_1"
PASSWORD = "a client's password: with %signs & more"


@pytest.fixture
def server(running: Providers, provider: Provider) -> OAuthServer:
    made = OAuthServer()
    made.clients["us"] = Client("us", PASSWORD, "client_secret_basic")
    running.server.answer = made.answer
    return made


def options(
    auth: Literal["basic", "post"] = "basic", hint: Literal["", "access_token", "refresh_token"] = ""
) -> rfc7009.Options:
    return rfc7009.Options(
        name="idp",
        handles=("acme.*",),
        url=f"{URL}/revoke",
        introspect_url=f"{URL}/introspect",
        client_id="us",
        client_secret=Sensitive(PASSWORD),
        auth=auth,
        hint=hint,
    )


@pytest.mark.parametrize("auth", ["basic", "post"])
@pytest.mark.parametrize("hint", ["", "access_token", "refresh_token"])
def test_a_token_is_revoked_as_the_standard_says(
    auth: Literal["basic", "post"],
    hint: Literal["", "access_token", "refresh_token"],
    server: OAuthServer,
    tools: Tools,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.clients["us"] = Client("us", PASSWORD, f"client_secret_{auth}")
    known = credential("acme.token", "a token/with+odd=letters & more")
    value = known.secret.reveal()
    server.tokens[value] = Token(value, "us", hint)
    revoker = open_revoker(options(auth, hint), tools)
    with caplog.at_level(logging.DEBUG, logger="keysentry"):
        assert revoker.revoked(known, KEY) is None
        receipt = revoker.revoke(known, KEY)
    assert receipt.outcome == "done"
    assert server.revoked == {value: 1}
    assert revoker.revoked(known, KEY) is not None
    assert revoker.revoke(known, KEY).outcome == "done"
    assert server.revoked == {value: 1}
    assert not holds(f"{receipt!r}{caplog.text}", value)
    assert PASSWORD not in f"{receipt!r}{caplog.text}"


def test_a_public_client_says_who_it_is(server: OAuthServer, tools: Tools) -> None:
    server.clients["public"] = Client("public", "", "none")
    server.tokens["t0ken"] = Token("t0ken", "public", "")
    open_revoker(
        rfc7009.Options(name="idp", handles=("acme.*",), url=f"{URL}/revoke", client_id="public"), tools
    ).revoke(credential("acme.token", "t0ken"), KEY)
    assert server.revoked == {"t0ken": 1}


def test_after_an_interruption_the_server_is_asked(server: OAuthServer, tools: Tools) -> None:
    server.tokens["t0ken"] = Token("t0ken", "us", "")
    server.after = True
    revoker = open_revoker(options(), tools)
    known = credential("acme.token", "t0ken")
    with pytest.raises(UnclearError):
        revoker.revoke(known, KEY)
    assert revoker.revoked(known, KEY) is not None
    assert server.revoked == {"t0ken": 1}


def test_a_client_that_is_not_taken_and_a_token_of_another(server: OAuthServer, tools: Tools) -> None:
    known = credential("acme.token", "t0ken")
    server.tokens["t0ken"] = Token("t0ken", "them", "")
    revoker = open_revoker(options(), tools)
    with pytest.raises(InputError) as other:
        revoker.revoke(known, KEY)
    assert "invalid_grant" in str(other.value)
    server.clients["us"] = Client("us", "another password", "client_secret_basic")
    with pytest.raises(AccessError) as refused:
        revoker.revoke(known, KEY)
    assert "client_secret" in refused.value.advice
    assert PASSWORD not in told_everywhere(refused.value)
    assert not server.revoked


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(503), SourceError),
        (Answer(500), UnclearError),
        (Answer(302, headers={"Location": "https://hooks.acme.example/"}), InputError),
        (in_json({"error": "unsupported_token_type"}, 400), InputError),
        (Answer(404), InputError),
    ],
)
def test_other_answers(
    answer: Answer, kind: type[Exception], provider: Provider, tools: Tools, running: Providers
) -> None:
    provider.failures = [answer]
    with pytest.raises(kind) as caught:
        open_revoker(options(), tools).revoke(credential("acme.token", "t0ken"), KEY)
    assert type(caught.value) is kind


def test_settings_that_do_not_fit_together(tools: Tools) -> None:
    with pytest.raises(ConfigError, match="handles"):
        open_revoker(rfc7009.Options(name="idp", url=URL), tools)
    with pytest.raises(ConfigError, match="client_id"):
        open_revoker(rfc7009.Options(name="idp", url=URL, handles=("*",), client_secret=Sensitive("x")), tools)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("okta")
    with okta(folder, "us", PASSWORD) as port:
        yield port


def test_okta_forgets_a_token(emulated: int, running: Providers, tools: Tools) -> None:
    def answer(seen: Seen) -> Answer:
        return forward(seen, emulated)

    running.server.answer = answer
    made = rfc7009.Options(
        name="okta",
        handles=("okta.*",),
        url=f"{URL}/oauth2/default/v1/revoke",
        introspect_url=f"{URL}/oauth2/default/v1/introspect",
        client_id="us",
        client_secret=Sensitive(PASSWORD),
        auth="post",
    )
    revoker = open_revoker(made, tools)
    known = credential("okta.token", okta_token(emulated, "us", PASSWORD))
    other = credential("okta.token", okta_token(emulated, "us", PASSWORD))
    assert revoker.revoked(known, KEY) is None
    assert revoker.revoke(known, KEY).outcome == "done"
    assert revoker.revoked(known, KEY) is not None
    assert revoker.revoked(other, KEY) is None
