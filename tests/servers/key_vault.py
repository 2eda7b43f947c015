"""Secrets of Azure Key Vault, ours. https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/

Stricter than Azure: one version of the interface, one token. Weaker: no permissions, no expiry; what was deleted stays
deleted until the test says otherwise.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.servers.http_provider import Provider
from tests.servers.https import Answer, Seen, in_json

_NAME = re.compile(r"/secrets/([0-9A-Za-z-]{1,127})")


@dataclass
class KeyVault:
    """The state. `after`: the next write is done and not answered."""

    login: Provider
    secrets: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    writes: Counter[str] = field(default_factory=Counter)
    failures: list[Answer] = field(default_factory=list)
    after: bool = False

    def answer(self, seen: Seen) -> Answer:
        if seen.host == "login.microsoftonline.com":
            return self.login.answer(seen)
        if seen.bearer != "for https://vault.azure.net/.default":
            return in_json({"error": {"code": "Unauthorized"}}, 401, WWW_Authenticate="Bearer")
        if self.failures:
            return self.failures.pop(0)
        match = _NAME.fullmatch(seen.path)
        if match is None or seen.query.get("api-version") != "7.4":
            return in_json({"error": {"code": "BadParameter"}}, 400)
        name = match[1]
        if seen.method == "PUT":
            if name in self.deleted:
                return in_json({"error": {"code": "Conflict"}}, 409)
            self.secrets.setdefault(name, []).append(seen.json)
            self.writes[name] += 1
            if self.after:
                self.after = False
                return Answer(500)
        versions = self.secrets.get(name)
        if not versions:
            return in_json({"error": {"code": "SecretNotFound"}}, 404)
        told = versions[-1]
        number = f"{len(versions):032x}"
        return in_json({"id": f"https://{seen.host}/secrets/{name}/{number}", **told, "attributes": {"enabled": True}})
