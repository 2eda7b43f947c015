"""Python callables that revoke and rotate: the decorators, and the entry-point group `keysentry.revokers`.

    @keysentry.revoker("acme.*", timeout=20)
    def end_acme_token(credential):
        acme.admin().revoke(credential.secret.reveal())
        return "ended in the Acme console"

A callable takes the credential, and the idempotency key as well if it has a second argument. It returns a `Receipt`,
words for one, True or None for done, and False where it could not; what it raises means that it could not either and
may try again, unless it is a keysentry error, which says itself what it means.

Invariants. It runs in a thread of its own with a time limit; what is still running then has an unknown outcome. No word
of it reaches anybody before the secret is taken out.

Failure modes. A thread cannot be ended. After `_HANGING` calls of one callable that never came back it is not called
any more. After an interruption nobody knows what the callable did: `revoked=` names a function that can be asked,
`repeatable=True` says that doing it twice is harmless; without either the action waits for a person.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from keysentry.errors import ConfigError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker, Rotator
from keysentry.response.scrub import scrub, scrubbed, scrubbed_error, secrets_of

__all__ = [
    "CallableRevoker", "CallableRotator", "Registry", "load_entry_points", "registry", "revoker", "rotator",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

GROUP = "keysentry.revokers"
TIMEOUT = 60.0
_HANGING = 4
_BRIEF = 300


class CallableRevoker:
    """A revoker that is a callable."""

    def __init__(
        self,
        function: Callable[..., Any],
        handles: tuple[str, ...],
        *,
        name: str = "",
        timeout: float = TIMEOUT,
        revoked: Callable[..., Any] | None = None,
        repeatable: bool = False,
    ) -> None:
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.handles = handles
        self._run = _Limited(function, self.name, timeout)
        self._ask = None if revoked is None else _Limited(revoked, self.name, timeout)
        self._repeatable = repeatable

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Call it."""
        return self._receipt(self._run(credential, key), credential)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Ask the function that was named for it."""
        if self._ask is not None:
            answer = self._ask(credential, key)
            if answer is None or answer is False:
                return None
            return self._receipt(answer, credential)
        if self._repeatable:
            return None
        advice = "look whether it did it; give the revoker revoked= or repeatable=True"
        raise UnclearError("it was interrupted, and nobody can be asked", place=self.name, advice=advice)

    def _receipt(self, answer: object, credential: Credential) -> Receipt:
        if isinstance(answer, Receipt):
            return scrubbed(answer, credential)
        if answer is False:
            raise InputError("it says that it did not revoke it", place=self.name, advice="a person must revoke it")
        if answer is None or answer is True or (isinstance(answer, str) and answer.strip()):
            note = answer if isinstance(answer, str) else f"{self.name} revoked it"
            return scrubbed(Receipt(outcome="done", note=note), credential)
        raise UnclearError(
            f"it returned a value of type {type(answer).__name__}, which says nothing",
            place=self.name,
            advice="return a Receipt, a text, True, False or None; look whether it revoked it",
        )


class CallableRotator:
    """A rotator that is a callable: it returns the new secret, alone or with a receipt."""

    def __init__(
        self, function: Callable[..., Any], handles: tuple[str, ...], *, name: str = "", timeout: float = TIMEOUT
    ) -> None:
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.handles = handles
        self._run = _Limited(function, self.name, timeout)

    def rotate(self, credential: Credential, key: str) -> tuple[Sensitive, Receipt]:
        """Call it."""
        answer = self._run(credential, key)
        receipt: object = Receipt(outcome="done", note=f"{self.name} replaced it")
        if isinstance(answer, tuple) and len(answer) == 2:
            answer, receipt = answer
        if isinstance(answer, str | bytes) and answer:
            answer = Sensitive(answer)
        if not isinstance(answer, Sensitive) or not len(answer) or not isinstance(receipt, Receipt):
            raise UnclearError(
                "it gave no new secret",
                place=self.name,
                advice="return the new secret, or (secret, Receipt); look what it did",
            )
        if answer == credential.secret:
            raise UnclearError("it gave the old secret as the new one", place=self.name, advice="look what it did")
        hidden = [answer]
        note = scrub(receipt.note, hidden)
        evidence = {name: scrub(str(value), hidden) for name, value in receipt.evidence.items()}
        return answer, scrubbed(Receipt(outcome=receipt.outcome, note=note, evidence=evidence), credential)


class _Limited:
    """Calls somebody else's function within a time limit."""

    def __init__(self, function: Callable[..., Any], name: str, timeout: float) -> None:
        self._function = function
        self._name = name
        self._timeout = timeout
        self._with_key = _takes_two(function)
        self._hanging: set[threading.Thread] = set()
        self._lock = threading.Lock()

    def __call__(self, credential: Credential, key: str) -> object:
        with self._lock:
            self._hanging = {one for one in self._hanging if one.is_alive()}
            if len(self._hanging) >= _HANGING:
                raise SourceError(
                    f"{len(self._hanging)} calls of it have not come back", place=self._name, advice="restart keysentry"
                )
        arguments = (credential, key) if self._with_key else (credential,)
        answers: SimpleQueue[tuple[object, KeysentryError | None]] = SimpleQueue()

        def run() -> None:
            try:
                answers.put((self._function(*arguments), None))
            except KeysentryError as error:
                answers.put((None, scrubbed_error(error, credential)))
            except BaseException as error:  # whatever it is, it is not ours, and ends here
                said = scrub(f"{type(error).__name__}: {_words(error)}", secrets_of(credential), _BRIEF)
                answers.put((None, SourceError(f"it failed: {said}", place=self._name)))

        thread = threading.Thread(target=run, name=f"keysentry {self._name}", daemon=True)
        thread.start()
        try:
            answer, fault = answers.get(timeout=self._timeout)
        except Empty:
            with self._lock:
                self._hanging.add(thread)
            answer = None
            fault = UnclearError(
                f"it has not come back after {self._timeout:g} s", place=self._name, advice="look what it did"
            )
        if fault is not None:
            raise fault
        return answer


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception that cannot even be printed
        return "it cannot be printed"


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function wants the idempotency key as well."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    placed = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = [one for one in placed if one.default is one.empty]
    return len(required) >= 2 or any(one.kind is one.VAR_POSITIONAL for one in parameters)


