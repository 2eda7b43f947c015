"""Who could read a blob.

A container says whether anyone may read its blobs, and an account whether its containers may say so. The account's
setting is not among the things that a reader of blobs is told, so where a container is open, one blob is asked for
without credentials, once in a while.
https://learn.microsoft.com/azure/storage/blobs/anonymous-read-access-configure
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from azure.storage.blob import BlobClient, BlobServiceClient

from keysentry.connectors.azure.faults import code_of, told
from keysentry.connectors.objects.store import CredentialsError, Entry
from keysentry.connectors.pace import Refused
from keysentry.errors import ClosedError
from keysentry.model.location import Audience, Exposure

_KEEP = 600.0
"""For how many seconds a container's setting is taken as it was."""
_WEBSITE = "$web"
"""What is in this container is there to be served to anyone.
https://learn.microsoft.com/azure/storage/blobs/storage-blob-static-website"""


class _Call(Protocol):
    def __call__(
        self,
        operation: Callable[[BlobServiceClient], Any],
        place: str,
        permission: str,
        *,
        fault: Callable[[BaseException, str, str], Exception],
    ) -> Any: ...


class _NotTold(Exception):
    """The question was refused; `code` says how."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Exposures:
    """Asks for the settings of containers, once in a while."""

    def __init__(
        self,
        call: _Call,
        anonymous: Callable[[str, str], BlobClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._anonymous = anonymous
        self._clock = clock
        self._containers: dict[str, tuple[float, Audience]] = {}

    def of(self, container: str, entry: Entry) -> Exposure:
        """Who could read this blob. Snapshots and older versions are as open as the blob."""
        asked, audience = self._containers.get(container, (float("-inf"), "unknown"))
        if self._clock() - asked > _KEEP:
            audience = self._ask(container, entry)
            self._containers[container] = (self._clock(), audience)
        return Exposure(audience)

    def _ask(self, container: str, entry: Entry) -> Audience:
        if container == _WEBSITE:
            return "public"
        try:
            open_to = self._call(lambda client: _public_access(client, container), "", "", fault=_fault)
        except _NotTold:
            return "unknown"
        if not open_to:
            return "private"
        try:
            self._call(lambda _: self._as_anyone(container, entry), "", "", fault=_fault)
        except _NotTold as error:
            return "private" if error.code == "PublicAccessNotPermitted" else "unknown"
        return "public"

    def _as_anyone(self, container: str, entry: Entry) -> None:
        with self._anonymous(container, entry.key) as blob:
            blob.get_blob_properties()


def _public_access(client: BlobServiceClient, container: str) -> str:
    return str(client.get_container_client(container).get_container_properties().public_access or "")


def _fault(error: BaseException, place: str, permission: str) -> Exception:
    """Only what is about the connection or the credentials is an error here."""
    ours = told(error, place, permission)
    code = code_of(error)
    if isinstance(ours, CredentialsError) and code == "NoAuthenticationInformation":
        return _NotTold(code)  # it was asked without any, on purpose
    return ours if isinstance(ours, (Refused, CredentialsError, ClosedError)) else _NotTold(code)
