"""Clients of AWS for revokers, vaults and the key service: boto3, imported when the first is made.

The SDK's own retries are off: actions come again by themselves. What the SDK would log in between is not written,
since requests and answers hold secrets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from keysentry.errors import (
    AccessError,
    ConfigError,
    GoneError,
    InputError,
    KeysentryError,
    MissingExtraError,
    SourceError,
    UnclearError,
)
from keysentry.model.sensitive import Sensitive
from keysentry.response.quiet import quiet

T = TypeVar("T")

_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
_MISSING = frozenset({"NoSuchEntity", "ResourceNotFoundException", "NotFoundException"})
_LATER = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "ServiceUnavailable"}
)


class AwsLogin(NamedTuple):
    """How to log in to AWS. Without anything: as the AWS command line would."""

    region: str = ""
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    access_key_id: Sensitive | None = None
    secret_access_key: Sensitive | None = None
    session_token: Sensitive | None = None
    base_url: str = ""

    def check(self, place: str) -> None:
        """Raise `ConfigError` for values that do not fit together."""
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ConfigError("access_key_id and secret_access_key belong together", place=place, advice="set both")
        if self.external_id and not self.role_arn:
            raise ConfigError("external_id without role_arn", place=place, advice="name the role")


class AwsClients:
    """Clients by service, made when they are needed. Safe to use from several threads."""

    def __init__(self, login: AwsLogin, place: str) -> None:
        login.check(place)
        self._login = login
        self._place = place
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}

    def call(self, service: str, operation: Callable[[Any], T], needs: str) -> T:
        """What an operation on a service's client gives. `needs` names the permission in the advice.

        Raises `AccessError`, `GoneError` (there is no such thing), `InputError` and `SourceError`.
        """
        try:
            import boto3.session  # before `quiet`, which must know its loggers  # noqa: F401
            import botocore.exceptions
        except ImportError:
            raise MissingExtraError("Amazon Web Services", "aws") from None
        fault: KeysentryError
        with quiet():
            try:
                return operation(self._client(service))
            except botocore.exceptions.ClientError as error:
                fault = self._told(error.response, needs)
            except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError):
                fault = AccessError("there are no AWS credentials", place=self._place, advice="set a profile or a key")
            except (botocore.exceptions.ProfileNotFound, botocore.exceptions.NoRegionError) as error:
                fault = ConfigError(type(error).__name__, place=self._place, advice="look at profile and region")
            except botocore.exceptions.BotoCoreError as error:
                fault = SourceError(f"AWS could not be asked ({type(error).__name__})", place=self._place)
        raise fault

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            made, self._made = self._made, {}
        for client in made.values():
            client.close()

    def _told(self, response: Any, needs: str) -> KeysentryError:
        """An answer of AWS in our words. Its message is left out: it may repeat what was sent."""
        code = str(response.get("Error", {}).get("Code", ""))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        said = f"AWS answered {code or status}"
        if code in _DENIED or status in (401, 403):
            return AccessError(said, place=self._place, advice=f"it needs {needs}")
        if code in _MISSING:
            return GoneError(said, place=self._place)
        if code in _LATER or status == 429:
            return SourceError(said, place=self._place)
        if status >= 500:
            return UnclearError(said, place=self._place)
        return InputError(said, place=self._place)

    def _client(self, service: str) -> Any:
        import boto3.session
        from botocore.config import Config

        with self._lock:
            if service not in self._made:
                config = Config(
                    retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=10, read_timeout=30
                )
                self._made[service] = self._session(boto3.session.Session).client(
                    service, endpoint_url=self._login.base_url or None, config=config
                )
            return self._made[service]

    def _session(self, make: Any) -> Any:
        login = self._login
        session = make(
            aws_access_key_id=_text(login.access_key_id),
            aws_secret_access_key=_text(login.secret_access_key),
            aws_session_token=_text(login.session_token),
            profile_name=login.profile or None,
            region_name=login.region or None,
        )
        if not login.role_arn:
            return session
        asked = {"RoleArn": login.role_arn, "RoleSessionName": "keysentry"}
        if login.external_id:
            asked["ExternalId"] = login.external_id
        client = session.client("sts", endpoint_url=login.base_url or None)
        try:
            given = client.assume_role(**asked)["Credentials"]
        finally:
            client.close()
        return make(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            region_name=session.region_name,
        )


def _text(value: Sensitive | None) -> str | None:
    return None if value is None else value.reveal().strip()
