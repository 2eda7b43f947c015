"""Jira Cloud's REST interface, version 3, as far as issues are made and found, played by a server of our own.

As https://developer.atlassian.com/cloud/jira/platform/rest/v3/ has it: basic authentication by e-mail and API token;
`POST /rest/api/3/issue` with a description in the document format; `GET /rest/api/3/search/jql`, which knows an issue
only once it was indexed: here after so many searches (`lag`). Stricter than the platform: a description is held to a
schema of the node types that we use, and a field that is not set here is an error. It understands one form of JQL.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema import Draft202012Validator

from tests.servers.webhook_receiver import Receiver, Reply, Request, receiving

_JQL = re.compile(r'project = "(\w+)" AND labels = "([\w.-]+)"')
DOCUMENT: dict[str, Any] = {
    "$defs": {
        "text": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", "text"],
            "properties": {
                "type": {"const": "text"},
                "text": {"type": "string", "minLength": 1},
                "marks": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["type", "attrs"],
                        "properties": {
                            "type": {"const": "link"},
                            "attrs": {"type": "object", "required": ["href"]},
                        },
                    },
                },
            },
        },
        "paragraph": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", "content"],
            "properties": {
                "type": {"const": "paragraph"},
                "content": {"type": "array", "items": {"$ref": "#/$defs/text"}},
            },
        },
        "list": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", "content"],
            "properties": {
                "type": {"const": "bulletList"},
                "content": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["type", "content"],
                        "properties": {
                            "type": {"const": "listItem"},
                            "content": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/paragraph"}},
                        },
                    },
                },
            },
        },
    },
    "type": "object",
    "additionalProperties": False,
    "required": ["type", "version", "content"],
    "properties": {
        "type": {"const": "doc"},
        "version": {"const": 1},
        "content": {
            "type": "array",
            "items": {"anyOf": [{"$ref": "#/$defs/paragraph"}, {"$ref": "#/$defs/list"}]},
        },
    },
}


class JiraServer:
    """The issues of one project, in the order in which they were made."""

    def __init__(self, email: str, token: str, project: str = "SEC") -> None:
        self.email = email
        self.token = token
        self.project = project
        self.issues: list[dict[str, Any]] = []
        self.lag = 0
        self._searches: dict[str, int] = {}
        self.receiver: Receiver

    def respond(self, request: Request) -> Reply:
        basic = base64.b64encode(f"{self.email}:{self.token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return _reply(401, {"errorMessages": ["You do not have permission"], "errors": {}})
        path = urlsplit(request.path)
        if (request.method, path.path) == ("POST", "/rest/api/3/issue"):
            return self._make(json.loads(request.body)["fields"])
        if (request.method, path.path) == ("GET", "/rest/api/3/search/jql"):
            return self._search(parse_qs(path.query))
        return _reply(404, {"errorMessages": ["Not found"], "errors": {}})

    def _make(self, fields: dict[str, Any]) -> Reply:
        errors: dict[str, str] = {}
        for name in sorted(set(fields) - {"project", "issuetype", "summary", "description", "labels"}):
            errors[name] = f"Field '{name}' cannot be set."
        if fields["project"] != {"key": self.project}:
            errors["project"] = "valid project is required"
        if fields["issuetype"].get("name") not in ("Task", "Bug"):
            errors["issuetype"] = "The issue type selected is invalid."
        summary = fields["summary"]
        if not 0 < len(summary) <= 255 or "\n" in summary:
            errors["summary"] = "Summary must be less than 255 characters."
        if any(re.search(r"\s", label) for label in fields["labels"]):
            errors["labels"] = "The label contains spaces which is invalid."
        if found := list(Draft202012Validator(DOCUMENT).iter_errors(fields["description"])):
            errors["description"] = f"Operation value must be an Atlassian Document: {found[0].message}"
        if errors:
            return _reply(400, {"errorMessages": [], "errors": errors})
        key = f"{self.project}-{len(self.issues) + 1}"
        self.issues.append({"key": key, "fields": fields})
        return _reply(201, {"id": str(10000 + len(self.issues)), "key": key, "self": f"https://jira.example/{key}"})

    def _search(self, query: dict[str, list[str]]) -> Reply:
        match = _JQL.fullmatch(query["jql"][0])
        if match is None:
            return _reply(400, {"errorMessages": ["Error in the JQL Query"], "errors": {}})
        if match[1] != self.project:
            missing = f"The value '{match[1]}' does not exist for the field 'project'."
            return _reply(400, {"errorMessages": [missing], "errors": {}})
        found = [one for one in self.issues if match[2] in one["fields"]["labels"] and self._indexed(one["key"])]
        issues = [{"id": one["key"], "key": one["key"], "fields": {}} for one in found]
        return _reply(200, {"issues": issues, "isLast": True})

    def _indexed(self, key: str) -> bool:
        self._searches[key] = self._searches.get(key, 0) + 1
        return self._searches[key] > self.lag


def _reply(status: int, content: dict[str, Any]) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


@contextmanager
def jira(email: str, token: str) -> Iterator[JiraServer]:
    server = JiraServer(email, token)
    with receiving(respond=server.respond) as receiver:
        server.receiver = receiver
        yield server
