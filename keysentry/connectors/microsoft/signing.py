"""How those who act sign in to Microsoft 365: the settings that their options share, as the client wants them."""

from __future__ import annotations

from typing import Protocol

from keysentry.connectors.microsoft import BASE_URL
from keysentry.connectors.microsoft import Options as ReadingOptions
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

_LOCAL = ("http://127.0.0.1", "http://localhost", "http://[::1]")


class Credentials(Protocol):
    """The settings that say who acts. All may be empty."""

    @property
    def tenant_id(self) -> str:
        """The directory (tenant) id."""
        ...

    @property
    def client_id(self) -> str:
        """The application (client) id."""
        ...

    @property
    def client_secret(self) -> Sensitive | None:
        """A secret of the app."""
        ...

    @property
    def token(self) -> Sensitive | None:
        """A ready application token instead."""
        ...

    @property
    def authority(self) -> str:
        """Where tokens are asked for."""
        ...


def client_options(credentials: Credentials, base_url: str, *, name: str, place: str) -> ReadingOptions:
    """Options of a client that acts with some credentials. Raises `ConfigError`."""
    ready = credentials.tenant_id and credentials.client_id and credentials.client_secret
    if credentials.token is None and not ready:
        raise ConfigError(
            "it is not said how to sign in to act",
            place=place,
            advice="set tenant_id, client_id and client_secret of the app that acts, or a token",
        )
    base = base_url or BASE_URL
    if not base.startswith(("https://", *_LOCAL)):
        raise ConfigError(f"base_url {base} is not https", place=place, advice="a token never goes unencrypted")
    return ReadingOptions(
        name=name,
        tenant_id=credentials.tenant_id,
        client_id=credentials.client_id,
        client_secret=credentials.client_secret,
        token=credentials.token,
        authority=credentials.authority,
        base_url=base,
    )
