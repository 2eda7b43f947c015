"""Asking providers whether credentials live, as the rules say it, against providers of ours behind HTTPS, and against
moto's STS, which checks our signature.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import boto3
import pytest

from keysentry.errors import SourceError
from keysentry.response.answer import fits, split_scopes, told
from keysentry.response.outbound import Outbound, OutboundOptions, Reply
from keysentry.response.verify import RuleVerifier
from keysentry.rules.load import decode_rules
from keysentry.rules.schema import Answer as Expected
from tests.response.secrets_made import RULES, credential, forged, holds
from tests.servers.http_provider import Provider
from tests.servers.https import Answer, Authority, Seen, forward, in_json
from tests.servers.iam import iam
from tests.servers.providers import Providers, providers

pytestmark = pytest.mark.xdist_group("https")

ACME = decode_rules(
    r"""
[provider]
id = "acme"
name = "Acme"

[[rule]]
id = "acme.key"
title = "Acme key"
pattern = '''\b(?P<secret>acme_[0-9a-f]{32})\b'''
anchors = ["acme_"]
forge = "acme_{hex:32}"

[rule.verify]
request = { url = "https://hooks.acme.example/me", headers = { Authorization = "Bearer {secret}" } }
live = { status = [200] }
dead = { status = [200, 401], body = '"state":"dead"' }
identity = "user.names[1]"
scopes = "can"

[[rule]]
id = "acme.tenant-key"
title = "Acme tenant key"
pattern = '''\b(?P<secret>acmt_[0-9a-f]{32})\b'''
anchors = ["acmt_"]
forge = "acmt_{hex:32}"

[rule.verify]
request = { url = "https://{tenant}.okta.example/me", headers = { Authorization = "Bearer {secret}" } }
live = { status = [200] }
dead = { status = [401] }

[[rule.requires]]
name = "tenant"
pattern = '''\b(?P<secret>[a-z.]{4,20})\b'''
"""
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with providers(Authority(tmp_path_factory.mktemp("tls"))) as made:
        yield made


@pytest.fixture
def provider(running: Providers) -> Provider:
    return running.start()


@pytest.mark.parametrize(
    ("rule", "identity", "scopes"),
    [
        ("github.pat-classic", "ann", ("repo", "read:org")),
        ("github.pat-fine-grained", "ann", ()),
        ("gitlab.pat", "7", ("api", "read_user")),
        ("slack.bot-token", "ann", ("repo", "read:org")),
        ("google.oauth-access-token", "ann", ("repo", "read:org")),
    ],
)
def test_a_live_token_tells_whose_it_is_and_a_dead_one_is_dead(
    rule: str, identity: str, scopes: tuple[str, ...], running: Providers, provider: Provider
) -> None:
    known = credential(rule)
    kept = ["api", "read_user"] if rule.startswith("gitlab") else "repo, read:org"
    provider.live[known.secret.reveal()] = {"login": "ann", "scopes": kept}
    verifier = RuleVerifier(RULES, running.outbound())
    verdict = verifier.verify(known)
    assert verdict is not None
    assert (verdict.liveness, verdict.identity, verdict.scopes) == ("live", identity, scopes)
    assert verdict.evidence["status"] == "200"
    provider.kill(known.secret.reveal())
    after = verifier.verify(known)
    assert after is not None
    assert (after.liveness, after.identity, after.scopes) == ("dead", "", ())


def test_nothing_is_asked_without_a_rule_that_says_how(running: Providers, provider: Provider) -> None:
    assert RuleVerifier(RULES, running.outbound()).verify(credential("github.app-refresh-token")) is None
    assert RuleVerifier(RULES, running.outbound()).verify(credential("none.such", "x")) is None
    assert not running.server.seen


def test_an_answer_that_says_neither_is_unknown_and_two_that_fit_are_told_apart(
    running: Providers, provider: Provider
) -> None:
    secret = credential("acme.key", "acme_" + "0a" * 16)
    verifier = RuleVerifier(ACME, running.outbound())

    def liveness(answer: Answer) -> str:
        provider.failures = [answer]
        verdict = verifier.verify(secret)
        assert verdict is not None
        return verdict.liveness

    assert liveness(in_json({"user": {"names": ["a", "ann"]}})) == "live"
    assert liveness(in_json({"state": "dead"})) == "dead"
    assert liveness(Answer(200, b'{ "state" :\n "dead" }')) == "dead"
    assert liveness(Answer(401, b"{}")) == "unknown"
    assert liveness(Answer(404)) == "unknown"
    assert liveness(Answer(302, headers={"Location": "https://hooks.acme.example/login"})) == "unknown"
    assert len(running.server.seen) == 6


def test_what_a_provider_repeats_of_the_secret_is_masked(running: Providers, provider: Provider) -> None:
    known = credential("acme.key", "acme_" + "1b" * 16)
    value = known.secret.reveal()
    provider.failures = [in_json({"user": {"names": ["x", f"the owner of {value}"]}, "can": [value, "read"]})]
    verdict = RuleVerifier(ACME, running.outbound()).verify(known)
    assert verdict is not None
    assert verdict.identity == f"the owner of {known.secret}"
    assert verdict.scopes[1] == "read"
    assert value not in str(verdict)


def test_a_provider_that_cannot_be_asked_now_is_asked_later(running: Providers, provider: Provider) -> None:
    known = credential("acme.key", "acme_" + "2c" * 16)
    provider.failures = [Answer(503)] * 3
    with pytest.raises(SourceError):
        RuleVerifier(ACME, running.outbound()).verify(known)
    provider.failures = [Answer(429, headers={"Retry-After": "5"}), in_json({})]
    verdict = RuleVerifier(ACME, running.outbound()).verify(known)
    assert verdict is not None
    assert running.waits[-1] == 5.0


def test_what_can_never_be_asked_is_unknown_and_says_why(running: Providers, provider: Provider) -> None:
    verifier = RuleVerifier(ACME, running.outbound())
    missing = verifier.verify(credential("acme.tenant-key", "acmt_" + "0a" * 16))
    assert missing is not None
    assert missing.liveness == "unknown"
    assert "tenant" in missing.evidence["reason"]
    wrong = verifier.verify(credential("acme.tenant-key", "acmt_" + "0a" * 16, tenant="evil.example"))
    assert wrong is not None
    assert "host name" in wrong.evidence["reason"]
    private = Outbound(OutboundOptions(), resolve=lambda host, port: [("169.254.169.254", port)])
    known = credential("acme.key", "acme_" + "3d" * 16)
    verdict = RuleVerifier(ACME, private).verify(known)
    assert verdict is not None
    assert "not public" in verdict.evidence["reason"]
    assert not running.server.seen


def test_no_token_reaches_a_log(running: Providers, provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    known = credential("google.oauth-access-token", seed=4)
    provider.live[known.secret.reveal()] = {"login": "ann", "scopes": "x"}
    with caplog.at_level(logging.DEBUG):
        verdict = RuleVerifier(RULES, running.outbound()).verify(known)
    assert holds(running.server.seen[0].target, known.secret.reveal())
    assert not holds(f"{caplog.text}{verdict!r}", known.secret.reveal())


@pytest.fixture(scope="module")
def strict_moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A moto that checks signatures after its first two calls."""
    with iam(tmp_path_factory.mktemp("moto"), 2) as port:
        yield port


