"""Webhooks, against a receiver that checks signatures with the reference package, and is slow, breaks or redirects."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import msgspec
import pytest

from keysentry.connectors.base import Recipient
from keysentry.errors import (
    AccessError,
    ClosedError,
    ConfigError,
    InputError,
    KeysentryError,
    SourceError,
    UnclearError,
)
from keysentry.model.sensitive import Sensitive
from keysentry.response.notify import open_notifier
from keysentry.response.notify.post import Endpoint
from keysentry.response.notify.webhook import Options, Webhook, warnings
from keysentry.webhooks import SigningKey, verify, verify_hub
from tests.response.notify.facts import ACTION, TIME, forged, notice
from tests.servers.certificates import Authority
from tests.servers.process import free_port
from tests.servers.webhook_receiver import Receiver, Reply, receiving

pytestmark = pytest.mark.xdist_group("notify-http")
KEY = SigningKey.generate(TIME).secret
OLD = SigningKey.generate(TIME).secret
AUTHOR = Recipient(author="Ann Lee", author_id="U1", email="ann@acme.example")


def options(url: str = "", **changes: Any) -> Options:
    known: dict[str, Any] = {"name": "soc", "url": url, "key": KEY, "timeout": 5.0}
    return Options(**(known | changes))


def webhook(receiver: Receiver, **changes: Any) -> Webhook:
    return Webhook(options(f"{receiver.url}/hooks/soc?team=1", **changes))


def test_a_notice_arrives_once_signed_as_the_reference_package_checks_it(receiver: Receiver) -> None:
    receiver.keys = [KEY.reveal()]
    hook = open_notifier(options(receiver.url + "/hooks/soc?team=1"))
    receipt = hook.tell(notice(), AUTHOR)
    assert receipt.outcome == "done" and receipt.evidence["status"] == "200"
    (request,) = receiver.requests
    assert (request.method, request.path) == ("POST", "/hooks/soc?team=1")
    assert request.headers["webhook-id"] == ACTION and request.headers["content-type"] == "application/json"
    verify(request.headers, request.body, [KEY])
    assert receiver.taken == [ACTION]


def test_what_is_sent_is_the_notice_with_its_facts_and_masks_only(receiver: Receiver) -> None:
    webhook(receiver).tell(notice(3), AUTHOR)
    body = json.loads(receiver.requests[0].body)
    assert body["type"] == "notice.channel" and body["timestamp"] == "2027-01-15T08:00:00.000Z"
    data = body["data"]
    assert data["id"] == ACTION and data["count"] == 3 and data["recipient"]["author"] == "Ann Lee"
    assert [one["id"] for one in data["incidents"]] == ["inc_0001", "inc_0002", "inc_0003"]
    for number in (1, 2, 3):
        assert forged(number).encode() not in receiver.requests[0].body


def test_the_body_is_the_same_whenever_it_is_sent(receiver: Receiver) -> None:
    hook = webhook(receiver)
    hook.tell(notice(), AUTHOR)
    assert hook.told(notice(), AUTHOR) is None
    hook.tell(notice(), AUTHOR)
    first, second = receiver.requests
    assert first.body == second.body and first.headers["webhook-id"] == second.headers["webhook-id"]
    assert receiver.taken == [ACTION] and receiver.repeated == [ACTION]


def test_several_keys_sign_at_once_and_either_side_may_have_either(receiver: Receiver) -> None:
    receiver.keys = [OLD.reveal()]
    webhook(receiver, key=Sensitive(f"{KEY.reveal()} {OLD.reveal()}")).tell(notice(), AUTHOR)
    assert receiver.taken == [ACTION]
    request = receiver.requests[0]
    verify(request.headers, request.body, [KEY])
    verify(request.headers, request.body, [OLD])


def test_the_older_form_and_a_token_go_along_where_they_are_set(receiver: Receiver) -> None:
    secret, token = Sensitive("shared"), Sensitive("local-test-token")
    webhook(receiver, hub_secret=secret, token=token).tell(notice(), AUTHOR)
    webhook(receiver).tell(notice(), AUTHOR)
    with_both, without = receiver.requests
    verify_hub(with_both.headers, with_both.body, secret)
    assert with_both.headers["authorization"] == "Bearer local-test-token"
    assert not {"x-hub-signature-256", "authorization"} & set(without.headers)


# -- receivers that do not do what they should

FAULTS = [
    (Reply(500), SourceError, "500"),
    (Reply(502), SourceError, "502"),
    (Reply(429), SourceError, "429"),
    (Reply(408), SourceError, "408"),
    (Reply(400, body=b"no such field"), InputError, "no such field"),
    (Reply(404), InputError, "404"),
    (Reply(410), InputError, "410"),
    (Reply(413), InputError, "413"),
    (Reply(401), AccessError, "check key and token"),
    (Reply(403), AccessError, "403"),
    (Reply(cut=True), SourceError, "the connection ended"),
]


@pytest.mark.parametrize(("reply", "kind", "words"), FAULTS, ids=lambda one: str(getattr(one, "status", "")))
def test_what_an_answer_means(receiver: Receiver, reply: Reply, kind: type[KeysentryError], words: str) -> None:
    receiver.answers = [reply]
    with pytest.raises(kind) as caught:
        webhook(receiver).tell(notice(), AUTHOR)
    assert type(caught.value) is kind and words in str(caught.value)
    assert "hooks" not in str(caught.value)  # an address may be a secret itself
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    with receiving() as other:
        receiver.answers = [Reply(status, {"Location": f"http://localhost:{other.port}/secret-path"})]
        with pytest.raises(InputError, match=r"\(to localhost\)") as caught:
            webhook(receiver).tell(notice(), AUTHOR)
        assert not other.requests and "secret-path" not in str(caught.value)


def test_after_a_retry_the_receiver_has_taken_it_once(receiver: Receiver) -> None:
    receiver.answers = [Reply(503), Reply(cut=True)]
    hook = webhook(receiver)
    for _ in range(2):
        with pytest.raises(SourceError):
            hook.tell(notice(), AUTHOR)
    hook.tell(notice(), AUTHOR)
    assert len(receiver.requests) == 3
    assert receiver.taken == [ACTION] and receiver.repeated == [ACTION]  # the broken connection came after it was taken


def test_a_slow_receiver_is_given_up_on_in_time(receiver: Receiver) -> None:
    receiver.answers = [Reply(wait=threading.Event())]
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"no answer within 0\.3 s"):
        webhook(receiver, timeout=0.3).tell(notice(), AUTHOR)
    assert time.monotonic() - begun < 2
    assert receiver.answers == []


def test_a_receiver_that_drips_is_given_up_on_in_time(receiver: Receiver) -> None:
    """Each byte comes in time, but not all of them."""
    receiver.answers = [Reply(drip=0.1, headers={"X-Filler": "x" * 100})]
    begun = time.monotonic()
    with pytest.raises(SourceError, match="no answer within"):
        webhook(receiver, timeout=0.4).tell(notice(), AUTHOR)
    assert time.monotonic() - begun < 2


def test_an_endless_body_is_not_read(receiver: Receiver) -> None:
    receiver.answers = [Reply(body=b"x" * 3_000_000)]
    assert webhook(receiver).tell(notice(), AUTHOR).outcome == "done"


def test_how_long_to_wait_is_kept_to(receiver: Receiver) -> None:
    now = [TIME]
    receiver.answers = [Reply(429, {"Retry-After": "30"})]
    hook = Webhook(options(receiver.url), clock=lambda: now[0])
    with pytest.raises(SourceError, match="asks to wait 30 s"):
        hook.tell(notice(), AUTHOR)
    with pytest.raises(SourceError, match="left alone for another 30 s"):
        hook.tell(notice(), AUTHOR)
    assert len(receiver.requests) == 1
    now[0] += 31
    hook.tell(notice(), AUTHOR)
    receiver.answers = [Reply(503, {"Retry-After": "Fri, 15 Jan 2027 08:01:31 GMT"})]
    with pytest.raises(SourceError, match="asks to wait 60 s"):
        hook.tell(notice(), AUTHOR)


@pytest.mark.parametrize("after", ["soon", "-5", "99999999999", "Thu, 01 Jan 1970 00:00:00 GMT", "0"])
def test_rubbish_in_retry_after_harms_nothing(receiver: Receiver, after: str) -> None:
    receiver.answers = [Reply(429, {"Retry-After": after})]
    with pytest.raises(SourceError, match="429"):
        webhook(receiver).tell(notice(), AUTHOR)


def test_nobody_there(receiver: Receiver) -> None:
    with pytest.raises(SourceError, match=r"soc at 127\.0\.0\.1: cannot be reached"):
        Webhook(options(f"http://127.0.0.1:{free_port()}")).tell(notice(), AUTHOR)


def test_closing_ends_what_is_under_way(receiver: Receiver) -> None:
    receiver.answers = [Reply(wait=threading.Event())]
    hook = webhook(receiver, timeout=30.0)
    caught: list[KeysentryError] = []

    def tell() -> None:
        try:
            hook.tell(notice(), AUTHOR)
        except KeysentryError as error:
            caught.append(error)

    thread = threading.Thread(target=tell)
    thread.start()
    until = time.monotonic() + 5
    while not receiver.requests and time.monotonic() < until:
        time.sleep(0.01)
    hook.close()
    thread.join(timeout=5)
    assert [type(error) for error in caught] == [ClosedError]
    with pytest.raises(ClosedError):
        hook.tell(notice(), AUTHOR)


def test_what_must_not_come_twice_is_unclear_where_its_outcome_is_not_known(receiver: Receiver) -> None:
    """For services that do not know requests by an id."""
    endpoint = Endpoint(receiver.url, what="jira", timeout=0.3)
    for reply in (Reply(cut=True), Reply(504), Reply(wait=threading.Event())):
        receiver.answers = [reply]
        with pytest.raises(UnclearError):
            endpoint.ask("POST", {}, b"{}", again=False)
    receiver.answers = [Reply(503)]  # it says that it did nothing
    with pytest.raises(SourceError) as caught:
        endpoint.ask("POST", {}, b"{}", again=False)
    assert type(caught.value) is SourceError


# -- encryption


def test_certificates_are_checked(trusted: Authority) -> None:
    with receiving(tls=trusted.server) as receiver:
        with pytest.raises(AccessError, match="certificate is not trusted"):
            Webhook(options(receiver.url)).tell(notice(), AUTHOR)
        assert not receiver.requests
        Webhook(options(receiver.url, ca_file=trusted.ca_file)).tell(notice(), AUTHOR)
        named = receiver.url.replace("127.0.0.1", "localhost")
        Webhook(options(named, ca_file=trusted.ca_file)).tell(notice(), AUTHOR)
        assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://soc.example/x"}, "not encrypted"),
        ({"url": "ftp://soc.example"}, "https://host/path"),
        ({"url": "https://"}, "https://host/path"),
        ({"url": "https://a:b@soc.example"}, "https://host/path"),
        ({"url": "https://soc.example/a b"}, "https://host/path"),
        ({"url": "https://soc.example:99999/"}, "https://host/path"),
        ({"url": ""}, "needs an address"),
        ({"url": "https://soc.example", "secret_url": Sensitive("https://other.example")}, "needs an address"),
        ({"url": "https://soc.example", "key": None}, "needs a key"),
        ({"url": "https://soc.example", "key": Sensitive("whsec_short")}, "signing key"),
        ({"url": "https://soc.example", "key_created": "last year"}, "a date like"),
    ],
)  # fmt: skip
def test_options_that_cannot_work_are_refused_at_once(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_notifier(options(**changes))
    Webhook(options("http://soc.example/x", plain_http=True))


def test_an_address_that_is_a_secret_is_not_told(receiver: Receiver) -> None:
    receiver.answers = [Reply(404)]
    hook = Webhook(options(secret_url=Sensitive(f"{receiver.url}/of-nobody-else")))
    with pytest.raises(InputError) as caught:
        hook.tell(notice(), AUTHOR)
    assert receiver.requests[0].path == "/of-nobody-else"
    assert "nobody" not in str(caught.value)


def test_an_old_key_is_warned_of(receiver: Receiver) -> None:
    old = options(receiver.url, key_created="2026-12-01")
    assert warnings(old, TIME) == ["soc: its signing key was made on 2026-12-01; replace it"]
    assert warnings(options(receiver.url, key_created="2027-01-01"), TIME) == []
    assert "replace it" in Webhook(old, clock=lambda: TIME).tell(notice(), AUTHOR).evidence["warning"]


def test_a_receipt_tells_no_secret(receiver: Receiver) -> None:
    receipt = webhook(receiver, token=Sensitive("local-test-token")).tell(notice(), AUTHOR)
    written = msgspec.json.encode(receipt).decode()
    assert KEY.reveal() not in written and "local-test-token" not in written and "hooks" not in written
