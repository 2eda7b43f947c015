"""A web service that revokes: what it gets can be verified, and every answer of it is what it is."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator

import pytest

from keysentry import webhooks
from keysentry.errors import AccessError, ConfigError, InputError, KeysentryError, SourceError
from keysentry.model.sensitive import Sensitive
from keysentry.response.revoke import webhook
from keysentry.response.revoke.base import Tools
from keysentry.response.revoke.table import open_revoker
from tests.response.secrets_made import credential, holds, told_everywhere
from tests.servers.http_provider import Provider
from tests.servers.https import Answer, in_json
from tests.servers.providers import Providers

pytestmark = pytest.mark.xdist_group("https")

URL = "https://hooks.acme.example/revoke"
KEY = "act_0123"
OLD, NEW = webhooks.SigningKey.generate().secret, webhooks.SigningKey.generate().secret
KNOWN = credential("acme.key", "a secret of some length 1234", id="the-id")
SECRET = KNOWN.secret.reveal()


@pytest.fixture
def revoker(provider: Provider, tools: Tools) -> Iterator[webhook.WebhookRevoker]:
    options = webhook.Options(name="hook", handles=("acme.*",), url=URL, signing_key=NEW, old_signing_key=OLD)
    made = open_revoker(options, tools)
    assert isinstance(made, webhook.WebhookRevoker)
    yield made


def test_the_receiver_can_verify_what_it_gets_with_either_key(
    revoker: webhook.WebhookRevoker, provider: Provider, running: Providers, caplog: pytest.LogCaptureFixture
) -> None:
    provider.failures = [in_json({"outcome": "already", "note": f"was {SECRET}", "evidence": {"ticket": "7"}})]
    with caplog.at_level(logging.DEBUG):
        receipt = revoker.revoke(KNOWN, KEY)
    (seen,) = running.server.seen
    webhooks.verify(seen.headers, seen.body, [NEW])
    webhooks.verify(seen.headers, seen.body, [OLD])
    assert seen.headers["webhook-id"] == KEY
    assert seen.json["type"] == "credential.revoke"
    data = seen.json["data"]
    assert (data["secret"], data["companions"], data["rule"]) == (SECRET, {"id": "the-id"}, "acme.key")
    assert (receipt.outcome, receipt.evidence["ticket"]) == ("already", "7")
    assert not holds(f"{receipt!r}{caplog.text}", SECRET)


def test_it_may_be_told_without_the_secret(provider: Provider, tools: Tools, running: Providers) -> None:
    options = webhook.Options(name="hook", handles=("acme.*",), url=URL, signing_key=NEW, send_secret=False)
    provider.failures = [Answer(204)]
    assert open_revoker(options, tools).revoke(KNOWN, KEY).outcome == "done"
    assert not holds(running.server.seen[0].body.decode(), SECRET)


def test_what_it_answers_is_read_leniently(revoker: webhook.WebhookRevoker, provider: Provider) -> None:
    for answer in (Answer(200), Answer(200, b"rubbish"), Answer(202, b"[]"), in_json({"outcome": "perhaps"})):
        provider.failures = [answer]
        assert revoker.revoke(KNOWN, KEY).outcome == "done"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(302, headers={"Location": "https://hooks.acme.example/other"}), InputError),
        (Answer(401), AccessError),
        (Answer(408), SourceError),
        (Answer(410), InputError),
        (Answer(422), InputError),
    ],
)
def test_what_it_refuses_is_said(
    answer: Answer, kind: type[KeysentryError], revoker: webhook.WebhookRevoker, provider: Provider, running: Providers
) -> None:
    provider.failures = [answer]
    with pytest.raises(kind) as caught:
        revoker.revoke(KNOWN, KEY)
    assert type(caught.value) is kind
    assert not holds(told_everywhere(caught.value), SECRET)
    assert len(running.server.seen) == 1


def test_a_service_that_fails_or_breaks_is_asked_again_under_the_same_id(
    revoker: webhook.WebhookRevoker, provider: Provider, running: Providers
) -> None:
    def reset(handler: object) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # type: ignore[attr-defined]
        handler.connection.close()  # type: ignore[attr-defined]

    provider.failures = [Answer(500), Answer(raw=reset), Answer(200)]
    assert revoker.revoke(KNOWN, KEY).outcome == "done"
    assert [seen.headers["webhook-id"] for seen in running.server.seen] == [KEY] * 3
    provider.failures = [Answer(503)] * 3
    with pytest.raises(SourceError):
        revoker.revoke(KNOWN, KEY)
    assert revoker.revoked(KNOWN, KEY) is None


def test_settings_that_do_not_fit_together(tools: Tools) -> None:
    with pytest.raises(ConfigError, match="signing_key"):
        open_revoker(webhook.Options(name="hook", handles=("*",), url=URL), tools)
    with pytest.raises(ConfigError, match="handles"):
        open_revoker(webhook.Options(name="hook", url=URL, signing_key=Sensitive("x")), tools)
