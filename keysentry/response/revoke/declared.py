"""The requests that rules declare: `[rule.revoke]`, with the credential that was found.

Algorithm. The request is sent once; the answer either is `done` or the provider is asked, where the rule tells how,
whether the credential still lives: one that does not was revoked before. After an interruption the provider is asked
first. Asking uses the credential as the revocation itself does, so it needs no further consent.

What the requests have in common, and why a second one does no harm: each is made with the credential that it kills, or
names it; the second finds it dead.
"""

from __future__ import annotations

from typing import ClassVar

from keysentry.errors import ConfigError, InputError, SourceError, UnclearError
from keysentry.model.action import Credential, Receipt
from keysentry.response.answer import fits
from keysentry.response.base import Revoker, Verdict
from keysentry.response.outbound import Outbound, refused
from keysentry.response.request import host_of, prepare
from keysentry.response.revoke.base import RevokerOptions, Tools
from keysentry.response.verify import RuleVerifier
from keysentry.rules.schema import RuleSet

__all__ = ["DeclaredRevoker", "Options", "open_revoker"]


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the revoker that follows the rules.

    `confirm`: after a revocation, ask the provider whether the credential is dead, where the rule tells how.
    """

    confirm: bool = True

    kind: ClassVar[str] = "declared"
    default_handles: ClassVar[tuple[str, ...]] = ("*",)


class DeclaredRevoker:
    """Revokes as `[rule.revoke]` of the rules says."""

    def __init__(self, options: Options, rules: RuleSet, outbound: Outbound) -> None:
        self.name = options.name
        self.handles = options.handled
        self._confirm = options.confirm
        self._revokes = {rule.id: rule.revoke for rule in rules.rules if rule.revoke is not None}
        self._verifier = RuleVerifier(rules, outbound)
        self._outbound = outbound

    def accepts(self, credential: Credential) -> bool:
        """Whether the credential's rule declares a request."""
        return credential.rule in self._revokes

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Send the request. Raises as `Revoker` says."""
        declared = self._revokes.get(credential.rule)
        if declared is None:
            raise InputError("its rule declares no request", place=credential.rule, advice="name another revoker")
        host = host_of(declared.request)
        reply = self._outbound.send(prepare(declared.request, credential, key=key, repeatable=False))
        evidence = {"host": host, "status": str(reply.status)}
        if fits(declared.done, reply):
            verdict = self._ask(credential) if self._confirm else None
            if verdict is not None:
                evidence["liveness afterwards"] = verdict.liveness
            return Receipt(outcome="done", note=f"{host} revoked it", evidence=evidence)
        verdict = self._ask(credential)
        if verdict is not None and verdict.liveness == "dead":
            return Receipt(outcome="already", note=f"{host} says that it is dead", evidence=evidence)
        if 400 <= reply.status < 500:
            reason = f"it answered {reply.status}, which the rule does not call done"
            raise InputError(reason, place=host, advice="a person must revoke it")
        if reply.status < 300:
            raise UnclearError(f"it answered {reply.status}, which the rule does not call done", place=host)
        raise refused(reply, host)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Ask the provider whether it is dead."""
        verdict = self._verifier.verify(credential)
        if verdict is None or verdict.liveness != "dead":
            return None
        return Receipt(outcome="done", note="the provider says that it is dead", evidence=dict(verdict.evidence))

    def _ask(self, credential: Credential) -> Verdict | None:
        """The verdict, if the provider gives one now: what was done does not hang on it."""
        try:
            return self._verifier.verify(credential)
        except SourceError:
            return None


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it. Raises `ConfigError` where no rules were given."""
    if not isinstance(options, Options) or tools.rules is None:
        raise ConfigError("a declared revoker needs the rules", place=options.name)
    return DeclaredRevoker(options, tools.rules, tools.outbound)
