"""OAuth 2.0 token revocation of any server: RFC 7009 (https://www.rfc-editor.org/rfc/rfc7009).

A client revokes tokens that were issued to it. 200 means that the token is dead, also where the server never knew it
(section 2.2), so revoking twice does no harm. With an introspection endpoint (RFC 7662) the server can be asked whether
a token is dead; without one that is not known, and the revocation is sent again.
"""

from __future__ import annotations

import base64
from typing import ClassVar, Literal
from urllib.parse import quote, urlencode, urlsplit

from keysentry.errors import AccessError, ConfigError, InputError, SourceError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker
from keysentry.response.outbound import Outbound, Outgoing, Reply, ask, refused
from keysentry.response.revoke.base import RevokerOptions, Tools, needed

__all__ = ["Options", "Rfc7009Revoker", "open_revoker"]


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for a server of OAuth 2.0. Name the rules in `handles`: the kind is made for none.

    `url`: the revocation endpoint. `introspect_url`: the introspection endpoint, if there is one. `client_id`,
    `client_secret`: the client that the tokens were issued to; without a secret it is a public client. `auth`: how the
    client authenticates: `basic` or `post` (RFC 6749, section 2.3.1). `hint`: the kind of token, if all are of one.
    """

    url: str
    introspect_url: str = ""
    client_id: str = ""
    client_secret: Sensitive | None = None
    auth: Literal["basic", "post"] = "basic"
    hint: Literal["", "access_token", "refresh_token"] = ""

    kind: ClassVar[str] = "rfc7009"
    environment: ClassVar[dict[str, tuple[str, ...]]] = {"client_secret": ("KEYSENTRY_OAUTH_CLIENT_SECRET",)}

    def check(self) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        needed(self.handles, self, "handles")
        if self.client_secret is not None:
            needed(self.client_id, self, "client_id")


class Rfc7009Revoker:
    """Revokes tokens at a revocation endpoint."""

    def __init__(self, options: Options, outbound: Outbound) -> None:
        self.name = options.name
        self.handles = options.handled
        self._options = options
        self._outbound = outbound

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Revoke it."""
        options = self._options
        reply = self._outbound.send(self._outgoing(options.url, credential, key))
        place = urlsplit(options.url).hostname or ""
        said = reply.field("error")
        if reply.status == 200:
            return Receipt(outcome="done", note="the server revoked the token", evidence=_evidence(place, reply))
        if reply.status == 503:
            # Section 2.2.1: the token still exists, and the client may try again.
            raise SourceError("it answered 503", place=place)
        if said == "invalid_client" or reply.status == 401:
            raise AccessError("it does not take our client", place=place, advice="look at client_id and client_secret")
        if said in ("unsupported_token_type", "invalid_request", "invalid_grant", "unauthorized_client"):
            raise InputError(f"it answered {said}", place=place, advice="this client cannot revoke that token")
        raise refused(reply, place)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Ask the introspection endpoint, where there is one."""
        url = self._options.introspect_url
        if not url:
            return None
        reply = ask(self._outbound, self._outgoing(url, credential, "", repeatable=True))
        if reply.status != 200 or reply.field("active") is not False:
            return None
        place = urlsplit(url).hostname or ""
        return Receipt(outcome="done", note="the server says that it is inactive", evidence=_evidence(place, reply))

    def _outgoing(self, url: str, credential: Credential, key: str, *, repeatable: bool = False) -> Outgoing:
        options = self._options
        form = {"token": credential.secret.reveal().strip()}
        if options.hint:
            form["token_type_hint"] = options.hint
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if options.client_secret is None and options.client_id:
            form["client_id"] = options.client_id
        elif options.client_secret is not None and options.auth == "post":
            form |= {"client_id": options.client_id, "client_secret": options.client_secret.reveal()}
        elif options.client_secret is not None:
            # Section 2.3.1 wants both encoded as in a form. A blank is %20, since some servers leave + as it is.
            name, password = (quote(one, safe="") for one in (options.client_id, options.client_secret.reveal()))
            pair = f"{name}:{password}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        host = urlsplit(url).hostname or ""
        return Outgoing(
            method="POST",
            url=url,
            headers=headers,
            body=urlencode(form).encode(),
            hosts=(host,),
            shown=host,
            repeatable=repeatable,
            key=key,
        )


def _evidence(place: str, reply: Reply) -> dict[str, str]:
    return {"host": place, "status": str(reply.status)}


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of an OAuth server", place=options.name)
    return Rfc7009Revoker(options, tools.outbound)
