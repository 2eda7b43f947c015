"""Asking providers whether credentials live, as the rules say: opt-in, since it uses what was found.

Invariants. Only rules with `[rule.verify]` are asked for, and only hosts that they name are asked. An answer that fits
neither `live` nor `dead`, or both equally, says nothing: `unknown`. Evidence is free of payload.
"""

from __future__ import annotations

from keysentry.errors import InputError
from keysentry.model.action import Credential, Liveness
from keysentry.response.answer import fits, split_scopes, told
from keysentry.response.base import Verdict
from keysentry.response.outbound import Outbound, Reply
from keysentry.response.request import host_of, prepare
from keysentry.response.scrub import scrub, secrets_of
from keysentry.rules.schema import RuleSet, Verify

_LONGEST_IDENTITY = 200


class RuleVerifier:
    """Asks as `[rule.verify]` of the rules says."""

    def __init__(self, rules: RuleSet, outbound: Outbound) -> None:
        self._asks = {rule.id: rule.verify for rule in rules.rules if rule.verify is not None}
        self._outbound = outbound

    def verify(self, credential: Credential) -> Verdict | None:
        """The verdict; None where no rule tells how to ask.

        Raises `SourceError` where the provider could not be asked now. What can never be asked (a companion that is
        missing, a host that is not allowed) is `unknown`, and the evidence says why.
        """
        ask = self._asks.get(credential.rule)
        if ask is None:
            return None
        host = host_of(ask.request)
        try:
            reply = self._outbound.send(prepare(ask.request, credential, repeatable=True))
        except InputError as error:
            reason = scrub(error.reason, secrets_of(credential))
            return Verdict(liveness="unknown", evidence={"host": host, "reason": reason})
        return _judged(ask, reply, credential, host)


def _judged(ask: Verify, reply: Reply, credential: Credential, host: str) -> Verdict:
    liveness = liveness_of(ask, reply)
    evidence = {"host": host, "status": str(reply.status), "fits": liveness if liveness != "unknown" else "neither"}
    if liveness != "live":
        return Verdict(liveness=liveness, evidence=evidence)
    hidden = secrets_of(credential)
    identity = told(ask.identity, reply) if ask.identity else ()
    scopes = split_scopes(told(ask.scopes, reply)) if ask.scopes else ()
    return Verdict(
        liveness=liveness,
        evidence=evidence,
        identity=scrub(identity[0], hidden, _LONGEST_IDENTITY) if identity else "",
        scopes=tuple(scrub(scope, hidden, _LONGEST_IDENTITY) for scope in scopes),
    )


def liveness_of(ask: Verify, reply: Reply) -> Liveness:
    """What an answer says. Where both descriptions fit, the one that also describes the body is the truer one."""
    live, dead = fits(ask.live, reply), fits(ask.dead, reply)
    if live and dead:
        live, dead = bool(ask.live.body) and not ask.dead.body, bool(ask.dead.body) and not ask.live.body
    if live == dead:
        return "unknown"
    return "live" if live else "dead"
