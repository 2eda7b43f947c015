"""Callables that revoke and rotate: what they may return, raise and take, and what comes of bad ones."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from keysentry.errors import AccessError, ConfigError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.revoke import declared, github, registry, slack
from keysentry.response.revoke.base import Tools, revoker_for, specific
from keysentry.response.revoke.table import REVOKERS, open_revoker, revoker_kind
from tests.response.secrets_made import RULES, credential, holds, told_everywhere

KEY = "act_1"
KNOWN = credential("acme.key", "a secret of some length 1234", id="a-key-id-0001")
SECRET = KNOWN.secret.reveal()


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    registry.registry.clear()
    yield
    registry.registry.clear()


def made(function: Callable[..., Any], **more: Any) -> registry.CallableRevoker:
    registry.revoker("acme.*", **more)(function)
    one = registry.registry.revokers[-1]
    assert isinstance(one, registry.CallableRevoker)
    return one


def fault_of(call: Callable[[], object], kind: type[KeysentryError]) -> KeysentryError:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert not holds(told_everywhere(caught.value), SECRET)
    return caught.value


def test_a_decorated_function_is_registered_and_stays_what_it_is() -> None:
    @registry.revoker("acme.key", "acme.other-*", name="acme", timeout=5)
    def end(credential: Credential) -> str:
        return f"ended {credential.secret.reveal()}"

    one = registry.registry.revokers[0]
    assert (one.name, one.handles) == ("acme", ("acme.key", "acme.other-*"))
    assert end(KNOWN) == f"ended {SECRET}"
    assert one.revoke(KNOWN, KEY).note == f"ended {KNOWN.secret}"


@pytest.mark.parametrize("handles", [(), ("",), (len,)])
def test_a_decorator_without_rules_is_refused(handles: Any) -> None:
    with pytest.raises(ConfigError):
        registry.revoker(*handles)
    with pytest.raises(ConfigError):
        registry.rotator(*handles)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (True, "done"),
        (None, "done"),
        ("ended", "done"),
        (Receipt(outcome="already", note=f"was {SECRET}", evidence={"x": SECRET}), "already"),
        (Receipt(outcome="nothing", note="gone"), "nothing"),
    ],
)
def test_what_a_callable_may_return(answer: object, outcome: str) -> None:
    receipt = made(lambda credential: answer).revoke(KNOWN, KEY)
    assert receipt.outcome == outcome
    assert not holds(repr(receipt), SECRET)


def test_false_means_that_a_person_must_look() -> None:
    fault_of(lambda: made(lambda credential: False).revoke(KNOWN, KEY), InputError)


@pytest.mark.parametrize("answer", [1, 0, {"outcome": SECRET}, [SECRET], b"x", "", "  ", object(), Exception(SECRET)])
def test_rubbish_is_unclear_and_says_what_would_be_right(answer: object) -> None:
    fault = fault_of(lambda: made(lambda credential: answer).revoke(KNOWN, KEY), UnclearError)
    assert type(answer).__name__ in str(fault)
    assert "Receipt" in fault.advice


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError(SECRET)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError(f"no such key: {SECRET}"), SourceError),
        (Unprintable(), SourceError),
        (SystemExit(SECRET), SourceError),
        (KeyboardInterrupt(), SourceError),
        (InputError(f"cannot end {SECRET}", place=SECRET, advice=SECRET), InputError),
        (AccessError("no permission", advice="admin:write"), AccessError),
        (UnclearError("sent"), UnclearError),
    ],
)
def test_what_a_callable_raises(error: BaseException, kind: type[KeysentryError]) -> None:
    def end(credential: Credential) -> None:
        raise error

    fault_of(lambda: made(end).revoke(KNOWN, KEY), kind)


def test_a_callable_that_hangs_has_an_unknown_outcome_and_is_not_called_for_ever() -> None:
    woken = threading.Event()
    called: list[int] = []

    def hang(credential: Credential) -> None:
        called.append(1)
        woken.wait(30)

    one = made(hang, timeout=0.05)
    start = time.monotonic()
    for _ in range(4):
        assert "come back" in str(fault_of(lambda: one.revoke(KNOWN, KEY), UnclearError))
    assert type(fault_of(lambda: one.revoke(KNOWN, KEY), SourceError)) is SourceError
    assert len(called) == 4
    assert time.monotonic() - start < 5
    woken.set()
    deadline = time.monotonic() + 5
    while any(thread.name == "keysentry hang" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    fault_of(lambda: made(lambda credential: woken.wait(0) and {}, timeout=5).revoke(KNOWN, KEY), UnclearError)
    assert one.revoke(KNOWN, KEY).outcome == "done"


def test_a_second_argument_gets_the_idempotency_key() -> None:
    seen: list[object] = []

    def two(credential: Credential, key: str) -> None:
        seen.append(key)

    def optional(credential: Credential, retries: int = 3) -> None:
        seen.append(retries)

    def many(*all: object) -> None:
        seen.append(len(all))

    class Method:
        def end(self, credential: Credential, key: str) -> None:
            seen.append(key)

    for one in (two, optional, many, Method().end, lambda credential: seen.append("one") or None):
        made(one).revoke(KNOWN, KEY)
    assert seen == [KEY, 3, 2, KEY, "one"]


def test_after_an_interruption_it_is_asked_repeated_or_left_to_a_person() -> None:
    def end(credential: Credential) -> None:
        raise AssertionError("not called")

    fault_of(lambda: made(end).revoked(KNOWN, KEY), UnclearError)
    assert made(end, repeatable=True).revoked(KNOWN, KEY) is None
    assert made(end, revoked=lambda credential: False).revoked(KNOWN, KEY) is None
    assert made(end, revoked=lambda credential: None).revoked(KNOWN, KEY) is None
    receipt = made(end, revoked=lambda credential: f"gone: {SECRET}").revoked(KNOWN, KEY)
    assert receipt is not None
    assert not holds(receipt.note, SECRET)


def test_nothing_is_logged_by_us(caplog: pytest.LogCaptureFixture) -> None:
    def end(credential: Credential) -> None:
        raise ValueError(credential.secret.reveal())

    with caplog.at_level(logging.DEBUG):
        fault_of(lambda: made(end).revoke(KNOWN, KEY), SourceError)
    assert not caplog.records


# -- rotators ----------------------------------------------------------------------------------------------------------


def rotating(answer: object) -> registry.CallableRotator:
    registry.rotator("acme.*")(lambda credential: answer)
    one = registry.registry.rotators[-1]
    assert isinstance(one, registry.CallableRotator)
    return one


@pytest.mark.parametrize("answer", ["new one", b"new one", Sensitive("new one")])
def test_a_rotator_gives_the_new_secret(answer: object) -> None:
    new, receipt = rotating(answer).rotate(KNOWN, KEY)
    assert (new.reveal(), receipt.outcome) == ("new one", "done")
    told = Receipt(outcome="done", note=f"new one for {SECRET}", evidence={"value": "new one"})
    new, receipt = rotating((answer, told)).rotate(KNOWN, KEY)
    assert new.reveal() == "new one"
    assert "new one" not in f"{receipt.note}{receipt.evidence}"
    assert not holds(repr(receipt), SECRET)


@pytest.mark.parametrize(
    "answer", [None, "", b"", True, {"secret": "new"}, ("new",), ("new", "words"), Sensitive(""), SECRET]
)
def test_a_rotator_without_a_new_secret_is_unclear(answer: object) -> None:
    fault_of(lambda: rotating(answer).rotate(KNOWN, KEY), UnclearError)


# -- entry points ------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Callable[[str, str], EntryPoint]]:
    """An installed package, as its entry point."""
    sys.path.insert(0, str(tmp_path))
    names: list[str] = []

    def make(name: str, text: str, offered: str = "") -> EntryPoint:
        module = f"acme_package_{len(names)}_{tmp_path.name.replace('-', '_')}"
        names.append(module)
        (tmp_path / f"{module}.py").write_text(text)
        return EntryPoint(name, f"{module}{offered}", registry.GROUP)

    yield make  # type: ignore[misc]
    sys.path.remove(str(tmp_path))
    for name in names:
        sys.modules.pop(name, None)


def test_packages_bring_functions_and_modules(package: Any) -> None:
    decorated = "from keysentry.response.revoke.registry import revoker\n@revoker('acme.x')\ndef end(c): return 'x'\n"
    found = [
        package("acme.key", "def end(credential): return 'ended'\n", ":end"),
        package("anything", decorated),
        package("more", decorated.replace("acme.x", "acme.y"), ":end"),
        package("broken", "raise RuntimeError('no')\n"),
        package("number", "end = 7\n", ":end"),
        package("missing", "\n", ":end"),
    ]
    faults = registry.load_entry_points(found)
    assert [one.handles for one in registry.registry.revokers] == [("acme.key",), ("acme.x",), ("acme.y",)]
    assert [fault.place.rpartition(" ")[2] for fault in faults] == ["broken", "number", "missing"]
    assert registry.registry.revokers[0].revoke(KNOWN, KEY).note == "ended"
    registry.load_entry_points(found[:1])
    assert len(registry.registry.revokers) == 3


# -- the choice --------------------------------------------------------------------------------------------------------


def test_the_most_specific_one_takes_a_credential() -> None:
    tools = Tools(None, RULES)  # type: ignore[arg-type]
    rules = open_revoker(declared.Options(name="rules"), tools)
    hub = open_revoker(github.Options(name="hub"), tools)
    chat = open_revoker(slack.Options(name="chat"), tools)
    ours = made(lambda credential: True, name="ours")
    revokers = [rules, hub, chat, ours]

    def of(rule: str) -> str | None:
        one = revoker_for(credential(rule, "x"), revokers)
        return one.name if one else None

    assert of("github.pat-classic") == "hub"
    assert of("slack.bot-token") == "chat"
    assert of("fastly.api-token") == "rules"
    assert of("acme.key") == "ours"
    assert of("stripe.secret-key") is None
    registry.revoker("github.pat-classic", name="mine")(lambda credential: True)
    revokers.append(registry.registry.revokers[-1])
    assert of("github.pat-classic") == "mine"
    assert of("github.pat-fine-grained") == "hub"
    assert specific("github.pat-classic") > specific("github.pat-*") > specific("github.*") > specific("*")


def test_every_kind_has_options_and_can_be_imported_without_its_sdk() -> None:
    import subprocess

    code = (
        "import sys\nfrom keysentry.response.revoke.table import REVOKERS\n"
        "from keysentry.response.vault.table import VAULTS\n"
        "for kind in (*REVOKERS, *VAULTS): print(kind.load().Options.kind == kind.name)\n"
        "print({'boto3', 'botocore', 'hvac', 'google.auth', 'azure', 'requests', 'cryptography'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert told[: len(REVOKERS) + 4] == ["True"] * (len(REVOKERS) + 4)
    assert told[-2] == "set()"
    with pytest.raises(ConfigError, match="one of"):
        revoker_kind("none")


def test_every_setting_is_documented() -> None:
    from keysentry.response.vault.table import VAULTS

    for kind in (*REVOKERS, *VAULTS):
        options = kind.load().Options
        words = f"{options.__doc__}{options.__mro__[1].__doc__}"
        for name in options.__struct_fields__:
            assert f"`{name}`" in words, f"{kind.name}: {name}"
        for name in options.environment:
            assert name in options.__struct_fields__
