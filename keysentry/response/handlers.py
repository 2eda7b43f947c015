"""How each kind of action is carried out: a function from a job to its outcome, in one table.

Every handler follows the same order, so that an interruption at any point is harmless: ask whether an earlier attempt
had its effect; make durable what is needed to undo it; do it; report. Errors are the worker's business.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from keysentry.connectors.base import Recipient
from keysentry.errors import ChangedError, GoneError, InputError, SourceError, UnclearError
from keysentry.model.action import Action, ActionState, Credential, Held, Kind, Receipt, action_id, record_of
from keysentry.model.incident import Appearance, Incident, Occurrence
from keysentry.model.sensitive import Sensitive
from keysentry.response.assess import assess
from keysentry.response.base import Verdict
from keysentry.response.hands import Hands
from keysentry.response.notify.messages import Case
from keysentry.response.plan import LATER, Policy
from keysentry.store.base import ActionQuery, Outcome, Store, Whereabouts

AUTHOR = "author"
_UNFINISHED: tuple[ActionState, ...] = ("proposed", "waiting", "ready", "running", "needs-a-person")


class Job(NamedTuple):
    """An action in a worker's hands. `again`: an earlier attempt may have had its effect."""

    action: Action
    again: bool
    store: Store
    hands: Hands
    policy: Policy
    now: float
    secrets: list[Sensitive]
    """Every secret that the handler has seen, for the worker to mask in whatever goes wrong."""


Handler = Callable[[Job], Outcome]


# -- containing ------------------------------------------------------------------------------------------------------


def hold(job: Job) -> Outcome:
    """Seal the original, then take it out of readers' hands."""
    return _contained(job, touch=True)


def seal(job: Job) -> Outcome:
    """Only keep the original."""
    return _contained(job, touch=False)


def _contained(job: Job, *, touch: bool) -> Outcome:
    action, store = job.action, job.store
    found = _found(job, key=action.subject)
    if not found:
        raise InputError(
            "what was found is not kept sealed, so that it cannot be found again",
            advice="set a seal key, forget the source's cursor, and let it be read again",
        )
    quarantine = job.hands.quarantines[action.source]
    key, known = _hold_of(job)
    placeholder = _placeholder(job)
    if known is not None and job.again:
        place, original, _ = store.original(key)
        if touch and (receipt := quarantine.held(place, original, placeholder)) is not None:
            return Outcome(receipt=receipt, placed="held", hold=key, gone=True)
    secrets = list({one.credential.secret: None for one in found})
    place = found[0].place
    try:
        original = quarantine.inspect(place, secrets)
    except GoneError as error:
        return Outcome(receipt=Receipt(outcome="nothing", note=f"not there any more: {error.reason}"), gone=True)
    except ChangedError:
        return Outcome(
            receipt=Receipt(outcome="nothing", note="edited meanwhile; it is not in there any more"), gone=True
        )
    held = Held(
        id=key,
        source=place.source,
        platform=action.platform,
        state="sealed",
        incidents=action.incidents,
        at=job.now,
        note=original.note,
        version=original.version,
    )
    store.keep(held, original)
    if not touch:
        return Outcome(receipt=Receipt(outcome="done", note=f"sealed: {original.note}"))
    return Outcome(receipt=quarantine.hold(place, original, secrets, placeholder), placed="held", hold=key, gone=True)


def _hold_of(job: Job) -> tuple[str, Held | None]:
    """The key of the action's hold, and what is known of it.

    A record that is held already, by another action, was written anew: what was held keeps its original, and this is
    another hold of the record.
    """
    for number in itertools.count():
        key = f"{job.action.subject}#{number}" if number else job.action.subject
        known = job.store.held(key)
        if known is None or known.state != "held":
            return key, known
    raise AssertionError


def release(job: Job) -> Outcome:
    """Put back what was held."""
    key = job.action.subject
    known = job.store.held(key)
    if known is None or known.state == "sealed":
        return Outcome(receipt=Receipt(outcome="nothing", note="it was never held"))
    if known.state == "released":
        return Outcome(receipt=Receipt(outcome="already", note="it was released before"))
    place, original, receipt = job.store.original(key)
    if receipt is None:
        raise InputError("the receipt of the hold is missing")
    quarantine = job.hands.quarantines[job.action.source]
    _found(job, key=record_of(known.id))
    done = quarantine.released(place, original, receipt) if job.again else None
    return Outcome(receipt=done or quarantine.release(place, original, receipt), placed="released")


def _placeholder(job: Job) -> str:
    action = job.action
    vault = action.settings.get("vault", "")
    reference = job.hands.vaults[vault].reference(_path(action.incident)) if vault else ""
    return job.hands.words.placeholder(action, reference)


# -- assessing -------------------------------------------------------------------------------------------------------