def test_an_aws_key_is_asked_for_with_a_signature(running: Providers, provider: Provider, strict_moto: int) -> None:
    known = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    iam = boto3.client("iam", endpoint_url=f"http://127.0.0.1:{strict_moto}", **known)
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    iam.close()

    def answer(seen: Seen) -> Answer:
        return forward(seen, strict_moto)

    running.server.answer = answer
    verifier = RuleVerifier(RULES, running.outbound())
    live = verifier.verify(credential("aws.access-key", key["SecretAccessKey"], id=key["AccessKeyId"]))
    assert live is not None
    assert (live.liveness, live.identity) == ("live", "arn:aws:iam::123456789012:user/ann")
    assert key["SecretAccessKey"] not in str(running.server.seen)
    unknown = verifier.verify(credential("aws.access-key", key["SecretAccessKey"], id=forged("aws.access-key", 5)))
    assert unknown is not None
    assert unknown.liveness == "dead"
    wrong = verifier.verify(credential("aws.access-key", key["SecretAccessKey"][::-1], id=key["AccessKeyId"]))
    assert wrong is not None
    assert wrong.liveness == "unknown"
    alone = verifier.verify(credential("aws.access-key", key["AccessKeyId"]))
    assert alone is not None
    assert "not found beside it" in alone.evidence["reason"]


def test_places_in_answers() -> None:
    reply = Reply(
        status=200,
        headers={"x-scopes": "a, b"},
        body=b'{"a": {"b": [{"c": "x"}, 7]}, "d": null, "e": true, "f": ["p", "q"]}',
    )
    assert told("a.b[0].c", reply) == ("x",)
    assert told("a.b[1]", reply) == ("7",)
    assert told("f", reply) == ("p", "q")
    for nothing in ("a.b[2]", "a.b.c", "d", "e", "z", "a.b[0].c.d", "header:X-None", "xml:Arn"):
        assert told(nothing, reply) == ()
    assert split_scopes(told("header:X-Scopes", reply)) == ("a", "b")
    assert told("xml:Arn", Reply(status=200, body=b"<R><Arn>arn:x</Arn></R>")) == ("arn:x",)
    assert told("a", Reply(status=200, body=b"[" * 100_000)) == ()
    assert not fits(Expected(status=[200], body="x"), Reply(status=200, body=b"\xff"))
