"""Google: OAuth tokens are revoked; keys of service accounts are disabled, which can be undone.

- OAuth access and refresh tokens: `POST https://oauth2.googleapis.com/revoke`; 200, or 400 `invalid_token` for one that
  is dead (https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke).
- Keys of service accounts: `POST .../serviceAccounts/*/keys/*:disable` of the IAM API, with a credential of ours
  (https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys/disable).

A finding holds the private key alone. Which key of which account it is, is found by its public half: the keys of the
configured projects are listed, and the one with the same public key is meant. Nothing is guessed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import quote, urlencode, urlsplit

from keysentry.errors import AccessError, ConfigError, GoneError, InputError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker
from keysentry.response.googleauth import CLOUD_PLATFORM, GoogleToken
from keysentry.response.outbound import Outbound, Outgoing, Reply, ask, refused
from keysentry.response.revoke.base import RevokerOptions, Tools

__all__ = ["GoogleRevoker", "Options", "open_revoker"]

_ACCESS = "google.oauth-access-token"
_KEY = "google.service-account-key"
_ADVICE = "the role roles/iam.serviceAccountKeyAdmin, or iam.serviceAccountKeys.list, .get and .disable"


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for Google. OAuth tokens need none.

    `projects`: the projects whose service accounts are looked at for a key. `accounts`: the addresses of service
    accounts, if only these come into question. `credentials`: the JSON of the service account's key that may disable
    keys; without it, what the machine offers. `base_url`: the address of the IAM API. `oauth_url`: that of the OAuth
    endpoints.
    """

    projects: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    credentials: Sensitive | None = None
    base_url: str = "https://iam.googleapis.com"
    oauth_url: str = "https://oauth2.googleapis.com"

    kind: ClassVar[str] = "google"
    default_handles: ClassVar[tuple[str, ...]] = (_ACCESS, "google.oauth-refresh-token", _KEY)
    environment: ClassVar[dict[str, tuple[str, ...]]] = {"credentials": ("KEYSENTRY_GOOGLE_REVOKER_CREDENTIALS",)}


