"""PagerDuty's Events API v2, played by a server of our own.

As its description of the interface has it (https://developer.pagerduty.com/docs/events-api-v2/overview/): 202 with
the `dedup_key`; 400 for an event whose form is wrong; 429 and 5xx as told. Events of one `dedup_key` are one alert.
Stricter than the platform: any field that the description does not name is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jsonschema import Draft202012Validator

from tests.servers.webhook_receiver import Receiver, Reply, Request, receiving

_TEXT = {"type": "string", "minLength": 1}
EVENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["routing_key", "event_action", "dedup_key", "payload"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": _TEXT,
        "client_url": _TEXT,
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["href"],
                "properties": {"href": _TEXT, "text": _TEXT},
            },
        },
        "payload": {
            "type": "object",
            "additionalProperties": False,
            "required": ["summary", "severity", "source"],
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "severity": {"enum": ["critical", "warning", "error", "info"]},
                "source": _TEXT,
                "timestamp": _TEXT,
                "component": _TEXT,
                "group": _TEXT,
                "class": _TEXT,
                "custom_details": {"type": "object"},
            },
        },
    },
}


class PagerDutyServer:
    """Alerts by their `dedup_key`: how many events each one got."""

    def __init__(self, routing_key: str) -> None:
        self.routing_key = routing_key
        self.alerts: dict[str, list[dict[str, Any]]] = {}
        self.receiver: Receiver

    def respond(self, request: Request) -> Reply:
        if request.method != "POST" or request.path != "/v2/enqueue":
            return Reply(404)
        if len(request.body) > 512 * 1024:
            return Reply(413)
        event = json.loads(request.body)
        errors = [error.message for error in Draft202012Validator(EVENT).iter_errors(event)]
        if not errors and event["routing_key"] != self.routing_key:
            errors = ["Invalid routing key"]
        if errors:
            return _reply(400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors})
        self.alerts.setdefault(event["dedup_key"], []).append(event)
        return _reply(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})


def _reply(status: int, content: dict[str, Any]) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


@contextmanager
def pagerduty(routing_key: str) -> Iterator[PagerDutyServer]:
    server = PagerDutyServer(routing_key)
    with receiving(respond=server.respond) as receiver:
        server.receiver = receiver
        yield server
