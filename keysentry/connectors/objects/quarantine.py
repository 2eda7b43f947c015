"""The quarantine of every object store: the object is copied into a bucket of its own, then replaced or deleted.

How a hold goes. (1) A ticket that says what will be done is written into the quarantine. (2) Each state in which the
secret stands is copied there by the platform, and each copy is checked. (3) The object is replaced by a placeholder
that carries the hold's id, or deleted, on the condition that it still is the state that was looked at. (4) What the
store keeps of the replaced state is deleted for good. (5) All of this is read back.

How a release goes. Each copy is put back, the oldest first, so that versions come in their order again, and is read
back; the placeholder's version goes, then the copies, then the ticket.

Why an interruption does no harm. Ids are made of the record and of the state that was scanned, so every step is
recognised: the ticket and the copies by their keys, the placeholder by its mark, what was put back by the sums over its
content. Until (3) the object that people read is as it was; a copy is only deleted after what it holds was read back in
its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from keysentry.connectors.forms import Search, covered
from keysentry.connectors.objects.holding import Holder, HoldOptions, State, alike, changing
from keysentry.connectors.objects.returning import Returning
from keysentry.connectors.objects.ticket import (
    Item,
    Ticket,
    Undo,
    encoded,
    hold_id,
    parsed,
    record_hash,
    ticket_of,
    undo_of,
)
from keysentry.connectors.pace import Pace
from keysentry.errors import AccessError, ChangedError, GoneError, InputError, UnclearError
from keysentry.model.action import Original, Place, Receipt
from keysentry.model.sensitive import Sensitive

MOST_OLDER = 500
"""How many older versions of an object are looked into."""
_TICKET = "ticket.json"


class ObjectQuarantine:
    """Holds and releases the objects of one account."""

    def __init__(self, options: HoldOptions, holder: Holder, pace: Pace) -> None:
        self._options = options
        self._holder = holder
        self._pace = pace
        self._private = False

    def close(self) -> None:
        """Let go of connections and wake whoever waits."""
        self._pace.close()
        self._holder.close()

    # -- looking ------------------------------------------------------------------------------------------------------

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        """The object as it is now: if a secret is in it; or if it is no plain text, and nobody wrote it since it was
        scanned.

        Of what a hold of ours has begun to take, it gives what was there before.
        """
        bucket, key, version = parsed(place.record)
        title = covered(self._holder.place(bucket, key), secrets)
        now = self._holder.look(bucket, key, version, title)
        ticket = self._begun(place, now)
        if ticket is None:
            if now is None:
                raise GoneError("it is not there any more", place=title)
            if now.mark:
                raise ChangedError("it is a placeholder, and its original is not in this quarantine", place=title)
            ticket = self._ticket(place, bucket, now, secrets)
        more = len(ticket.items) - 1
        note = f"{ticket.top.title}, {ticket.top.size:,} bytes, written {_iso(ticket.top.modified)}"
        note += f", with {more} older version{'s' if more > 1 else ''}" if more else ""
        return Original(content=encoded(ticket), version=ticket.top.name, note=note)

    def _begun(self, place: Place, now: State | None) -> Ticket | None:
        """The ticket of a hold that was begun and not released."""
        if now is not None:
            return self._stored(now.mark or hold_id(place.record, now))
        prefix = self._options.prefix
        names = self._holder.names(self._options.bucket, f"{prefix}{record_hash(place.record)}-")
        holds = sorted({name[len(prefix) :].partition("/")[0] for name in names})
        tickets = [one for one in map(self._stored, holds) if one is not None and one.mode != "stub"]
        return max(tickets, key=lambda one: one.top.modified, default=None)

    def _stored(self, id: str) -> Ticket | None:
        data = self._holder.fetch(self._options.bucket, f"{self._options.prefix}{id}/{_TICKET}")
        return ticket_of(data) if data is not None else None

    def _ticket(self, place: Place, bucket: str, now: State, secrets: Sequence[Sensitive]) -> Ticket:
        """What a hold will be about. Raises `ChangedError` if the secret is not in the object."""
        _must_be_free(now)
        search = self._search(bucket, now, secrets)
        deep = any(step.kind != "file" for step in place.route)
        unread = search is None or not search.plain or deep
        if not (search is not None and search.found) and not (unread and _iso(now.modified) == place.time):
            raise ChangedError("the secret is not in it any more", place=now.title)
        version = not now.current
        older, left = (
            ([], "") if version else self._older(bucket, now, secrets, opaque=search is None or not search.found)
        )
        items = [Item(self._holder.described(bucket, one), str(number)) for number, one in enumerate([*older, now])]
        return Ticket(
            id=hold_id(place.record, now),
            bucket=bucket,
            mode="version" if version else self._options.mode,
            versions=self._options.versions,
            items=tuple(items),
            left=left,
        )

    def _search(self, bucket: str, state: State, secrets: Sequence[Sensitive]) -> Search | None:
        """What of the secrets is in a content; None if it is too large to be read once more, or archived."""
        if state.size > self._options.max_search or state.archived:
            return None
        search = Search(secrets)
        for piece in self._holder.content(bucket, state):
            search.feed(piece)
            if len(search.found) == len(secrets):
                break
        return search

    def _older(self, bucket: str, now: State, secrets: Sequence[Sensitive], *, opaque: bool) -> tuple[list[State], str]:
        """The older versions in which a secret stands, the oldest first, and what is to be said of the others.

        Where the secret cannot be seen in the content, those that have the same content.
        """
        if not self._options.versions:
            return [], ""
        found: list[State] = []
        unread = 0
        versions = self._holder.older(bucket, now)
        for light in versions[-MOST_OLDER:]:
            state = self._holder.look(bucket, light.key, light.version, now.title)
            if state is None or state.mark or not state.size:
                continue
            if alike(state, now, copies=True):
                found.append(state)
                continue
            search = self._search(bucket, state, secrets)
            if search is not None and search.found:
                found.append(state)
            elif search is None or opaque or not search.plain:
                unread += 1
        for state in found:
            _must_be_free(state)
        unread += max(0, len(versions) - MOST_OLDER)
        return found, f"in {unread} older versions it could not be looked for" if unread else ""

    # -- holding ------------------------------------------------------------------------------------------------------

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        """Copy it into the quarantine, and replace or delete it.

        Raises `InputError` for what may not be replaced (a lock, a legal hold), `AccessError` if the quarantine can be
        read by everybody.
        """
        ticket = ticket_of(original.content)
        now = self._now(ticket)
        already = self._is_ours(ticket, now)
        if not already:
            _must_be(ticket, now)
            self._must_be_private()
            self._copy(ticket)
            if ticket.mode == "delete":
                self._erase(ticket, ticket.items[:-1])
            self._replace(ticket, placeholder)
        self._erase(ticket, ticket.items)
        receipt = self.held(place, original, placeholder)
        if receipt is None:
            raise UnclearError("it was not held when it was read back", place=ticket.top.title)
        return receipt

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        """The receipt, if the object is replaced and everything that was to go is gone."""
        ticket = ticket_of(original.content)
        now = self._now(ticket)
        if not self._is_ours(ticket, now):
            return None
        copies = [self._saved(ticket, item) for item in ticket.items]
        found = tuple(copy for copy in copies if copy is not None)
        if len(found) < len(copies) or any(
            self._remaining(ticket, item) for item in ticket.items if self._goes(ticket, item)
        ):
            return None
        return self._receipt(ticket, Undo(copies=found, stub=now))

    def _receipt(self, ticket: Ticket, undo: Undo) -> Receipt:
        top = ticket.top
        done = {"stub": "replaced by a placeholder", "delete": "deleted", "version": "deleted for good"}[ticket.mode]
        more = len(ticket.items) - 1
        notes = [f"copied into the quarantine and {done}"]
        if more:
            notes.append(f"{more} older version{'s' if more > 1 else ''} with it")
        if not ticket.versions and ticket.mode != "version" and self._remaining(ticket, ticket.items[-1]):
            notes.append(
                f"what it was before is kept as an older version, which {self._holder.older_readers} can still read"
            )
        notes += [ticket.left] if ticket.left else []
        evidence = {
            "object": top.title,
            "version": top.name,
            "quarantine": self._holder.place(self._options.bucket, f"{self._options.prefix}{ticket.id}/"),
            "bytes": str(sum(copy.size for copy in undo.copies)),
            "copies": str(len(undo.copies)),
            "read_back": "nothing is there" if undo.stub is None else f"placeholder {undo.stub.name}",
        }
        return Receipt(outcome="done", note="; ".join(notes), evidence=evidence, undo=encoded(undo))

    def _now(self, ticket: Ticket) -> State | None:
        top = ticket.top
        version = top.version if ticket.mode == "version" else ""
        return self._holder.look(ticket.bucket, top.key, version, top.title)

    def _is_ours(self, ticket: Ticket, now: State | None) -> bool:
        """Whether what is there now is what our hold leaves."""
        if ticket.mode == "stub":
            return now is not None and now.mark == ticket.id
        return now is None and all(self._saved(ticket, item) for item in ticket.items)

    def _copy(self, ticket: Ticket) -> None:
        """The ticket and the copies, as far as they are not there yet."""
        options, content = self._options, encoded(ticket)
        key = f"{options.prefix}{ticket.id}/{_TICKET}"
        if self._holder.fetch(options.bucket, key) != content:
            changing(lambda: self._holder.write(options.bucket, key, content), ticket.top.title)
        for item in ticket.items:
            copy = self._saved(ticket, item)
            if copy is None or alike(item.state, copy, copies=False) is False:
                self._save(ticket, item)
        now = self._now(ticket)
        if now is None or now.name != ticket.top.name:
            self._forget(ticket)
            _must_be(ticket, now)

    def _save(self, ticket: Ticket, item: Item) -> None:
        to = (self._options.bucket, f"{self._options.prefix}{ticket.id}/{item.copy}")
        try:
            changing(lambda: self._holder.save(ticket.bucket, item.state, to), item.state.title)
        except (ChangedError, GoneError):
            self._forget(ticket)
            raise
        copy = self._saved(ticket, item)
        if copy is None or alike(item.state, copy, copies=False) is False:
            self._forget(ticket)
            _must_be(ticket, self._now(ticket))
            raise UnclearError("the copy in the quarantine is not what was copied", place=item.state.title)

    def _forget(self, ticket: Ticket) -> None:
        """Take back what was put into the quarantine for a hold that will not be."""
        for name in reversed(self._names(ticket)):
            changing(lambda name=name: self._holder.drop(self._options.bucket, name), ticket.top.title)  # type: ignore[misc]

    def _replace(self, ticket: Ticket, placeholder: str) -> None:
        top, holder = ticket.top, self._holder
        try:
            if ticket.mode == "stub":
                changing(lambda: holder.stub(ticket.bucket, top, placeholder.encode(), ticket.id), top.title)
            elif ticket.mode == "delete":
                changing(lambda: holder.remove(ticket.bucket, top), top.title)
            else:
                changing(lambda: holder.erase(ticket.bucket, top), top.title)
        except (ChangedError, GoneError):
            if not self._is_ours(ticket, self._now(ticket)):  # the answer of a first try may have been lost
                raise

    def _goes(self, ticket: Ticket, item: Item) -> bool:
        return bool(item.state.version) and (ticket.versions or item is not ticket.items[-1])

    def _erase(self, ticket: Ticket, items: Sequence[Item]) -> None:
        """Delete versions for good, as far as they are there."""
        for item in items:
            state = self._remaining(ticket, item) if self._goes(ticket, item) else None
            if state is not None:
                changing(lambda state=state: self._holder.erase(ticket.bucket, state), item.state.title)  # type: ignore[misc]

    def _remaining(self, ticket: Ticket, item: Item) -> State | None:
        """A version that is still there. One without a name of its own may be the placeholder by now."""
        if not item.state.version:
            return None
        state = self._holder.look(ticket.bucket, item.state.key, item.state.version, item.state.title)
        return None if state is None or state.mark else state

    def _saved(self, ticket: Ticket, item: Item) -> State | None:
        return self._holder.look(self._options.bucket, f"{self._options.prefix}{ticket.id}/{item.copy}")

    def _names(self, ticket: Ticket) -> list[str]:
        """What lies in the quarantine for a hold; the ticket first."""
        names = self._holder.names(self._options.bucket, f"{self._options.prefix}{ticket.id}/")
        return sorted(names, key=lambda name: (not name.endswith(f"/{_TICKET}"), name))

    def _must_be_private(self) -> None:
        if not self._private and self._holder.public(self._options.bucket):
            raise AccessError(
                "everybody can read what is in the quarantine",
                place=self._holder.place(self._options.bucket),
                advice="block public access to it",
            )
        self._private = True

    # -- releasing ----------------------------------------------------------------------------------------------------

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        """Copy it back with all that described it, and empty the quarantine of it.

        Raises `ChangedError` if somebody has written something else in its place since.
        """
        ticket = ticket_of(original.content)
        names = self._names(ticket)
        if not names:
            now = self._holder.look(ticket.bucket, ticket.top.key, "", ticket.top.title)
            if ticket.mode != "version" and (now is None or now.mark == ticket.id):
                raise GoneError("its original is not in the quarantine any more", place=ticket.top.title)
            return _released(ticket, "already")
        undo = undo_of(receipt.undo)
        Returning(self._holder, self._options, ticket, undo).run(names)
        self._forget(ticket)
        return _released(ticket, "done")

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        """The receipt, if the object is back and nothing of it is left in the quarantine."""
        ticket = ticket_of(original.content)
        now = self._holder.look(ticket.bucket, ticket.top.key, "", ticket.top.title)
        if (now is not None and now.mark == ticket.id) or self._names(ticket):
            return None
        return None if now is None and ticket.mode == "delete" else _released(ticket, "done")


def _released(ticket: Ticket, outcome: str) -> Receipt:
    note = "put back with its metadata and tags, and deleted in the quarantine"
    if ticket.mode == "version":
        note += (
            "; as versions cannot be put between others, it is now the one right below a new copy of the current one"
        )
    elif len(ticket.items) > 1:
        note += "; the older versions came back in their order, with new names and times"
    done = "already" if outcome == "already" else "done"
    return Receipt(outcome=done, note=note, evidence={"object": ticket.top.title, "copies": str(len(ticket.items))})  # type: ignore[arg-type]


def _must_be(ticket: Ticket, now: State | None) -> None:
    """Raise if what is there now is not what was looked at."""
    if now is None:
        raise GoneError("it is not there any more", place=ticket.top.title)
    if now.name != ticket.top.name:
        raise ChangedError("it was written anew since it was looked at", place=ticket.top.title)
    _must_be_free(now)


def _must_be_free(state: State) -> None:
    if state.locked:
        raise InputError(state.locked, place=state.title)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
