"""A program of your own revokes: it gets JSON on its standard input, and answers with JSON on its standard output.

Input: `{"action": "revoke" | "revoked" | "rotate", "key": ..., "incident": ..., "fingerprint": ..., "rule": ...,
"title": ..., "provider": ..., "secret": ..., "companions": {...}}`. Output of `revoke`:
`{"outcome": "done" | "already" | "nothing", "note": "...", "evidence": {...}}`; of `revoked`: the same, or `{}` where
it is not revoked; of `rotate`: the same with the new secret in `secret`. `{"error": "access" | "input" | "unclear" |
"later", "reason": "..."}` says that it could not.

Invariants. The secret goes through the pipe only: never into arguments or the environment, which other users can see.
The program gets no environment but what the options say. It and all that it started end with the time limit. What it
prints is masked before it is shown.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO, ClassVar, Literal

import msgspec

from keysentry.errors import AccessError, ConfigError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker
from keysentry.response.revoke.base import RevokerOptions, Tools, needed
from keysentry.response.scrub import scrub, scrubbed, secrets_of

__all__ = ["Options", "ProcessRevoker", "open_revoker"]

_MOST = 64 * 1024
_FAULTS: dict[str, type[KeysentryError]] = {
    "access": AccessError,
    "input": InputError,
    "unclear": UnclearError,
    "later": SourceError,
}


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a program that revokes. Name the rules in `handles`: the kind is made for none.

    `command`: the program and its arguments; no shell is in between. `seconds`: how long it may take. `folder`: where
    it runs. `variables`: its environment. `asks`: it knows the action `revoked`. `repeatable`: revoking twice does no
    harm; without either, an interrupted revocation waits for a person.
    """

    command: tuple[str, ...]
    seconds: float = 60.0
    folder: str = ""
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    asks: bool = False
    repeatable: bool = False

    kind: ClassVar[str] = "process"
    paths: ClassVar[tuple[str, ...]] = ("folder",)

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        needed(self.handles, self, "handles")
        needed(self.command, self, "command")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the program prints."""

    outcome: Literal["done", "already", "nothing", ""] = ""
    note: str = ""
    evidence: dict[str, str] = {}
    secret: str = ""
    error: str = ""
    reason: str = ""


class ProcessRevoker:
    """Has a program revoke, and rotate."""

    def __init__(self, options: Options) -> None:
        self.name = options.name
        self.handles = options.handled
        self._options = options

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Have it revoked."""
        return self._receipt(self._run("revoke", credential, key), credential)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Have it asked whether it is revoked, if the program knows how."""
        if self._options.asks:
            answer = self._run("revoked", credential, key)
            return self._receipt(answer, credential) if answer.outcome else None
        if self._options.repeatable:
            return None
        raise UnclearError(
            "the program was interrupted", place=self.name, advice="look whether it did it; set asks or repeatable"
        )

    def rotate(self, credential: Credential, key: str) -> tuple[Sensitive, Receipt]:
        """Have it replaced: the new secret."""
        answer = self._run("rotate", credential, key)
        receipt = self._receipt(answer, credential)
        if not answer.secret or answer.secret == credential.secret.reveal():
            raise UnclearError("the program gave no new secret", place=self.name, advice="look what it did")
        new = Sensitive(answer.secret)
        note = scrub(receipt.note, [new])
        evidence = {name: scrub(value, [new]) for name, value in receipt.evidence.items()}
        return new, msgspec.structs.replace(receipt, note=note, evidence=evidence)

    def _receipt(self, answer: Answer, credential: Credential) -> Receipt:
        if not answer.outcome:
            raise UnclearError("the program answered without an outcome", place=self.name, advice="look what it did")
        made = Receipt(outcome=answer.outcome, note=answer.note or "the program says so", evidence=answer.evidence)
        return scrubbed(made, credential)

    def _run(self, action: str, credential: Credential, key: str) -> Answer:
        hidden = secrets_of(credential)
        code, out, err = self._finished(_asked(action, credential, key))
        answer = _decoded(out)
        if answer is not None and answer.error:
            fault = _FAULTS.get(answer.error, SourceError)
            raise fault(scrub(answer.reason or f"it says {answer.error}", hidden), place=self.name)
        if code:
            said = scrub(err.decode("utf-8", "replace"), hidden)
            raise UnclearError(f"the program ended with {code}{f': {said}' if said else ''}", place=self.name)
        if answer is None:
            raise UnclearError("the program's answer is not the JSON that was asked for", place=self.name)
        return answer

    def _finished(self, asked: bytes) -> tuple[int, bytes, bytes]:
        """Exit code and the beginnings of what it printed. Nothing of it outlives the time limit."""
        options = self._options
        try:
            process = subprocess.Popen(
                list(options.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=options.folder or None,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", **options.variables},
                start_new_session=True,
            )
        except OSError as error:
            reason = f"{Path(options.command[0]).name} cannot be started: {error.strerror}"
            raise AccessError(reason, place=self.name, advice="look at command and folder") from None
        outs = _Beginning(process.stdout), _Beginning(process.stderr)
        writer = threading.Thread(target=_write, args=(process.stdin, asked), daemon=True)
        writer.start()
        try:
            code = process.wait(options.seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
            writer.join()
            read = [one.value() for one in outs]
        if code is None:
            raise UnclearError(
                f"the program was ended after {options.seconds:g} s", place=self.name, advice="look what it did"
            )
        return code, read[0], read[1]


class _Beginning:
    """Reads a pipe to its end in a thread of its own and keeps its beginning."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._kept = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._pipe, contextlib.suppress(OSError, ValueError):
            while piece := self._pipe.read1(_MOST):  # type: ignore[attr-defined]
                self._kept += piece[: _MOST - len(self._kept)]

    def value(self) -> bytes:
        """What was kept. Its writers must have ended."""
        self._thread.join(5)
        return self._kept


def _write(pipe: IO[bytes] | None, asked: bytes) -> None:
    assert pipe is not None
    with contextlib.suppress(OSError), pipe:
        pipe.write(asked)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and whatever it started and left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _asked(action: str, credential: Credential, key: str) -> bytes:
    return msgspec.json.encode(
        {
            "action": action,
            "key": key,
            "incident": credential.incident,
            "fingerprint": credential.fingerprint,
            "rule": credential.rule,
            "title": credential.title,
            "provider": credential.provider,
            "secret": credential.secret.reveal(),
            "companions": {name: value.reveal() for name, value in credential.companions.items()},
        }
    )


def _decoded(out: bytes) -> Answer | None:
    try:
        return msgspec.json.decode(out, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of a program", place=options.name)
    return ProcessRevoker(options)