class GoogleRevoker:
    """Revokes Google's tokens and disables service accounts' keys."""

    def __init__(self, options: Options, outbound: Outbound) -> None:
        self.name = options.name
        self.handles = options.handled
        self._options = options
        self._iam = options.base_url.rstrip("/")
        self._oauth = options.oauth_url.rstrip("/")
        self._outbound = outbound
        self._token = GoogleToken(options.credentials, outbound, options.name, [CLOUD_PLATFORM])

    def accepts(self, credential: Credential) -> bool:
        """Whether it can be revoked: keys of service accounts only with projects or accounts."""
        return credential.rule != _KEY or bool(self._options.projects or self._options.accounts)

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Revoke a token, or disable a key."""
        if credential.rule == _KEY:
            return self._disable(credential, key)
        body = urlencode({"token": credential.secret.reveal().strip()}).encode()
        reply = self._outbound.send(_to(f"{self._oauth}/revoke", "POST", body=body, key=key))
        place = urlsplit(self._oauth).hostname or ""
        evidence = {"host": place, "status": str(reply.status)}
        if reply.status == 200:
            return Receipt(outcome="done", note="Google revoked the token", evidence=evidence)
        if reply.status == 400 and reply.field("error") == "invalid_token":
            return Receipt(outcome="already", note="Google does not take the token any more", evidence=evidence)
        raise refused(reply, place)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Ask Google. A refresh token cannot be asked for; revoking it again does no harm."""
        if credential.rule == _KEY:
            name, disabled = self._find(credential)
            return self._receipt("done", name) if disabled else None
        if credential.rule != _ACCESS:
            return None
        query = urlencode({"access_token": credential.secret.reveal().strip()})
        reply = ask(self._outbound, _to(f"{self._oauth}/tokeninfo?{query}", "GET"))
        if reply.status != 400:
            return None
        evidence = {"host": urlsplit(self._oauth).hostname or "", "status": "400"}
        return Receipt(outcome="done", note="Google does not know the token any more", evidence=evidence)

    def _disable(self, credential: Credential, key: str) -> Receipt:
        name, disabled = self._find(credential)
        if disabled:
            return self._receipt("already", name)
        reply = self._outbound.send(self._authorised(f"{self._iam}/v1/{name}:disable", "POST", b"{}", key))
        if reply.status != 200:
            raise refused(reply, self.name, _ADVICE)
        seen = self._get(f"{self._iam}/v1/{name}")
        return self._receipt("done", name, "disabled" if seen.field("disabled") is True else "not yet")

    @staticmethod
    def _receipt(outcome: str, name: str, seen: str = "disabled") -> Receipt:
        note = f"the key {name.rpartition('/')[2]} of the service account is disabled"
        evidence = {"key": name, "read back": seen}
        return Receipt(outcome="already" if outcome == "already" else "done", note=note, evidence=evidence)

    def _find(self, credential: Credential) -> tuple[str, bool]:
        """The name of the key and whether it is disabled."""
        wanted = _public_half(credential)
        for account in self._accounts():
            listed = self._get(f"{self._iam}/v1/{account}/keys?keyTypes=USER_MANAGED")
            for entry in _objects(listed.field("keys")):
                name = str(entry.get("name", ""))
                seen = self._get(f"{self._iam}/v1/{name}?publicKeyType=TYPE_X509_PEM_FILE")
                if _public_of(seen.field("publicKeyData")) == wanted:
                    return name, seen.field("disabled") is True
        raise InputError(
            "no service account of the configured projects has this key",
            place=self.name,
            advice="name its project in projects; if the key is not yours, tell its owner",
        )

    def _accounts(self) -> Iterator[str]:
        for address in self._options.accounts:
            yield f"projects/-/serviceAccounts/{quote(address, safe='@')}"
        for project in self._options.projects:
            base = f"{self._iam}/v1/projects/{quote(project, safe='')}/serviceAccounts?pageSize=100"
            token = ""
            while True:
                page = self._get(f"{base}&pageToken={quote(token, safe='')}" if token else base)
                yield from (str(entry.get("name", "")) for entry in _objects(page.field("accounts")))
                token = str(page.field("nextPageToken") or "")
                if not token:
                    break

    def _get(self, url: str) -> Reply:
        reply = ask(self._outbound, self._authorised(url, "GET"))
        if reply.status in (401, 403):
            raise AccessError(f"IAM answered {reply.status}", place=self.name, advice=_ADVICE)
        if reply.status == 404:
            raise GoneError("IAM answered 404", place=self.name, advice="look at projects and accounts")
        if reply.status != 200:
            raise refused(reply, self.name)
        return reply

    def _authorised(self, url: str, method: str, body: bytes = b"", key: str = "") -> Outgoing:
        headers = {"Authorization": f"Bearer {self._token.value()}", "Content-Type": "application/json"}
        return _to(url, method, body=body, key=key, headers=headers)


def _to(url: str, method: str, *, body: bytes = b"", key: str = "", headers: dict[str, str] | None = None) -> Outgoing:
    host = urlsplit(url).hostname or ""
    return Outgoing(
        method=method,
        url=url,
        headers=headers or {"Content-Type": "application/x-www-form-urlencoded"},
        body=body,
        hosts=(host,),
        shown=host,
        repeatable=method == "GET",
        key=key,
    )


def _objects(node: object) -> list[dict[str, object]]:
    return [one for one in node if isinstance(one, dict)] if isinstance(node, list) else []


def _public_half(credential: Credential) -> bytes:
    """The public key of the private key that was found. Raises `InputError`."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    text = credential.secret.reveal().replace("\\n", "\n").replace("\\", "")
    try:
        private = load_pem_private_key(text.encode(), None)
        return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError):
        pass
    raise InputError("the private key cannot be read", place=credential.rule, advice="a person must disable it")


def _public_of(certificate: object) -> bytes:
    """The public key of a certificate as IAM gives it (PEM in base64); empty where there is none."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import load_pem_x509_certificate

    try:
        pem = base64.b64decode(str(certificate), validate=True)
        return load_pem_x509_certificate(pem).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, binascii.Error):
        return b""


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of Google", place=options.name)
    return GoogleRevoker(options, tools.outbound)
