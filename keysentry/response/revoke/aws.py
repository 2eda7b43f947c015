"""AWS: an access key of an IAM user is deactivated, its user restricted, and the key deleted, at once or later.

Algorithm. The key's id tells its account; a key of another account is left alone. `iam:GetAccessKeyLastUsed` tells the
user. The key is made inactive (which can be undone), the AWS-managed policy that AWS itself attaches to users of leaked
keys is attached to the user, so that other keys that were made with this one do less harm, and what was done is read
back. A deletion is due `delete_after` seconds after the key was made inactive, which a tag of the user remembers: a
revocation that finds the key inactive and due deletes it.

Invariants. Each step looks at the state first and is done once. The user is not touched otherwise.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html,
https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html,
https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCompromisedKeyQuarantineV3.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from keysentry.checks.clouds import aws_account_id
from keysentry.errors import AccessError, ConfigError, GoneError, InputError
from keysentry.model.action import Credential, Receipt
from keysentry.model.sensitive import Sensitive
from keysentry.response.awsclient import AwsClients, AwsLogin
from keysentry.response.base import Revoker
from keysentry.response.revoke.base import RevokerOptions, Tools

__all__ = ["AwsRevoker", "Options", "open_revoker"]

QUARANTINE = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
_KEY_ID = re.compile(r"AKIA[A-Z2-7]{16}")
_TAG = "keysentry-deactivated-"


class Options(RevokerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings for AWS. Without any credentials here, those that the AWS command line would use are used.

    `accounts`: the ids of your accounts; without any, the account of our own credentials. `quarantine_policy`: the
    policy that is attached to the user; empty: none. `delete_after`: seconds after which an inactive key is deleted;
    0: at once; left out: never. `region`: of the interface (for China and GovCloud). `profile`: a profile of the AWS
    configuration files. `role_arn`, `external_id`: a role to take on, and the id that its owner asks for.
    `access_key_id`, `secret_access_key`, `session_token`: credentials, where no chain of the SDK shall be followed.
    `base_url`: another address of the interface.
    """

    accounts: tuple[str, ...] = ()
    quarantine_policy: str = QUARANTINE
    delete_after: float | None = None
    region: str = ""
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    access_key_id: Sensitive | None = None
    secret_access_key: Sensitive | None = None
    session_token: Sensitive | None = None
    base_url: str = ""

    kind: ClassVar[str] = "aws"
    default_handles: ClassVar[tuple[str, ...]] = ("aws.access-key",)
    environment: ClassVar[dict[str, tuple[str, ...]]] = {
        "access_key_id": ("KEYSENTRY_AWS_REVOKER_ACCESS_KEY_ID",),
        "secret_access_key": ("KEYSENTRY_AWS_REVOKER_SECRET_ACCESS_KEY",),
        "session_token": ("KEYSENTRY_AWS_REVOKER_SESSION_TOKEN",),
    }

    def login(self) -> AwsLogin:
        """How to log in."""
        return AwsLogin(
            self.region or "us-east-1",  # IAM is global; a client wants a region all the same
            self.profile,
            self.role_arn,
            self.external_id,
            self.access_key_id,
            self.secret_access_key,
            self.session_token,
            self.base_url,
        )


