"""The providers of `http_provider.py` behind one HTTPS server, and a client that finds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keysentry.response.outbound import Outbound, OutboundOptions
from tests.servers.http_provider import HOSTS, Provider
from tests.servers.https import Authority, Server, https

MORE = ("sts.amazonaws.com", "iam.googleapis.com", "acme.vault.azure.net", "secretmanager.googleapis.com")


class Providers:
    """A server that plays all of them, and its clients. Waits are counted, not waited."""

    def __init__(self, server: Server, authority: Authority) -> None:
        self.server = server
        self.authority = authority
        self.waits: list[float] = []
        self._made: list[Outbound] = []
        self._plain: Outbound | None = None
        self.provider = Provider()

    def start(self) -> Provider:
        """A provider without any state."""
        self.provider = Provider()
        self.server.seen.clear()
        self.server.answer = self.provider.answer
        self.waits.clear()
        return self.provider

    def outbound(self, **options: Any) -> Outbound:
        """A client that finds every host at the server; without options always the same one."""
        if not options and self._plain is not None:
            return self._plain
        chosen = {"allow_private": (*HOSTS, *MORE), "ca_file": str(self.authority.file), "per_minute": 0, **options}
        made = Outbound(OutboundOptions(**chosen), resolve=self.server.resolve, wait=self._wait)
        self._made.append(made)
        if not options:
            self._plain = made
        return made

    def close(self) -> None:
        for one in self._made:
            one.close()

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False


@contextmanager
def providers(authority: Authority) -> Iterator[Providers]:
    """The server, as long as the context lasts."""
    with https(authority, [*HOSTS, *MORE], lambda seen: Provider().answer(seen)) as server:
        made = Providers(server, authority)
        try:
            yield made
        finally:
            made.close()
