"""Signed webhooks, held to the reference package `standardwebhooks` in both directions, and to the forms of others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from keysentry.errors import ConfigError, KeysentryError, WebhookError
from keysentry.model.sensitive import Sensitive
from keysentry.webhooks import (
    HUB_HEADER,
    Seen,
    SigningKey,
    sign,
    sign_hub,
    stale,
    verify,
    verify_hub,
    verify_slack,
)

NOW = 1_800_000_000.0
DAY = 86400.0


def key(seed: int, size: int = 32) -> SigningKey:
    return SigningKey.of("whsec_" + base64.b64encode(random.Random(seed).randbytes(size)).decode())


KEY, OTHER = key(1), key(2)
BODY = b'{"type":"notice.author"}'


def signed(*keys: SigningKey, id: str = "act_1", at: float = NOW, body: bytes = BODY) -> dict[str, str]:
    return sign(id, at, body, keys or (KEY,))


# -- against the reference --------------------------------------------------------------------------------------------

IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="."), min_size=1, max_size=60)
BODIES = st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4).map(lambda it: json.dumps(it).encode())
KEYS = st.binary(min_size=24, max_size=64).map(lambda raw: SigningKey.of("whsec_" + base64.b64encode(raw).decode()))


@given(id=IDS, body=BODIES, keys=st.lists(KEYS, min_size=1, max_size=4), which=st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_the_reference_believes_what_we_sign_by_any_of_our_keys(
    id: str, body: bytes, keys: list[SigningKey], which: int
) -> None:
    headers = sign(id, time.time(), body, keys)
    theirs = Webhook(keys[which % len(keys)].secret.reveal())
    assert theirs.verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        theirs.verify(body + b" ", headers)


@given(id=IDS, body=BODIES, signer=KEYS, others=st.lists(KEYS, max_size=3))
@settings(max_examples=150, deadline=None)
def test_we_believe_what_the_reference_signs(
    id: str, body: bytes, signer: SigningKey, others: list[SigningKey]
) -> None:
    when = datetime.fromtimestamp(int(NOW), UTC)
    signature = Webhook(signer.secret.reveal()).sign(id, when, body.decode())
    headers = {"Webhook-Id": id, "Webhook-Timestamp": str(int(NOW)), "Webhook-Signature": signature}
    verify(headers, body, [*others, signer], now=NOW)
    with pytest.raises(WebhookError):
        verify(headers | {"Webhook-Id": id + "x"}, body, [signer], now=NOW)


@given(body=st.binary(max_size=200), at=st.integers(0, 10**11))
@settings(max_examples=100, deadline=None)
def test_any_bytes_can_be_signed_and_any_change_is_seen(body: bytes, at: int) -> None:
    headers = sign("act_1", at, body, [KEY])
    verify(headers, body, [KEY], now=at)
    for changed in (body + b"\n", body[:-1] if body else b"x"):
        with pytest.raises(WebhookError):
            verify(headers, changed, [KEY], now=at)


@given(headers=st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
@settings(max_examples=200, deadline=None)
def test_rubbish_is_refused_and_nothing_else_happens(headers: dict[str, str]) -> None:
    with pytest.raises(WebhookError):
        verify(headers, BODY, [KEY], now=NOW)
    with pytest.raises(WebhookError):
        verify_slack({f"x-slack-{name[8:]}": value for name, value in headers.items()}, BODY, "secret", now=NOW)


# -- what is needed ---------------------------------------------------------------------------------------------------


def test_header_names_are_of_any_case() -> None:
    verify({name.upper(): value for name, value in signed().items()}, BODY, [KEY], now=NOW)
    verify({name.title(): value for name, value in signed().items()}, BODY, [KEY], now=NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed_and_only_once(missing: str) -> None:
    headers = signed()
    with pytest.raises(WebhookError, match=missing):
        verify({name: value for name, value in headers.items() if name != missing}, BODY, [KEY], now=NOW)
    with pytest.raises(WebhookError, match="twice"):
        verify(headers | {missing.upper(): headers[missing]}, BODY, [KEY], now=NOW)


@pytest.mark.parametrize("age", [299, -299, 0])
def test_five_minutes_are_allowed(age: int) -> None:
    verify(signed(), BODY, [KEY], now=NOW + age)


@pytest.mark.parametrize(("age", "words"), [(301, "too old"), (-301, "future"), (float("nan"), "future")])
def test_what_is_older_or_from_the_future_is_refused(age: float, words: str) -> None:
    with pytest.raises(WebhookError, match=words):
        verify(signed(), BODY, [KEY], now=NOW + age)


@pytest.mark.parametrize("stamp", ["1e9", "-5", " 1800000000", "1800000000.0", "١٨٠٠٠٠٠٠٠٠", "9" * 40])
def test_a_timestamp_is_a_whole_number_in_ascii(stamp: str) -> None:
    with pytest.raises(WebhookError):
        verify(signed() | {"webhook-timestamp": stamp}, BODY, [KEY], now=NOW)


def test_rotation_any_key_of_either_side_will_do() -> None:
    old, new = KEY, OTHER
    verify(signed(new, old), BODY, [old], now=NOW)
    verify(signed(new, old), BODY, [new], now=NOW)
    verify(signed(old), BODY, [new, old], now=NOW)
    with pytest.raises(WebhookError):
        verify(signed(old), BODY, [new], now=NOW)


def test_signatures_of_other_versions_are_passed_over_but_not_believed() -> None:
    right = signed()["webhook-signature"]
    verify(signed() | {"webhook-signature": f"v1a,abc= v2 {right} ,"}, BODY, [KEY], now=NOW)
    with pytest.raises(WebhookError, match="v1"):
        verify(signed() | {"webhook-signature": right.replace("v1,", "v2,")}, BODY, [KEY], now=NOW)


def test_a_header_full_of_signatures_is_not_searched_without_end() -> None:
    flood = " ".join(["v1,AAAA"] * 1000 + [signed()["webhook-signature"]])
    with pytest.raises(WebhookError):
        verify(signed() | {"webhook-signature": flood}, BODY, [KEY], now=NOW)


def test_an_id_with_a_full_stop_could_be_moved_into_the_body_and_is_refused() -> None:
    with pytest.raises(ConfigError):
        sign("a.1", NOW, BODY, [KEY])
    stamp = str(int(NOW))
    content = f"act.{stamp}.{stamp}.".encode() + BODY
    signature = base64.b64encode(hmac.new(KEY.value(), content, hashlib.sha256).digest()).decode()
    shared = {"webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}
    with pytest.raises(WebhookError):
        verify({**shared, "webhook-id": f"act.{stamp}"}, BODY, [KEY], now=NOW)


@pytest.mark.parametrize("id", ["", "a b", "ä", "a\nb", "x" * 256])
def test_ids_that_no_header_can_carry_are_not_signed(id: str) -> None:
    with pytest.raises(ConfigError):
        sign(id, NOW, BODY, [KEY])


# -- replay -----------------------------------------------------------------------------------------------------------


def test_a_request_is_believed_once_and_a_retry_is_another_attempt() -> None:
    seen = Seen()
    verify(signed(), BODY, [KEY], now=NOW, seen=seen)
    with pytest.raises(WebhookError, match="seen before"):
        verify(signed(), BODY, [KEY], now=NOW + 1, seen=seen)
    verify(signed(at=NOW + 5), BODY, [KEY], now=NOW + 5, seen=seen)


def test_a_replay_with_its_signatures_in_another_order_is_known_too() -> None:
    seen = Seen()
    headers = signed(KEY, OTHER)
    verify(headers, BODY, [KEY, OTHER], now=NOW, seen=seen)
    first, second = headers["webhook-signature"].split()
    for signature in (f"{second} {first}", first, second):
        with pytest.raises(WebhookError, match="seen before"):
            verify(headers | {"webhook-signature": signature}, BODY, [KEY, OTHER], now=NOW, seen=seen)


def test_what_is_refused_is_not_remembered() -> None:
    seen = Seen()
    with pytest.raises(WebhookError):
        verify(signed(OTHER), BODY, [KEY], now=NOW, seen=seen)
    verify(signed(), BODY, [KEY], now=NOW, seen=seen)


def test_memory_is_bounded_in_time_and_size() -> None:
    seen = Seen(keep=600, size=3)
    assert all(seen.first(name, NOW) for name in "abcd")
    assert not seen.first("d", NOW)
    assert seen.first("a", NOW)  # forgotten for lack of room
    assert seen.first("d", NOW + 601)


def test_one_of_many_threads_is_first() -> None:
    seen, firsts = Seen(), []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        firsts.append(seen.first("one", NOW))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(firsts) == [False] * 7 + [True]


# -- keys -------------------------------------------------------------------------------------------------------------


def test_keys_older_than_thirty_days_are_stale() -> None:
    fresh = SigningKey(KEY.secret, NOW - 29 * DAY)
    old = SigningKey(OTHER.secret, NOW - 31 * DAY)
    unknown = SigningKey(KEY.secret)
    assert stale([fresh, old, unknown], NOW) == [old]
    assert stale([fresh], NOW + 2 * DAY) == [fresh]


def test_a_new_key_works_in_both_packages_and_is_not_shown() -> None:
    new = SigningKey.generate(NOW)
    text = new.secret.reveal()
    assert new.created == NOW and len(new.value()) == 32
    assert text not in repr(new) and text[10:] not in f"{new}"
    assert Webhook(text).verify(BODY, sign("act_1", time.time(), BODY, [text]))


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"x" * 23).decode(), "ü"])
def test_keys_that_are_none_are_a_fault_of_ours_and_are_not_told(text: str) -> None:
    for call in (lambda: sign("act_1", NOW, BODY, [text]), lambda: verify(signed(), BODY, [text], now=NOW)):
        with pytest.raises(ConfigError) as caught:
            call()
        assert not text.removeprefix("whsec_") or text.removeprefix("whsec_") not in str(caught.value)
    with pytest.raises(ConfigError):
        verify(signed(), BODY, [], now=NOW)


def test_a_single_key_may_be_given_as_it_is_and_without_padding() -> None:
    text = KEY.secret.reveal()
    verify(signed(), BODY, [text.rstrip("=")], now=NOW)
    verify(signed(), BODY, [Sensitive(text)], now=NOW)
    verify(signed(), BODY, text, now=NOW)


def test_errors_tell_neither_key_nor_signature() -> None:
    with pytest.raises(WebhookError) as caught:
        verify(signed(OTHER), BODY, [KEY], now=NOW)
    assert issubclass(WebhookError, KeysentryError)
    right = signed()["webhook-signature"][3:]
    for hidden in (right, KEY.secret.reveal(), signed(OTHER)["webhook-signature"][3:]):
        assert hidden not in str(caught.value) and hidden not in repr(caught.value)


# -- Slack and the bare form ------------------------------------------------------------------------------------------


def slack_headers(body: bytes, secret: str, at: float = NOW) -> dict[str, str]:
    """As slack_sdk's own SignatureVerifier makes them."""
    from slack_sdk.signature import SignatureVerifier

    stamp = str(int(at))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    assert signature is not None
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signature}


