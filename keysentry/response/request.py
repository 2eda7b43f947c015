"""Turning a rule's request into one that can be sent: placeholders filled in, each encoded for the place it stands in.

Invariants. `{secret}` and the names of companions are placeholders; a brace with anything but a name behind it stays
what it is (a body may be GraphQL), and a name that is not known ends the request. A value never changes what surrounds
it: it is percent-encoded in an address and a form, escaped in JSON, and refused in a header that could not hold it. A
request goes only to the host that its rule names.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import msgspec

from keysentry.errors import InputError
from keysentry.model.action import Credential
from keysentry.response.outbound import Outgoing
from keysentry.rules.schema import Request

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_-]{0,40})\}")
_LABEL = r"[0-9A-Za-z](?:[0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_HOST_VALUE = re.compile(_LABEL)
_WHOLE_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL}){{1,8}}")
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
"""RFC 9110, section 9.2.2."""


def prepare(request: Request, credential: Credential, *, key: str = "", repeatable: bool | None = None) -> Outgoing:
    """A request about a credential, ready to be sent.

    `repeatable`: whether sending it twice does no harm; None: as its method says. Raises `InputError` where the
    credential lacks a companion that the request needs, or cannot stand where the request wants it.
    """
    values = values_of(credential)
    host = host_of(request)
    hosts = (host,) if host else ()
    shown = host or "the host beside the secret"
    if request.function:
        from keysentry.response.signed import FUNCTIONS

        made = FUNCTIONS[request.function](request, values)
        return msgspec.structs.replace(made, hosts=hosts, shown=shown, key=key, repeatable=repeatable is not False)
    body, kind = _body(request, values)
    headers = {name: _fill(value, values, _in_header) for name, value in request.headers.items()}
    if kind and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = kind
    if request.basic is not None:
        headers["Authorization"] = _basic(request.basic, values)
    return Outgoing(
        method=request.method,
        url=_url(request.url, values),
        headers=headers,
        body=body,
        hosts=hosts,
        shown=shown,
        repeatable=request.method in _IDEMPOTENT if repeatable is None else repeatable,
        key=key,
    )


def values_of(credential: Credential) -> dict[str, str]:
    """What placeholders stand for. Raises `InputError` for a secret that is no text."""
    values = {"secret": credential.secret, **credential.companions}
    texts = {}
    for name, value in values.items():
        try:
            texts[name] = value.reveal_bytes().decode()
        except UnicodeDecodeError:
            raise _unfit(f"{name} is not text") from None
    return texts


def host_of(request: Request) -> str:
    """The host that a request may go to, as a glob; empty where the rule names none.

    A label that is filled in (`{tenant}.okta.com`) may be any one label below a domain that the rule names. A host that
    is filled in as a whole is named by nobody: only the options can allow it.
    """
    host = PLACEHOLDER.sub("*", _netloc(request.url)).partition(":")[0].lower()
    return "" if "*" in host and host.rpartition("*")[2].count(".") < 2 else host


def _netloc(url: str) -> str:
    rest = url.partition("://")[2]
    return rest[: next((at for at, letter in enumerate(rest) if letter in "/?#"), len(rest))]


def _url(template: str, values: Mapping[str, str]) -> str:
    netloc = _netloc(template)
    scheme, _, rest = template.partition("://")
    encode = _in_whole_host if PLACEHOLDER.fullmatch(netloc) else _in_host
    return f"{scheme}://{_fill(netloc, values, encode)}{_fill(rest[len(netloc) :], values, _in_url)}"


def _body(request: Request, values: Mapping[str, str]) -> tuple[bytes, str]:
    if request.json is not None:
        return msgspec.json.encode(_in_tree(request.json, values)), "application/json"
    if request.form:
        fields = {name: _fill(value, values, _as_it_is) for name, value in request.form.items()}
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    if not request.body:
        return b"", ""
    kinds = [value.lower() for name, value in request.headers.items() if name.lower() == "content-type"]
    kind = kinds[0] if kinds else ""
    if "json" in kind:
        return _fill(request.body, values, _in_json).encode(), ""
    if "x-www-form-urlencoded" in kind:
        return _fill(request.body, values, _in_url).encode(), ""
    if "xml" in kind:
        return _fill(request.body, values, _in_xml).encode(), ""
    return _fill(request.body, values, _in_header).encode(), "" if kind else "text/plain"


def _in_tree(node: object, values: Mapping[str, str]) -> object:
    if isinstance(node, str):
        return _fill(node, values, _as_it_is)
    if isinstance(node, dict):
        return {name: _in_tree(value, values) for name, value in node.items()}
    if isinstance(node, list):
        return [_in_tree(value, values) for value in node]
    return node


def _fill(template: str, values: Mapping[str, str], encode: Callable[[str], str]) -> str:
    """The template with every placeholder that is one filled in."""

    def value(match: re.Match[str]) -> str:
        if match[1] in values:
            return encode(values[match[1]])
        raise _unfit(f"it needs {match[0]}, which was not found beside the secret")

    return PLACEHOLDER.sub(value, template)


def _as_it_is(value: str) -> str:
    return value


def _in_url(value: str) -> str:
    return quote(value, safe="")


def _in_json(value: str) -> str:
    return json.dumps(value)[1:-1]


def _in_xml(value: str) -> str:
    from xml.sax.saxutils import escape

    return escape(value, {'"': "&quot;", "'": "&apos;"})


def _in_host(value: str) -> str:
    if not _HOST_VALUE.fullmatch(value):
        raise _unfit("what was found beside the secret cannot be part of a host name")
    return value


def _in_whole_host(value: str) -> str:
    if not _WHOLE_HOST.fullmatch(value):
        raise _unfit("what was found beside the secret is no host name")
    return value


def _in_header(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise _unfit("the credential holds characters that cannot be sent where the rule puts it")
    return value


def _basic(pair: tuple[str, str], values: Mapping[str, str]) -> str:
    user, password = (_fill(one, values, _as_it_is) for one in pair)
    if ":" in user:
        raise _unfit("a user of basic authentication cannot hold a colon")
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _unfit(reason: str) -> InputError:
    return InputError(reason, place="the rule's request", advice="a person must look at this one")
