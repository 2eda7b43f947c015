"""The seal key from a key service: AWS KMS as moto plays it, and a field of a key/value engine of ours."""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from keysentry.errors import AccessError, ConfigError, GoneError, SourceError
from keysentry.model.sensitive import Sensitive
from keysentry.response.awsclient import AwsLogin
from keysentry.response.vault.hashicorp import Options
from keysentry.response.vault.keys import is_key_reference, seal_keys
from keysentry.store.sealing import Sealer
from tests.response.secrets_made import told_everywhere
from tests.servers.iam import iam
from tests.servers.kv2 import Entry, Kv2, kv2

pytestmark = pytest.mark.xdist_group("vaults")

LOCAL = "-".join(("local", "test"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with iam(tmp_path_factory.mktemp("moto")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def kms(address: str) -> Iterator[Any]:
    known = {"aws_access_key_id": LOCAL, "aws_secret_access_key": LOCAL, "region_name": "eu-central-1"}
    client = boto3.client("kms", endpoint_url=address, **known)
    yield client
    client.close()


def login(address: str) -> AwsLogin:
    key = Sensitive(LOCAL)
    return AwsLogin("eu-central-1", access_key_id=key, secret_access_key=key, base_url=address)


def test_data_keys_are_decrypted_in_their_order(kms: Any, address: str, caplog: pytest.LogCaptureFixture) -> None:
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    made = [kms.generate_data_key(KeyId=key, KeySpec="AES_256") for _ in range(2)]
    texts = [base64.b64encode(one["CiphertextBlob"]).decode() for one in made]
    with caplog.at_level(logging.DEBUG):
        keys = seal_keys(f"aws-kms:{texts[0]}, {texts[1]}", aws=login(address))
    assert keys == [one["Plaintext"] for one in made]
    Sealer(keys)
    for one in keys:
        assert base64.b64encode(one).decode() not in caplog.text
        assert one.hex() not in caplog.text


def test_what_kms_cannot_decrypt(kms: Any, address: str) -> None:
    with pytest.raises(AccessError):
        seal_keys(f"aws-kms:{base64.b64encode(os.urandom(200)).decode()}", aws=login(address))
    for bad in ("aws-kms:rubbish!", "aws-kms:", "aws-kms:,", "vault:secret/x", "vault:#x", "file:/x", "", "kms:x"):
        with pytest.raises(ConfigError):
            seal_keys(bad, aws=login(address))
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    short = kms.generate_data_key(KeyId=key, KeySpec="AES_128")["CiphertextBlob"]
    with pytest.raises(ConfigError, match="16 bytes"):
        seal_keys(f"aws-kms:{base64.b64encode(short).decode()}", aws=login(address))
    nobody = login("http://127.0.0.1:1")
    with pytest.raises(SourceError):
        seal_keys(f"aws-kms:{base64.b64encode(short).decode()}", aws=nobody)


@pytest.fixture
def engine() -> Iterator[tuple[Kv2, Options]]:
    with kv2() as (made, url):
        made.tokens[LOCAL] = ("ops/",)
        yield made, Options(name="vault", url=url, token=Sensitive(LOCAL))


def test_keys_are_read_from_a_field_of_a_vault(engine: tuple[Kv2, Options], caplog: pytest.LogCaptureFixture) -> None:
    service, options = engine
    new, old = os.urandom(32), os.urandom(32)
    service.entries["ops/seal"] = Entry([{"key": f"{new.hex()}\n{base64.b64encode(old).decode()}"}])
    with caplog.at_level(logging.DEBUG):
        assert seal_keys("vault:secret/ops/seal#key", vault=options) == [new, old]
    assert new.hex() not in caplog.text


def test_what_is_not_in_the_vault(engine: tuple[Kv2, Options]) -> None:
    service, options = engine
    with pytest.raises(GoneError):
        seal_keys("vault:secret/ops/seal#key", vault=options)
    service.entries["ops/seal"] = Entry([{"key": "not a key, 1234", "empty": ""}])
    with pytest.raises(GoneError):
        seal_keys("vault:secret/ops/seal#other", vault=options)
    with pytest.raises(ConfigError) as caught:
        seal_keys("vault:secret/ops/seal#key", vault=options)
    assert "not a key" not in told_everywhere(caught.value)
    with pytest.raises(ConfigError, match="empty"):
        seal_keys("vault:secret/ops/seal#empty", vault=options)
    with pytest.raises(ConfigError, match="mount"):
        seal_keys("vault:kv/ops/seal#key", vault=options)
    with pytest.raises(ConfigError, match="configured"):
        seal_keys("vault:secret/ops/seal#key")
    with pytest.raises(AccessError):
        seal_keys("vault:secret/else/seal#key", vault=options)


def test_which_references_are_a_key_service_s() -> None:
    assert is_key_reference("aws-kms:x")
    assert is_key_reference("vault:a/b#c")
    assert not is_key_reference("env:KEY")
    assert not is_key_reference("file:/x")
