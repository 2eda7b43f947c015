"""Access keys of IAM users, against moto. AWS's own policy for leaked keys, which moto lacks, is one of the test's."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import boto3
import pytest

from keysentry.errors import AccessError, ConfigError, InputError, SourceError
from keysentry.model.action import Credential
from keysentry.model.sensitive import Sensitive
from keysentry.response.revoke import aws
from tests.response.secrets_made import credential, forged, told_everywhere
from tests.servers.iam import ACCOUNT, iam

pytestmark = pytest.mark.xdist_group("iam")

KEY = "act_1"
DAY = 86400.0
OUR_KEY = "".join(("local", "-", "test"))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with iam(tmp_path_factory.mktemp("moto")) as port:
        yield f"http://127.0.0.1:{port}"


class Account(NamedTuple):
    """The account in moto, and a policy that stands for AWS's own."""

    iam: Any
    url: str
    policy: str

    def leaked(self, user: str) -> tuple[Credential, str]:
        """A new user's key, as it is found."""
        self.iam.create_user(UserName=user)
        key = self.iam.create_access_key(UserName=user)["AccessKey"]
        return credential("aws.access-key", key["SecretAccessKey"], id=key["AccessKeyId"]), key["AccessKeyId"]

    def status(self, user: str) -> list[str]:
        return [one["Status"] for one in self.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]]

    def policies(self, user: str) -> list[str]:
        listed = self.iam.list_attached_user_policies(UserName=user)["AttachedPolicies"]
        return [one["PolicyArn"] for one in listed]

    def revoker(self, now: list[float] | None = None, **more: Any) -> aws.AwsRevoker:
        settings = {"quarantine_policy": self.policy, **more}
        options = aws.Options(
            name="aws",
            base_url=self.url,
            access_key_id=Sensitive(OUR_KEY),
            secret_access_key=Sensitive(OUR_KEY),
            **settings,
        )
        return aws.AwsRevoker(options, lambda: now[0] if now else 1_700_000_000.0)


@pytest.fixture(scope="module")
def account(url: str) -> Iterator[Account]:
    known = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "us-east-1"}
    client = boto3.client("iam", endpoint_url=url, **known)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]}
    made = client.create_policy(PolicyName="Quarantine", PolicyDocument=json.dumps(document))
    yield Account(client, url, made["Policy"]["Arn"])
    client.close()