class AwsRevoker:
    """Deactivates and deletes access keys of IAM users."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.name = options.name
        self.handles = options.handled
        self._options = options
        self._clients = AwsClients(options.login(), options.name)
        self._clock = clock
        self._account = ""

    def revoke(self, credential: Credential, key: str) -> Receipt:
        """Make the key inactive, restrict its user, and delete the key if that is due."""
        key_id = self._own(credential)
        user = self._user(key_id)
        status = self._status(user, key_id) if user else "gone"
        if status == "gone":
            return Receipt(outcome="already", note="IAM knows no such key any more", evidence={"status": "gone"})
        evidence = {"user": user, "policy": self._restrict(user)}
        now = self._clock()
        if status == "Active":
            self._deactivate(user, key_id, now)
        deleted = self._delete_if_due(user, key_id, now, evidence)
        evidence["status"] = self._status(user, key_id)
        if evidence["status"] == "Active":
            raise InputError("the key is still active", place=self.name, advice="look at it in the console")
        note = f"the access key of {user} is {'deleted' if deleted else 'inactive'}"
        changed = deleted or status == "Active"
        return Receipt(outcome="done" if changed else "already", note=note, evidence=evidence)

    def revoked(self, credential: Credential, key: str) -> Receipt | None:
        """Whether the key is inactive or gone, and nothing is left to do for it."""
        key_id = self._own(credential)
        user = self._user(key_id)
        status = self._status(user, key_id) if user else "gone"
        if status == "Active" or (status == "Inactive" and self._options.delete_after == 0):
            return None
        if status == "Inactive" and self._options.quarantine_policy and not self._restricted(user):
            return None
        return Receipt(outcome="done", note=f"the access key is {status.lower()}", evidence={"status": status})

    def _own(self, credential: Credential) -> str:
        """The id of the key, which is one of ours. Raises `InputError`."""
        ids = [one.reveal().strip() for one in (*credential.companions.values(), credential.secret)]
        key_id = next((one for one in ids if _KEY_ID.fullmatch(one)), "")
        if not key_id:
            raise InputError("the id of the access key was not found beside it", place=self.name)
        account = dict(aws_account_id(key_id.encode()).facts).get("AWS account", "")
        if account and account not in self._accounts():
            raise InputError(
                f"the key belongs to the AWS account {account}, which is not yours",
                place=self.name,
                advice="name it in accounts if it is; else tell its owner",
            )
        return key_id

    def _accounts(self) -> tuple[str, ...]:
        if self._options.accounts:
            return self._options.accounts
        if not self._account:
            told = self._clients.call("sts", lambda sts: sts.get_caller_identity(), "valid credentials")
            self._account = str(told["Account"])
        return (self._account,)

    def _user(self, key_id: str) -> str:
        """The user of a key; empty where IAM knows no such key."""
        try:
            told = self._iam(lambda iam: iam.get_access_key_last_used(AccessKeyId=key_id), "GetAccessKeyLastUsed")
        except GoneError:
            return ""
        return str(told.get("UserName", ""))

    def _status(self, user: str, key_id: str) -> str:
        try:
            listed = self._iam(lambda iam: iam.list_access_keys(UserName=user), "ListAccessKeys")
        except GoneError:
            return "gone"
        # A user has two keys at most.
        found = [one["Status"] for one in listed["AccessKeyMetadata"] if one["AccessKeyId"] == key_id]
        return str(found[0]) if found else "gone"

    def _deactivate(self, user: str, key_id: str, now: float) -> None:
        self._iam(
            lambda iam: iam.update_access_key(UserName=user, AccessKeyId=key_id, Status="Inactive"), "UpdateAccessKey"
        )
        if self._options.delete_after:
            tag = {"Key": f"{_TAG}{key_id}", "Value": str(int(now))}
            self._iam(lambda iam: iam.tag_user(UserName=user, Tags=[tag]), "TagUser")

    def _delete_if_due(self, user: str, key_id: str, now: float, evidence: dict[str, str]) -> bool:
        after = self._options.delete_after
        if after is None:
            return False
        due = (self._deactivated(user, key_id) if after else now) or now
        if after and due + after > now:
            evidence["deletion due"] = datetime.fromtimestamp(due + after, UTC).isoformat(timespec="seconds")
            return False
        self._iam(lambda iam: iam.delete_access_key(UserName=user, AccessKeyId=key_id), "DeleteAccessKey")
        if after:
            self._iam(lambda iam: iam.untag_user(UserName=user, TagKeys=[f"{_TAG}{key_id}"]), "UntagUser")
        return True

    def _deactivated(self, user: str, key_id: str) -> float | None:
        """When we made the key inactive, if we did; a key that somebody else made inactive is tagged now."""
        listed = self._iam(lambda iam: iam.list_user_tags(UserName=user), "ListUserTags")
        for tag in listed["Tags"]:
            if tag["Key"] == f"{_TAG}{key_id}" and str(tag["Value"]).isdecimal():
                return float(tag["Value"])
        tag = {"Key": f"{_TAG}{key_id}", "Value": str(int(self._clock()))}
        self._iam(lambda iam: iam.tag_user(UserName=user, Tags=[tag]), "TagUser")
        return None

    def _restrict(self, user: str) -> str:
        """Attach the policy; what came of it in words. That it cannot be attached does not stop the revocation."""
        policy = self._options.quarantine_policy
        if not policy:
            return "none"
        try:
            if self._restricted(user):
                return "attached before"
            self._iam(lambda iam: iam.attach_user_policy(UserName=user, PolicyArn=policy), "AttachUserPolicy")
        except GoneError:
            return "not attached: there is no such policy"
        except (AccessError, InputError) as error:
            return f"not attached: {error.reason}"
        return "attached"

    def _restricted(self, user: str) -> bool:
        policy = self._options.quarantine_policy
        listed = self._iam(lambda iam: iam.list_attached_user_policies(UserName=user), "ListAttachedUserPolicies")
        return any(one["PolicyArn"] == policy for one in listed["AttachedPolicies"])

    def _iam(self, operation: Callable[[Any], Any], needs: str) -> Any:
        return self._clients.call("iam", operation, f"iam:{needs}")

    def close(self) -> None:
        """Let go of connections."""
        self._clients.close()


def open_revoker(options: RevokerOptions, tools: Tools) -> Revoker:
    """Make it."""
    if not isinstance(options, Options):
        raise ConfigError("these are not options of AWS", place=options.name)
    return AwsRevoker(options)
