"""Prism between our client and the Graph server of our own: it holds every request and every answer to Microsoft's own
description of the interface (a slice of it, beside the checkout).

The slice lacks some paths that the Graph reference has; they are added here, as their pages describe them, so that they
are held to their parameters at least, and so are the short forms of functions, which links have, and the parameter
`model` of the exports:
https://learn.microsoft.com/en-us/graph/api/attachment-get, .../team-list-members, .../chat-list-members (in the slice),
.../organization-list, .../site-getallsites, .../site-getbypath.

Prism lets unknown query parameters pass; the server refuses them. It passes whole answers only, so what breaks off in
the middle is tried without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import NODE_MODULES, ROOT, free_port, node, serving

SLICE = ROOT.parent / "shared" / "specs" / "graph-v1.0-slice.json"

_TERMINATED = "stoplight.io/prism/errors#"
_NO_SUCCESS = "Unable to match the returned status code"
"""What Prism says of answers that are no success: the slice only describes those that are."""
_ANY_LIST = {
    "type": "object",
    "required": ["value"],
    "properties": {"value": {"type": "array", "items": {"type": "object"}}},
}
_SELECT_ONLY = [{"in": "query", "name": "$skiptoken", "schema": {"type": "string"}}]


def _list(schema: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"application/json": {"schema": schema or _ANY_LIST}}
    return {"get": {"parameters": _SELECT_ONLY, "responses": {"200": {"description": "x", "content": content}}}}


def _one(reference: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{reference}"}}}
    return {"get": {"responses": {"200": {"description": "x", "content": content}}}}


def _with_parameters(path: dict[str, Any], *names: str) -> dict[str, Any]:
    parameters = [{"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in names]
    return {"parameters": parameters, **path}


def _missing() -> dict[str, Any]:
    members = {"$ref": "#/components/responses/microsoft.graph.conversationMemberCollectionResponse"}
    binary = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    value = {"get": {"responses": {"200": {"description": "x", "content": binary}}}}
    sites = {"$ref": "#/components/responses/microsoft.graph.siteCollectionResponse"}
    mail = "/users/{user-id}/messages/{message-id}/attachments/{attachment-id}/$value"
    return {
        "/teams/{team-id}/members": _with_parameters({"get": {"responses": {"200": members}}}, "team-id"),
        mail: _with_parameters(value, "user-id", "message-id", "attachment-id"),
        "/organization": _list(),
        "/sites/getAllSites": {"get": {"responses": {"200": sites}}},
        "/sites/oneDrive.getAllSites": {"get": {"responses": {"200": sites}}},
        "/sites/{host}:/{kind}/{name}": _with_parameters(_one("microsoft.graph.site"), "host", "kind", "name"),
    }


def _exports(paths: dict[str, Any]) -> dict[str, Any]:
    """The export interface of Teams as its pages write it, and as its links do, with the licensing model."""
    model = {"in": "query", "name": "model", "schema": {"type": "string", "enum": ["A", "B"]}}
    token = {"in": "query", "name": "$skiptoken", "schema": {"type": "string"}}
    found = {}
    for path in [path for path in paths if path.endswith("/getAllMessages()") and "{" in path]:
        get = paths[path]["get"]
        whole = {**paths[path], "get": {**get, "parameters": [*get["parameters"], model, token]}}
        for name in ("getAllMessages", "getallMessages"):
            found[path.replace("getAllMessages()", name)] = whole
    return found


@contextmanager
def prism(folder: Path, upstream: str, more: Callable[[dict[str, Any]], None] | None = None) -> Iterator[str]:
    """The address of a Prism before a server, as long as the context lasts. Its log is in `folder`. `more` adds to the
    description.
    """
    if not SLICE.exists():
        pytest.skip(f"{SLICE} is not there: Microsoft's description of Graph, which answers are held to")
    description = json.loads(SLICE.read_text())
    paths = description["paths"]
    paths |= _missing()
    paths |= {path.removesuffix("()"): paths[path] for path in list(paths) if path.endswith("/delta()")}
    paths |= _exports(paths)
    if more is not None:
        more(description)
    file = folder / "graph.json"
    file.write_text(json.dumps(description))
    port = free_port()
    program = NODE_MODULES / "@stoplight" / "prism-cli" / "dist" / "index.js"
    command = [node(), str(program), "proxy", "--errors", "-h", "127.0.0.1", "-p", str(port), str(file), upstream]
    with serving(command, port, folder):
        yield f"http://127.0.0.1:{port}"


def violations(folder: Path) -> list[str]:
    """What Prism complained of so far."""
    lines = [line for log in folder.glob("server-*.log") for line in log.read_text(errors="replace").splitlines()]
    return [line for line in lines if _TERMINATED in line or ("Violation" in line and _NO_SUCCESS not in line)]