def test_a_key_is_deactivated_once_and_its_user_restricted(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    known, key_id = account.leaked("ann")
    revoker = account.revoker()
    with caplog.at_level(logging.DEBUG):
        assert revoker.revoked(known, KEY) is None
        receipt = revoker.revoke(known, KEY)
    assert (receipt.outcome, receipt.evidence) == ("done", {"user": "ann", "policy": "attached", "status": "Inactive"})
    assert account.status("ann") == ["Inactive"]
    assert account.policies("ann") == [account.policy]
    assert revoker.revoked(known, KEY) is not None
    again = revoker.revoke(known, KEY)
    assert (again.outcome, again.evidence["policy"]) == ("already", "attached before")
    assert known.secret.reveal() not in f"{receipt!r}{again!r}{caplog.text}"
    assert key_id not in caplog.text
    revoker.close()


def test_only_the_key_that_leaked_is_touched(account: Account) -> None:
    known, key_id = account.leaked("bob")
    other = account.iam.create_access_key(UserName="bob")["AccessKey"]["AccessKeyId"]
    account.revoker().revoke(known, KEY)
    listed = account.iam.list_access_keys(UserName="bob")["AccessKeyMetadata"]
    assert {one["AccessKeyId"]: one["Status"] for one in listed} == {key_id: "Inactive", other: "Active"}


def test_without_a_day_to_wait_it_is_deleted_at_once(account: Account) -> None:
    known, _ = account.leaked("cat")
    revoker = account.revoker(delete_after=0.0)
    assert revoker.revoke(known, KEY).note == "the access key of cat is deleted"
    assert account.status("cat") == []
    assert revoker.revoked(known, KEY) is not None
    assert revoker.revoke(known, KEY).outcome == "already"


def test_it_is_deleted_when_it_was_inactive_for_long_enough(account: Account) -> None:
    known, key_id = account.leaked("dan")
    now = [1_700_000_000.0]
    revoker = account.revoker(now, delete_after=7 * DAY)
    receipt = revoker.revoke(known, KEY)
    assert receipt.evidence["deletion due"] == "2023-11-21T22:13:20+00:00"
    tags = account.iam.list_user_tags(UserName="dan")["Tags"]
    assert tags == [{"Key": f"keysentry-deactivated-{key_id}", "Value": "1700000000"}]
    now[0] += 6 * DAY
    assert revoker.revoke(known, KEY).outcome == "already"
    assert account.status("dan") == ["Inactive"]
    now[0] += 2 * DAY
    assert revoker.revoke(known, KEY).outcome == "done"
    assert account.status("dan") == []
    assert account.iam.list_user_tags(UserName="dan")["Tags"] == []


def test_interrupted_between_two_steps_it_goes_on(account: Account) -> None:
    known, key_id = account.leaked("eve")
    account.iam.update_access_key(UserName="eve", AccessKeyId=key_id, Status="Inactive")
    revoker = account.revoker()
    assert revoker.revoked(known, KEY) is None
    assert revoker.revoke(known, KEY).evidence["policy"] == "attached"
    assert revoker.revoked(known, KEY) is not None


def test_a_policy_that_is_missing_does_not_stop_it(account: Account) -> None:
    known, _ = account.leaked("fay")
    receipt = account.revoker(quarantine_policy=aws.QUARANTINE).revoke(known, KEY)
    assert receipt.evidence["policy"] == "not attached: there is no such policy"
    assert account.status("fay") == ["Inactive"]


def test_a_key_of_another_account_is_left_alone(account: Account) -> None:
    known = credential("aws.access-key", "x" * 40, id=forged("aws.access-key", 9))
    with pytest.raises(InputError) as caught:
        account.revoker().revoke(known, KEY)
    assert "not yours" in str(caught.value)
    assert "x" * 40 not in told_everywhere(caught.value)
    mine, _ = account.leaked("gil")
    with pytest.raises(InputError, match=ACCOUNT):
        account.revoker(accounts=("210987654321",)).revoke(mine, KEY)
    assert account.status("gil") == ["Active"]
    assert account.revoker(accounts=(ACCOUNT,)).revoke(mine, KEY).outcome == "done"


def test_a_key_without_its_id_and_one_that_was_deleted(account: Account) -> None:
    with pytest.raises(InputError, match="id"):
        account.revoker().revoke(credential("aws.access-key", "x" * 40), KEY)
    known, key_id = account.leaked("hal")
    account.iam.delete_access_key(UserName="hal", AccessKeyId=key_id)
    assert account.revoker().revoke(known, KEY).outcome == "already"
    assert account.revoker().revoked(known, KEY) is not None


def test_the_id_alone_is_enough(account: Account) -> None:
    _, key_id = account.leaked("ida")
    assert account.revoker().revoke(credential("aws.access-key", key_id), KEY).outcome == "done"


def test_what_is_missing_on_our_side_is_named(account: Account, tmp_path_factory: pytest.TempPathFactory) -> None:
    known, _ = account.leaked("jan")
    with iam(tmp_path_factory.mktemp("strict"), 0) as port:
        strict = Account(account.iam, f"http://127.0.0.1:{port}", account.policy)
        with pytest.raises(AccessError) as caught:
            strict.revoker(accounts=(ACCOUNT,)).revoke(known, KEY)
        assert "iam:GetAccessKeyLastUsed" in caught.value.advice
    with pytest.raises(SourceError) as gone:
        strict.revoker(accounts=(ACCOUNT,)).revoke(known, KEY)
    assert OUR_KEY not in told_everywhere(gone.value) + told_everywhere(caught.value)
    with pytest.raises(ConfigError):
        aws.AwsRevoker(aws.Options(name="aws", access_key_id=Sensitive("x")))