def assessed(job: Job) -> Outcome:
    """Say how bad it is and, if it is wished for, ask the provider; then plan anew with what was learnt."""
    incident = _incident(job, job.action.incident)
    verdict = _verdict(job) if job.action.settings.get("verify") == "yes" or job.action.kind == "verify" else None
    occurrences = list(job.store.occurrences(incident.id))
    held = list(job.store.holdings(incident.id))
    assessment = assess(incident, occurrences, held, verdict, time=job.now)
    following: Sequence[Action] = ()
    if verdict is not None:
        appearances = [
            Appearance(incident=incident, occurrence=one, key=key)
            for one, key in _places(job, occurrences)
            if one.gone is None
        ]
        following = job.policy.plan(appearances, job.now, verdict.liveness)
        following = [one for one in following if not _planned(job, one)]
    evidence = dict(verdict.evidence) if verdict else {}
    words = f"{assessment.audience}, {assessment.places} there, {assessment.liveness}"
    receipt = Receipt(outcome="done", note=words, evidence=evidence)
    return Outcome(receipt=receipt, assessment=assessment, followed_by=tuple(following))


def _verdict(job: Job) -> Verdict | None:
    found = _found(job, incident=job.action.incident)
    if job.hands.verifier is None or not found:
        return None
    return job.hands.verifier.verify(found[0].credential)


def _places(job: Job, occurrences: Sequence[Occurrence]) -> list[tuple[Occurrence, str]]:
    keys = {(one.occurrence.record, one.occurrence.part): one.key for one in _found(job, incident=job.action.incident)}
    return [(one, keys[one.record, one.part]) for one in occurrences if (one.record, one.part) in keys]


def _planned(job: Job, action: Action) -> bool:
    """Whether an action of this round does the same already."""
    known = job.store.actions(ActionQuery(incident=action.incident, kinds=(action.kind,)))
    return any(
        one.round == action.round and one.target == action.target
        and (one.subject == action.subject or action.kind == "notify")
        for one in known
    )  # fmt: skip


# -- telling ---------------------------------------------------------------------------------------------------------


def notify(job: Job) -> Outcome:
    """Tell the author, or whoever a notifier is for; all incidents of the action at once."""
    action, hands = job.action, job.hands
    incidents = _incidents(job)
    occurrences = [one for incident in incidents for one in job.store.occurrences(incident.id)]
    name = action.target
    recipient = Recipient()
    if name == AUTHOR:
        wanted = _author_of(action)
        occurrences = [one for one in occurrences if f"{one.source}/{one.author_id or one.author}" == wanted]
        if not occurrences:
            return Outcome(receipt=Receipt(outcome="nothing", note="there is no author to be told"))
        name = hands.authors.get(action.source, "")
        if not name:
            raise InputError(
                f"nobody can reach the authors of {action.source}", advice="add a [[notifier]] of its platform"
            )
        recipient = _recipient(job, occurrences[0])
    language = action.settings.get("language") or hands.languages.get(name, "en")
    notifier = hands.notifiers[name]
    late = job.store.action(action.subject.rpartition("/")[2]) if "escalates" in action.settings else None
    cases = [_case(job, incident, occurrences) for incident in incidents]
    if name == hands.authors.get(action.source) and action.target == AUTHOR:
        cases = [case for case in cases if case.occurrence is not None] or cases
    notice = hands.words.notice(action, cases, language, late)
    try:
        done = notifier.told(notice, recipient) if job.again else None
    except UnclearError as error:
        raise InputError(
            f"whether it was told before is not known: {error.reason}", advice="look there, then retry or reject it"
        ) from None
    return Outcome(receipt=done or notifier.tell(notice, recipient))


def _case(job: Job, incident: Incident, occurrences: Sequence[Occurrence]) -> Case:
    """The incident as it is told: the first of its places that this is about, and what was done so far."""
    place = next((one for one in occurrences if one.incident == incident.id), None)
    done: list[Kind] = []
    reference = ""
    for action, receipt in job.store.receipts(incident.id):
        if receipt.outcome != "nothing":
            done.append(action.kind)
        reference = receipt.evidence.get("reference", reference)
    return Case(incident=incident, occurrence=place, done=tuple(done), reference=reference)


def _author_of(action: Action) -> str:
    """`source/author id` of a notice to an author, as the plan made its subject."""
    return action.subject.rpartition("/")[0]


def _recipient(job: Job, occurrence: Occurrence) -> Recipient:
    found = _found(job, incident=occurrence.incident)
    place = next((one.place for one in found if _same(one.occurrence, occurrence)), None)
    author = place.author if place else occurrence.author
    email = author if "@" in author else ""
    return Recipient(author=author, author_id=occurrence.author_id, email=email, place=place)


def _same(one: Occurrence, other: Occurrence) -> bool:
    return (one.source, one.record, one.part, one.line, one.column) == (
        other.source, other.record, other.part, other.line, other.column,
    )  # fmt: skip


