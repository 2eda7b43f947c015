"""A world in memory for tests of the worker: a place with messages, people who are told, a provider, a vault.

It is as strict as the contract suites ask of real ones: what is touched must be what was looked at, effects are
counted, and every effect can be asked for afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from keysentry.connectors.base import Notice, Recipient
from keysentry.errors import ChangedError, GoneError
from keysentry.model.action import Credential, Original, Place, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Verdict


class World:
    """What is there, and how often it was changed. `before` and `after` are called around every outside call."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.effects: Counter[str] = Counter()
        self.told: dict[str, Notice] = {}
        self.revoked_secrets: set[bytes] = set()
        self.kept_secrets: dict[str, bytes] = {}
        self.liveness: Verdict | None = Verdict(liveness="live", identity="ada", scopes=("repo",))
        self.reposts_as = ""
        self.before: Callable[[str], None] = lambda _call: None
        self.after: Callable[[str], None] = lambda _call: None

    def effect(self, name: str, change: Callable[[], object]) -> None:
        """Something that changes the world."""
        self.before(name)
        change()
        self.effects[name] += 1
        self.after(name)


class Chat:
    """A quarantine."""

    def __init__(self, world: World) -> None:
        self.world = world

    def _read(self, record: str) -> str:
        self.world.before("read")
        if record not in self.world.messages:
            raise GoneError("deleted", place=record)
        return self.world.messages[record]

    def inspect(self, place: Place, secrets: Sequence[Sensitive]) -> Original:
        text = self._read(place.record)
        if not any(secret.reveal() in text for secret in secrets):
            raise ChangedError("it is not in there any more", place=place.record)
        return Original(content=text.encode(), version=str(hash(text)), note=f"message {place.record}")

    def hold(self, place: Place, original: Original, secrets: Sequence[Sensitive], placeholder: str) -> Receipt:
        if self._read(place.record).encode() != original.content:
            raise ChangedError("edited", place=place.record)
        self.world.effect("hold", lambda: self.world.messages.__setitem__(place.record, placeholder))
        return Receipt(outcome="done", note="replaced", undo=b"what release needs")

    def held(self, place: Place, original: Original, placeholder: str) -> Receipt | None:
        if self._read(place.record) == placeholder:
            return Receipt(outcome="done", note="replaced", undo=b"what release needs")
        return None

    def release(self, place: Place, original: Original, receipt: Receipt) -> Receipt:
        assert receipt.undo == b"what release needs"
        self._read(place.record)
        text = original.content.decode()
        where = self.world.reposts_as or place.record
        self.world.effect("release", lambda: self.world.messages.__setitem__(where, text))
        return Receipt(outcome="done", note="put back", evidence={"record": where} if self.world.reposts_as else {})

    def released(self, place: Place, original: Original, receipt: Receipt) -> Receipt | None:
        if self._read(place.record).encode() == original.content:
            return Receipt(outcome="done", note="put back")
        return None

    def close(self) -> None:
        pass


class People:
    """A notifier."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.recipients: list[Recipient] = []

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        assert notice.id not in self.world.told, "told twice"
        self.world.effect("tell", lambda: self.world.told.__setitem__(notice.id, notice))
        self.recipients.append(recipient)
        return Receipt(outcome="done", note="told")

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        return Receipt(outcome="done", note="told") if notice.id in self.world.told else None

    def close(self) -> None:
        pass


class Provider:
    """A revoker and a verifier."""

    name = "provider"
    handles = ("*",)

    def __init__(self, world: World) -> None:
        self.world = world

    def revoke(self, credential: Credential, key: str) -> Receipt:
        value = credential.secret.reveal_bytes()
        assert value not in self.world.revoked_secrets, "revoked twice"
        self.world.effect("revoke", lambda: self.world.revoked_secrets.add(value))
        return Receipt(outcome="done", note="revoked", evidence={"status": "204"})

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        gone = credential.secret.reveal_bytes() in self.world.revoked_secrets
        return Receipt(outcome="already", note="revoked") if gone else None

    def verify(self, credential: Credential) -> Verdict | None:
        self.world.before("verify")
        if credential.secret.reveal_bytes() in self.world.revoked_secrets:
            return Verdict(liveness="dead")
        return self.world.liveness


class Safe:
    """A vault."""

    name = "team"

    def __init__(self, world: World) -> None:
        self.world = world

    def reference(self, path: str) -> str:
        return f"safe:{path}"

    def put(self, path: str, secret: Sensitive, facts: dict[str, str]) -> Receipt:
        assert path not in self.world.kept_secrets, "kept twice"
        self.world.effect("put", lambda: self.world.kept_secrets.__setitem__(path, secret.reveal_bytes()))
        return Receipt(outcome="done", note="kept")

    def kept(self, path: str, secret: Sensitive) -> Receipt | None:
        there = self.world.kept_secrets.get(path) == secret.reveal_bytes()
        return Receipt(outcome="already", note="kept") if there else None

    def close(self) -> None:
        pass