def test_slack_requests_are_believed_as_its_own_package_signs_them() -> None:
    secret, body = "of the app", b"token=x&team_id=T1"
    verify_slack(slack_headers(body, secret), body, secret, now=NOW)
    verify_slack(slack_headers(body, secret), body, Sensitive(secret), now=NOW + 299)
    for broken, words in (
        (slack_headers(body, "of another"), "not right"),
        (slack_headers(body + b"&", secret), "not right"),
        (slack_headers(body, secret, NOW - 301), "too old"),
        (slack_headers(body, secret) | {"X-Slack-Signature": ""}, "missing"),
        (slack_headers(body, secret) | {"X-Slack-Signature": "v1=" + "0" * 64}, "not right"),
        ({}, "missing"),
    ):
        with pytest.raises(WebhookError, match=words):
            verify_slack(broken, body, secret, now=NOW)
    seen = Seen()
    verify_slack(slack_headers(body, secret), body, secret, now=NOW, seen=seen)
    with pytest.raises(WebhookError, match="seen before"):
        verify_slack(slack_headers(body, secret), body, secret, now=NOW, seen=seen)


def test_the_bare_form() -> None:
    headers = sign_hub(BODY, "shared")
    expected = "sha256=" + hmac.new(b"shared", BODY, hashlib.sha256).hexdigest()
    assert headers == {HUB_HEADER: expected}
    verify_hub({"x-hub-signature-256": expected}, BODY, Sensitive("shared"))
    verify_hub({"X-Gitea-Signature": expected}, BODY, "shared", header="x-gitea-signature")
    for broken in ({}, {HUB_HEADER: expected[:-1] + "0x"}, {HUB_HEADER: expected.removeprefix("sha256=")}):
        with pytest.raises(WebhookError):
            verify_hub(broken, BODY, "shared")
    with pytest.raises(WebhookError):
        verify_hub(headers, BODY + b" ", "shared")
    with pytest.raises(ConfigError):
        verify_hub(headers, BODY, "")


def test_the_examples_of_the_page_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import re
    from pathlib import Path
    from typing import Any

    page = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    receiving, making, sending = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    monkeypatch.setenv("WEBHOOK_KEY", KEY.secret.reveal())
    exec(receiving, names)
    assert names["receive"](sign("act_1", time.time(), BODY, [KEY]), BODY) == (200, "")
    assert names["receive"](sign("act_1", time.time(), BODY, [OTHER]), BODY) == (401, "no signature is right")
    exec(making, names)
    assert SigningKey.of(capsys.readouterr().out.strip()).value()
    exec(sending, names)
    verify(names["headers"], names["body"], [names["key"]])
