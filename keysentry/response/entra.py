"""Access tokens of Microsoft Entra ID, for revokers and vaults: of an application whose secret was given, or from the
surroundings.

An application's secret is exchanged through `Outbound`
(https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow). Without one, the SDK
looks for what the machine offers (a managed identity, a workload identity, the command line's login), with its own
connections.
"""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from keysentry.errors import AccessError, MissingExtraError, SourceError
from keysentry.model.sensitive import Sensitive
from keysentry.response.outbound import Outbound, Outgoing
from keysentry.response.quiet import quiet

LOGIN = "https://login.microsoftonline.com"
_EARLY = 300.0
"""Seconds before its end that a token is not used any more."""


class EntraToken:
    """A token that is renewed when it must be. Safe to use from several threads."""

    def __init__(
        self,
        outbound: Outbound,
        place: str,
        scope: str,
        *,
        tenant: str = "",
        client_id: str = "",
        client_secret: Sensitive | None = None,
        login_url: str = LOGIN,
    ) -> None:
        self._outbound = outbound
        self._place = place
        self._scope = scope
        self._tenant = tenant
        self._client_id = client_id
        self._client_secret = client_secret
        self._login = login_url.rstrip("/")
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def value(self) -> str:
        """A token that is good now. Raises `AccessError`, `SourceError` and `MissingExtraError`."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._token, seconds = self._of_secret() if self._client_secret is not None else self._of_machine()
                self._until = time.monotonic() + max(0.0, seconds - _EARLY)
            return self._token

    def _of_secret(self) -> tuple[str, float]:
        assert self._client_secret is not None
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client_id,
            "client_secret": self._client_secret.reveal(),
            "scope": self._scope,
        }
        host = urlsplit(self._login).hostname or ""
        outgoing = Outgoing(
            method="POST",
            url=f"{self._login}/{quote(self._tenant, safe='')}/oauth2/v2.0/token",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            hosts=(host,),
            shown=f"{self._place}: {host}",
            repeatable=True,
        )
        reply = self._outbound.send(outgoing)
        token, seconds = reply.field("access_token"), reply.field("expires_in")
        if reply.status != 200 or not isinstance(token, str):
            word = reply.field("error")
            said = word if isinstance(word, str) and word.replace("_", "").isalnum() else str(reply.status)
            advice = "look at tenant, client_id and client_secret, and whether the secret has expired"
            raise AccessError(f"Entra ID gives no token ({said})", place=self._place, advice=advice)
        return token, float(seconds) if isinstance(seconds, int | float) else 0.0

    def _of_machine(self) -> tuple[str, float]:
        try:
            import azure.identity
            from azure.core.exceptions import AzureError, ClientAuthenticationError
        except ImportError:
            raise MissingExtraError("logging in to Microsoft without a client_secret", "azure") from None
        with quiet():
            try:
                with azure.identity.DefaultAzureCredential() as credential:
                    token: Any = credential.get_token(self._scope)
                return str(token.token), float(token.expires_on) - time.time()
            except ClientAuthenticationError:
                advice = "set client_id and client_secret, or give this machine an identity"
                fault: SourceError = AccessError("this machine offers no identity", place=self._place, advice=advice)
            except AzureError as error:
                fault = SourceError(f"no token could be fetched ({type(error).__name__})", place=self._place)
        raise fault
