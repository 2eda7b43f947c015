"""Calls of an SDK: made as often as `Pace` allows, their exceptions told in our words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from keysentry.connectors.objects.store import CredentialsError
from keysentry.connectors.pace import Pace
from keysentry.errors import ClosedError

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
T = TypeVar("T")
Fault = Callable[[BaseException, str, str], Exception]
"""What to raise for an exception of the SDK, given the place and the permission that the call needs."""


class Connection(Protocol[C_co]):
    """Holds the SDK's client."""

    def client(self) -> C_co:
        """The client; made when it is needed."""
        ...

    def drop(self) -> None:
        """Let go of the client; the next call makes a new one, with credentials as they are then."""
        ...


class Caller(Generic[C]):
    """Makes calls with the client of a connection. `errors` are all that the SDK may raise."""

    def __init__(self, pace: Pace, connection: Connection[C], errors: tuple[type[BaseException], ...]) -> None:
        self._pace = pace
        self._connection = connection
        self._errors = errors

    def call(self, operation: Callable[[C], T], place: str, permission: str, fault: Fault) -> T:
        """The operation's result, tried as often as it is refused. The SDK's exceptions become ours by `fault`."""
        return self._pace.call(partial(self._once, operation, place, permission, fault))

    def fault(self, fault: Fault, error: BaseException, place: str, permission: str) -> Exception:
        """What to raise for an exception. After credentials that do not work the client is made anew."""
        if self._pace.closed:
            return ClosedError("closed while it waited", place=place)
        ours = fault(error, place, permission)
        if isinstance(ours, CredentialsError):
            self._connection.drop()
        return ours

    def _once(self, operation: Callable[[C], T], place: str, permission: str, fault: Fault) -> T:
        try:
            return operation(self._connection.client())
        except self._errors as error:
            raise self.fault(fault, error, place, permission) from error