# -- remediating -----------------------------------------------------------------------------------------------------


def revoke(job: Job) -> Outcome:
    """Kill the credential at its provider, once."""
    credential = _credential(job)
    revoker = job.hands.revoker(job.action.target, credential)
    done = revoker.revoked(credential, job.action.id) if job.again else None
    return Outcome(receipt=done or revoker.revoke(credential, job.action.id))


def rotate(job: Job) -> Outcome:
    """Replace it: the new secret goes from the provider's hand to the vault, and nowhere else."""
    credential = _credential(job)
    name = job.action.settings.get("vault", "")
    if not name:
        raise InputError("there is no vault for the new secret", advice="set `vault` in the playbook's remediate table")
    vault = job.hands.vaults[name]
    if job.again:
        raise InputError(
            "a rotation was interrupted; whether there is a new secret only the provider knows",
            advice="look there, then retry or reject this action",
        )
    secret, receipt = job.hands.rotator(job.action.target, credential).rotate(credential, job.action.id)
    job.secrets.append(secret)
    kept = vault.put(_path(job.action.incident), secret, _facts(credential))
    evidence = {**receipt.evidence, **kept.evidence, "reference": vault.reference(_path(job.action.incident))}
    return Outcome(receipt=replace(receipt, note=f"{receipt.note}; {kept.note}", evidence=evidence))


def vault(job: Job) -> Outcome:
    """Keep the secret where it belongs."""
    credential = _credential(job)
    keeper, path = job.hands.vaults[job.action.target], _path(job.action.incident)
    done = keeper.kept(path, credential.secret) if job.again else None
    receipt = done or keeper.put(path, credential.secret, _facts(credential))
    return Outcome(receipt=replace(receipt, evidence={**receipt.evidence, "reference": keeper.reference(path)}))


def prevent(job: Job) -> Outcome:
    """Remember the secret as one that must not be used again."""
    incident = _incident(job, job.action.incident)
    job.store.remember_revoked(incident.fingerprint, incident=incident.id, time=job.now)
    return Outcome(receipt=Receipt(outcome="done", note="it is recognised from now on"))


def close(job: Job) -> Outcome:
    """Close the incident once nothing is left to do."""
    id = job.action.incident
    left = [
        one
        for one in job.store.actions(ActionQuery(incident=id, states=_UNFINISHED))
        if one.id != job.action.id and one.kind != "release"
    ]
    if left:
        return Outcome(retry_at=job.now + LATER, reason=f"{len(left)} actions are not finished")
    if _incident(job, id).state not in ("closed", "accepted-risk", "false-positive"):
        job.store.move(id, "closed", actor=job.action.actor, reason="all that was planned is done", time=job.now)
    return Outcome(receipt=Receipt(outcome="done", note="closed"))


HANDLERS: dict[Kind, Handler] = {
    "seal": seal,
    "hold": hold,
    "release": release,
    "assess": assessed,
    "verify": assessed,
    "notify": notify,
    "revoke": revoke,
    "rotate": rotate,
    "vault": vault,
    "prevent": prevent,
    "close": close,
}
UNLIMITED: frozenset[Kind] = frozenset({"close"})
"""What may be put off as often as it takes."""


# -- what they share -------------------------------------------------------------------------------------------------


def _found(job: Job, incident: str = "", key: str = "") -> list[Whereabouts]:
    found = list(job.store.whereabouts(incident, key))
    for one in found:
        job.secrets.extend((one.credential.secret, *one.credential.companions.values()))
    return found


def _credential(job: Job) -> Credential:
    """The fullest of what was found of an incident: one place may have the companions that another lacks."""
    found = _found(job, incident=job.action.incident)
    if not found:
        raise InputError(
            "the secret is not kept sealed",
            advice="set a seal key, forget the source's cursor, and let it be read again",
        )
    return max((one.credential for one in found), key=lambda one: len(one.companions))


def _incident(job: Job, id: str) -> Incident:
    incident = job.store.incident(id)
    if incident is None:
        raise SourceError("the incident is not in the store any more", place=id)
    return incident


def _incidents(job: Job) -> list[Incident]:
    return [_incident(job, id) for id in job.action.incidents]


def _path(incident: str) -> str:
    """Where a vault keeps an incident's secret, below its own prefix."""
    return incident


def _facts(credential: Credential) -> dict[str, str]:
    return {"incident": credential.incident, "rule": credential.rule, "provider": credential.provider}


def release_of(held: Held, *, actor: str, reason: str, time: float) -> Action:
    """The action that puts back what is held."""
    return Action(
        id=action_id("release", held.id, f"{held.at:.3f}"),
        kind="release",
        subject=held.id,
        incidents=held.incidents,
        source=held.source,
        platform=held.platform,
        actor=actor,
        reason=reason,
        created=time,
        updated=time,
        due_from=time,
    )
