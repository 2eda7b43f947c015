"""Keys of service accounts in Google's IAM, and Secret Manager: state of ours, answers held to Google's descriptions.

The descriptions are those inside google-api-python-client (`iam.v1`, `secretmanager.v1`): an answer with a field that
they do not have fails the request with 599. Access tokens are `token-of-EMAIL`, given for a signed assertion whose
signature is checked. Weaker than Google: no permissions, no delay before an effect is seen.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import googleapiclient
import jsonschema
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from keysentry.response.vault.google import crc32c
from tests.servers.https import Answer, Seen, in_json

_DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"


@lru_cache
def _document(name: str) -> dict[str, Any]:
    text = json.dumps(json.loads((_DOCUMENTS / f"{name}.json").read_text())["schemas"])
    text = text.replace('"$ref": "', '"$ref": "#/$defs/').replace('"type": "any"', '"title": "any"')
    schemas: dict[str, Any] = json.loads(text)
    for schema in schemas.values():
        schema.pop("id", None)
        if schema.get("properties"):
            schema["additionalProperties"] = False
    return schemas


@lru_cache
def _validator(document: str, schema: str) -> Any:
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{schema}", "$defs": _document(document)})


@lru_cache
def _private(number: int) -> rsa.RSAPrivateKey:
    """A key that takes long to make, and may be the same in every test."""
    return rsa.generate_private_key(65537, 2048)


def held_to(document: str, schema: str, value: dict[str, Any]) -> Answer:
    """The answer, if it is one that the description knows."""
    try:
        _validator(document, schema).validate(value)
    except jsonschema.ValidationError as error:
        return Answer(599, error.message.encode())
    return in_json(value)


def _error(code: int, status: str) -> Answer:
    return in_json({"error": {"code": code, "message": "no", "status": status}}, code)


@dataclass
class Key:
    """A key of a service account."""

    account: str
    id: str
    private: rsa.RSAPrivateKey
    disabled: bool = False

    @property
    def name(self) -> str:
        return f"projects/acme/serviceAccounts/{self.account}/keys/{self.id}"

    @property
    def pem(self) -> str:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def certificate(self) -> str:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.account[:60])])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=1))
            .sign(self.private, hashes.SHA256())
        )
        return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()

    @property
    def json(self) -> str:
        """The file that Google gives for it."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "acme",
                "private_key_id": self.id,
                "private_key": self.pem,
                "client_email": self.account,
                "client_id": "1",
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )


