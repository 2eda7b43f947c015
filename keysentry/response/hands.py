"""Those who carry actions out, opened when they are first needed: quarantines, notifiers, revokers, vaults."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Generic, Protocol, TypeVar

from keysentry.connectors.base import Notifier, Quarantine
from keysentry.errors import ConfigError
from keysentry.model.action import Credential
from keysentry.response.base import Revoker, Rotator, Vault, Verifier
from keysentry.response.revoke.base import revoker_for
from keysentry.response.words import Words

T = TypeVar("T")


class Closing(Protocol):
    """What lets go of its connections."""

    def close(self) -> None:
        """Let go."""
        ...


C = TypeVar("C", bound=Closing)


class Opened(Generic[C]):
    """Things by name, each opened once, at its first use. Safe to use from several threads."""

    def __init__(self, what: str, opening: Mapping[str, Callable[[], C]]) -> None:
        """`what` is what errors call them."""
        self._what = what
        self._opening = dict(opening)
        self._open: dict[str, C] = {}
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._opening

    def __getitem__(self, name: str) -> C:
        with self._lock:
            if name not in self._open:
                if name not in self._opening:
                    raise ConfigError(
                        f"there is no {self._what} {name!r}", advice=f"add a [[{self._what}]] to the configuration"
                    )
                self._open[name] = self._opening[name]()
            return self._open[name]

    def close(self) -> None:
        """Close those that were opened."""
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        for one in opened:
            one.close()


class Hands:
    """All that acts, as a configuration describes it.

    `quarantines`: by source. `notifiers`: by name; `authors` names for each source the notifier that reaches people
    where they wrote. `languages`: of notifiers.
    """

    def __init__(
        self,
        *,
        words: Words,
        quarantines: Mapping[str, Callable[[], Quarantine]] = {},
        notifiers: Mapping[str, Callable[[], Notifier]] = {},
        authors: Mapping[str, str] = {},
        languages: Mapping[str, str] = {},
        revokers: Sequence[Revoker] = (),
        rotators: Sequence[Rotator] = (),
        vaults: Mapping[str, Callable[[], Vault]] = {},
        verifier: Verifier | None = None,
    ) -> None:
        self.words = words
        self.quarantines = Opened[Quarantine]("quarantine", quarantines)
        self.notifiers = Opened[Notifier]("notifier", notifiers)
        self.vaults = Opened[Vault]("vault", vaults)
        self.authors = dict(authors)
        self.languages = dict(languages)
        self.verifier = verifier
        self._revokers = tuple(revokers)
        self._rotators = tuple(rotators)

    def revoker(self, name: str, credential: Credential) -> Revoker:
        """The revoker of this name, or with `auto` the one that handles the credential most precisely.

        Raises `ConfigError` if there is none.
        """
        if name in ("", "auto"):
            found = revoker_for(credential, self._revokers)
            if found is not None:
                return found
        return _choose("revoker", self._revokers if name not in ("", "auto") else (), name, credential)

    def rotator(self, name: str, credential: Credential) -> Rotator:
        """As `revoker`."""
        return _choose("rotator", self._rotators, name, credential)

    def close(self) -> None:
        """Let go of all connections."""
        for one in (self.quarantines, self.notifiers, self.vaults):
            one.close()


class _Handles(Protocol):
    name: str
    handles: tuple[str, ...]


H = TypeVar("H", bound=_Handles)


def _choose(what: str, known: Sequence[H], name: str, credential: Credential) -> H:
    if name not in ("", "auto"):
        for one in known:
            if one.name == name:
                return one
        raise ConfigError(f"there is no {what} {name!r}", advice=f"name one that is configured, or write {what} = auto")
    fitting = [
        (len(glob.replace("*", "")), one) for one in known for glob in one.handles if fnmatchcase(credential.rule, glob)
    ]
    if not fitting:
        raise ConfigError(
            f"nothing here can {'revoke' if what == 'revoker' else 'rotate'} {credential.rule}",
            advice=f"configure a [[{what}]] that handles it, or do it by hand and close the incident",
        )
    return max(fitting, key=lambda fit: fit[0])[1]