class Registry:
    """What the decorators gathered, in the order in which it came."""

    def __init__(self) -> None:
        self.revokers: list[Revoker] = []
        self.rotators: list[Rotator] = []

    def clear(self) -> None:
        """Forget all."""
        self.revokers.clear()
        self.rotators.clear()


registry = Registry()
"""Of this process: modules that are imported add to it."""


def revoker(
    *handles: str,
    name: str = "",
    timeout: float = TIMEOUT,
    revoked: Callable[..., Any] | None = None,
    repeatable: bool = False,
) -> Callable[[F], F]:
    """A decorator: the function revokes credentials of the rules that fit one of the globs. It stays what it is.

    `name`: what playbooks call it (the function's name). `timeout`: seconds that a call may take. `revoked`: a function
    that tells after an interruption whether it is revoked (as a revoker's answer; None or False: it is not).
    `repeatable`: revoking twice does no harm. Raises `ConfigError`.
    """
    _check(handles)

    def note(function: F) -> F:
        one = CallableRevoker(function, handles, name=name, timeout=timeout, revoked=revoked, repeatable=repeatable)
        registry.revokers.append(one)
        return function

    return note


def rotator(*handles: str, name: str = "", timeout: float = TIMEOUT) -> Callable[[F], F]:
    """A decorator: the function replaces credentials and returns the new secret (str, bytes or Sensitive), alone or as
    (secret, Receipt). The old one must be dead then. Raises `ConfigError`.
    """
    _check(handles)

    def note(function: F) -> F:
        registry.rotators.append(CallableRotator(function, handles, name=name, timeout=timeout))
        return function

    return note


def _check(handles: tuple[object, ...]) -> None:
    if not handles or not all(isinstance(one, str) and one for one in handles):
        advice = '@keysentry.revoker("aws.access-key")'
        raise ConfigError("name the rules that it is for, as globs on their ids", place="revoker", advice=advice)


def load_entry_points(found: Iterable[EntryPoint] | None = None) -> list[ConfigError]:
    """Import what installed packages offer in the group `keysentry.revokers`, into the registry; what cannot be loaded.

    An entry is a module whose decorators do the rest, or a function; one without a decorator revokes credentials of
    the rule that the entry's name tells.
    """
    faults = []
    for entry in entry_points(group=GROUP) if found is None else found:
        before = len(registry.revokers) + len(registry.rotators)
        try:
            offered = entry.load()
        except Exception as error:  # whatever a package raises while it is imported
            faults.append(ConfigError(f"it cannot be loaded: {type(error).__name__}", place=f"{GROUP}: {entry.name}"))
            continue
        if len(registry.revokers) + len(registry.rotators) > before or inspect.ismodule(offered):
            continue
        if callable(offered) and not any(_is_of(one, offered) for one in (*registry.revokers, *registry.rotators)):
            registry.revokers.append(CallableRevoker(offered, (entry.name,)))
        elif not callable(offered):
            faults.append(ConfigError("it is neither a function nor a module", place=f"{GROUP}: {entry.name}"))
    return faults


def _is_of(one: object, function: object) -> bool:
    run = getattr(one, "_run", None)
    return getattr(run, "_function", None) is function