@dataclass
class GoogleCloud:
    """The state. `after`: the next change takes effect, and the connection breaks."""

    first: int = 0
    """The number of its first key; two clouds with other numbers have other keys."""
    keys: list[Key] = field(default_factory=list)
    secrets: dict[str, list[bytes]] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    changes: Counter[str] = field(default_factory=Counter)
    failures: list[Answer] = field(default_factory=list)
    after: bool = False
    page: int = 1

    def key(self, account: str) -> Key:
        """A new key of an account."""
        private = _private(self.first + len(self.keys))
        made = Key(f"{account}@acme.iam.gserviceaccount.com", f"{len(self.keys):040x}", private)
        self.keys.append(made)
        return made

    def answer(self, seen: Seen) -> Answer:
        if seen.host == "oauth2.googleapis.com":
            return self._token(seen)
        if not seen.bearer.startswith("token-of-"):
            return _error(401, "UNAUTHENTICATED")
        if self.failures:
            return self.failures.pop(0)
        return self._iam(seen) if seen.host == "iam.googleapis.com" else self._secrets(seen)

    def _done(self, change: str, answer: Answer) -> Answer:
        self.changes[change] += 1
        if self.after:
            self.after = False
            return Answer(raw=lambda handler: handler.connection.close())
        return answer

    def _token(self, seen: Seen) -> Answer:
        """https://developers.google.com/identity/protocols/oauth2/service-account#httprest"""
        form = seen.form
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return in_json({"error": "unsupported_grant_type"}, 400)
        head, claims, signature = form["assertion"].split(".")
        told = json.loads(base64.urlsafe_b64decode(claims + "=="))
        for key in self.keys:
            try:
                key.private.public_key().verify(
                    base64.urlsafe_b64decode(signature + "=="),
                    f"{head}.{claims}".encode(),
                    padding.PKCS1v15(),
                    hashes.SHA256(),
                )
            except InvalidSignature:
                continue
            if told["iss"] == key.account and not key.disabled:
                return in_json({"access_token": f"token-of-{key.account}", "expires_in": 3600, "token_type": "Bearer"})
        return in_json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)

    def _iam(self, seen: Seen) -> Answer:
        path = seen.path.removeprefix("/v1/")
        if path == "projects/acme/serviceAccounts":
            accounts = sorted({key.account for key in self.keys})
            start = int(seen.query.get("pageToken", "0"))
            rows = [{"name": f"projects/acme/serviceAccounts/{one}", "email": one} for one in accounts]
            told: dict[str, Any] = {"accounts": rows[start : start + self.page]}
            if start + self.page < len(rows):
                told["nextPageToken"] = str(start + self.page)
            return held_to("iam.v1", "ListServiceAccountsResponse", told)
        if path.endswith("/keys"):
            account = path.removesuffix("/keys").rpartition("/")[2]
            rows = [self._told(key) for key in self.keys if key.account == account]
            return held_to("iam.v1", "ListServiceAccountKeysResponse", {"keys": rows} if rows else {})
        for key in self.keys:
            if path == key.name and seen.method == "GET":
                known = {**self._told(key)}
                if seen.query.get("publicKeyType") == "TYPE_X509_PEM_FILE":
                    known["publicKeyData"] = key.certificate
                return held_to("iam.v1", "ServiceAccountKey", known)
            if path == f"{key.name}:disable" and seen.method == "POST":
                _validator("iam.v1", "DisableServiceAccountKeyRequest").validate(seen.json)
                key.disabled = True
                return self._done(f"disable {key.id}", in_json({}))
        return _error(404, "NOT_FOUND")

    @staticmethod
    def _told(key: Key) -> dict[str, Any]:
        told: dict[str, Any] = {"name": key.name, "keyType": "USER_MANAGED", "keyAlgorithm": "KEY_ALG_RSA_2048"}
        return {**told, "disabled": True} if key.disabled else told

    def _secrets(self, seen: Seen) -> Answer:
        path = seen.path.removeprefix("/v1/")
        parent, _, rest = path.partition("/secrets")
        if seen.method == "POST" and not rest:
            name = f"{parent}/secrets/{seen.query['secretId']}"
            _validator("secretmanager.v1", "Secret").validate(seen.json)
            if "replication" not in seen.json:
                return _error(400, "INVALID_ARGUMENT")
            if name in self.secrets:
                return _error(409, "ALREADY_EXISTS")
            self.secrets[name], self.labels[name] = [], seen.json.get("labels", {})
            return self._done("create", held_to("secretmanager.v1", "Secret", {"name": name, **seen.json}))
        name = path.removesuffix(":addVersion").removesuffix("/versions/latest:access")
        versions = self.secrets.get(name)
        if versions is None:
            return _error(404, "NOT_FOUND")
        if path.endswith(":addVersion") and seen.method == "POST":
            payload = seen.json["payload"]
            data = base64.b64decode(payload["data"])
            if int(payload["dataCrc32c"]) != crc32c(data):
                return _error(400, "INVALID_ARGUMENT")
            versions.append(data)
            told = {"name": f"{name}/versions/{len(versions)}", "state": "ENABLED"}
            return self._done("version", held_to("secretmanager.v1", "SecretVersion", told))
        if not versions or seen.method != "GET":
            return _error(404, "NOT_FOUND")
        payload = {"data": base64.b64encode(versions[-1]).decode(), "dataCrc32c": str(crc32c(versions[-1]))}
        told = {"name": f"{name}/versions/{len(versions)}", "payload": payload}
        return held_to("secretmanager.v1", "AccessSecretVersionResponse", told)
