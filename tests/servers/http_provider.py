"""GitHub, GitLab, Slack, Google's OAuth, and Microsoft's login and applications, as far as revoking needs.

All of it is ours: tokens that live or are dead, and a count of what was really revoked. Stricter than the platforms:
whatever is not written here is refused (404), a request must carry exactly the credential that its page asks for, and
GitHub's anonymous interface refuses any. Weaker: effects are immediate, while GitHub's take a moment. Shapes are from
the pages that the revokers name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.servers.https import Answer, Seen, in_json

HOSTS = (
    "api.github.com",
    "gitlab.com",
    "slack.com",
    "oauth2.googleapis.com",
    "graph.microsoft.com",
    "login.microsoftonline.com",
    "hooks.acme.example",
    "acme.okta.example",
)


@dataclass
class Provider:
    """The state of all of them. `live` holds tokens; `revoked` counts by token what was really revoked.

    `failures` are answers that come first; `after` is what breaks after the effect: the next revocation takes effect,
    and the connection is closed without an answer.
    """

    live: dict[str, dict[str, Any]] = field(default_factory=dict)
    revoked: Counter[str] = field(default_factory=Counter)
    failures: list[Answer] = field(default_factory=list)
    after: bool = False
    admin: str = ""
    applications: list[dict[str, Any]] = field(default_factory=list)
    entra_clients: dict[str, str] = field(default_factory=dict)
    page: int = 2

    def answer(self, seen: Seen) -> Answer:
        if self.failures:
            return self.failures.pop(0)
        known = {
            "api.github.com": self._github,
            "gitlab.com": self._gitlab,
            "slack.com": self._slack,
            "oauth2.googleapis.com": self._google,
            "graph.microsoft.com": self._graph,
            "login.microsoftonline.com": self._login,
        }
        route = known.get(seen.host)
        return route(seen) if route else Answer(404)

    def kill(self, token: str) -> bool:
        """Whether the token lived until now."""
        if self.live.pop(token, None) is None:
            return False
        self.revoked[token] += 1
        return True

    def _ended(self, answer: Answer) -> Answer:
        """The answer to a revocation, unless the connection is to break now."""
        if not self.after:
            return answer
        self.after = False
        return Answer(raw=lambda handler: handler.connection.close())

    def _github(self, seen: Seen) -> Answer:
        if not seen.headers.get("user-agent"):
            return in_json({"message": "Request forbidden by administrative rules"}, 403)
        if (seen.method, seen.path) == ("POST", "/credentials/revoke"):
            if "authorization" in seen.headers:
                return in_json({"message": "Forbidden"}, 403)
            tokens = seen.json.get("credentials")
            fine = isinstance(tokens, list) and 0 < len(tokens) <= 1000
            if not fine or not all(t.startswith(("ghp_", "github_pat_", "gho_", "ghu_", "ghr_")) for t in tokens):
                return in_json({"message": "Validation Failed", "documentation_url": "", "errors": []}, 422)
            for token in tokens:
                self.kill(token)
            return self._ended(in_json({}, 202))
        user = self.live.get(seen.bearer)
        if user is None:
            return in_json({"message": "Bad credentials"}, 401)
        if (seen.method, seen.path) == ("GET", "/user"):
            return in_json({"login": user["login"], "id": 1}, X_OAuth_Scopes=user.get("scopes", ""))
        if (seen.method, seen.path) == ("GET", "/installation/repositories"):
            return in_json({"total_count": 0, "repositories": []})
        if (seen.method, seen.path) == ("DELETE", "/installation/token"):
            self.kill(seen.bearer)
            return self._ended(Answer(204))
        return in_json({"message": "Not Found"}, 404)

    def _gitlab(self, seen: Seen) -> Answer:
        token = seen.headers.get("private-token", "")
        match seen.method, seen.path:
            case "DELETE", "/api/v4/runners":
                return self._ended(Answer(204 if self.kill(seen.form["token"]) else 403))
            case "POST", "/api/v4/runners/verify":
                return in_json({"id": 1}) if seen.form["token"] in self.live else in_json({}, 403)
            case "DELETE" | "POST", "/api/v4/admin/token":
                if not self.admin or token != self.admin:
                    return in_json({"message": "401 Unauthorized"}, 401)
                named = seen.json["token"]
                if named not in self.live:
                    return in_json({"message": "404 Not Found"}, 404)
                if seen.method == "POST":
                    return in_json({"id": 1, "revoked": False, "active": True})
                self.kill(named)
                return self._ended(Answer(204))
        user = self.live.get(token)
        if user is None:
            return in_json({"message": "401 Unauthorized"}, 401)
        if seen.path != "/api/v4/personal_access_tokens/self":
            return in_json({"error": "404 Not Found"}, 404)
        if seen.method == "GET":
            return in_json({"id": 4, "user_id": 7, "scopes": user["scopes"], "revoked": False, "active": True})
        self.kill(token)
        return self._ended(Answer(204))

    def _slack(self, seen: Seen) -> Answer:
        user = self.live.get(seen.bearer)
        if seen.method != "POST":
            return in_json({"ok": False, "error": "unknown_method"})
        if user is None:
            error = "token_revoked" if self.revoked[seen.bearer] else "invalid_auth"
            return in_json({"ok": False, "error": error})
        if seen.path == "/api/auth.test":
            told = {"ok": True, "url": "https://acme.slack.com/", "user": user["login"], "team": "Acme"}
            return in_json(told, X_OAuth_Scopes=user.get("scopes", ""))
        if seen.path == "/api/auth.revoke":
            if "test" in seen.form:
                return in_json({"ok": True, "revoked": False})
            self.kill(seen.bearer)
            return self._ended(in_json({"ok": True, "revoked": True}))
        return in_json({"ok": False, "error": "unknown_method"})

    def _google(self, seen: Seen) -> Answer:
        if (seen.method, seen.path) == ("POST", "/revoke"):
            if not self.kill(seen.form.get("token", "")):
                return in_json({"error": "invalid_token", "error_description": "Token expired or revoked"}, 400)
            return self._ended(in_json({}))
        if (seen.method, seen.path) == ("GET", "/tokeninfo"):
            user = self.live.get(seen.query.get("access_token", ""))
            if user is None:
                return in_json({"error_description": "Invalid Value"}, 400)
            return in_json({"email": user["login"], "scope": user["scopes"], "expires_in": "100"})
        return Answer(404)

    def _login(self, seen: Seen) -> Answer:
        form = seen.form
        if seen.method != "POST" or not seen.path.endswith("/oauth2/v2.0/token"):
            return Answer(404)
        known = self.entra_clients.get(form.get("client_id", ""))
        if form.get("grant_type") != "client_credentials" or known is None or known != form.get("client_secret"):
            return in_json({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
        return in_json({"token_type": "Bearer", "expires_in": 3599, "access_token": f"for {form['scope']}"})

    def _graph(self, seen: Seen) -> Answer:
        if seen.bearer != "for https://graph.microsoft.com/.default":
            return in_json({"error": {"code": "InvalidAuthenticationToken"}}, 401)
        if (seen.method, seen.path) == ("GET", "/v1.0/applications"):
            wanted = {"id", "appId", "displayName", "passwordCredentials"}
            if set(seen.query.get("$select", "").split(",")) != wanted:
                return in_json({"error": {"code": "BadRequest"}}, 400)
            start = int(seen.query.get("$skiptoken", "0"))
            told: dict[str, Any] = {"value": self.applications[start : start + self.page]}
            if start + self.page < len(self.applications):
                query = f"$select={','.join(sorted(wanted))}&$top=50&$skiptoken={start + self.page}"
                told["@odata.nextLink"] = f"https://graph.microsoft.com/v1.0/applications?{query}"
            return in_json(told)
        for application in self.applications:
            path = f"/v1.0/applications/{application['id']}/removePassword"
            if (seen.method, seen.path) == ("POST", path):
                held = application["passwordCredentials"]
                left = [one for one in held if one["keyId"] != seen.json["keyId"]]
                if len(left) == len(held):
                    return in_json({"error": {"code": "Request_ResourceNotFound"}}, 404)
                application["passwordCredentials"] = left
                self.revoked[seen.json["keyId"]] += 1
                return self._ended(Answer(204))
        return in_json({"error": {"code": "Request_ResourceNotFound"}}, 404)
