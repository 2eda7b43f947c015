"""SDKs write requests and answers to their debug logs. With everything logged, in a new process whose first call it is,
no secret may be in it; and what the SDKs log elsewhere is not lost.
"""

from __future__ import annotations

import base64
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import boto3
import pytest

from keysentry.response.quiet import quiet
from tests.response.secrets_made import forged, holds
from tests.servers.iam import iam
from tests.servers.kv2 import kv2

pytestmark = pytest.mark.xdist_group("vaults")

LOCAL = "-".join(("local", "test"))
SECRET = forged("github.pat-classic", 77)

BEGIN = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
from keysentry.model.sensitive import Sensitive
secret, url = Sensitive(sys.stdin.readline().strip()), sys.argv[1]
local = Sensitive("-".join(("local", "test")))
login = dict(region="eu-central-1", base_url=url, access_key_id=local, secret_access_key=local)
"""
AWS = """
from keysentry.response.vault.aws import AwsVault, Options
vault = AwsVault(Options(name="x", **login))
print(vault.put("inc_9", secret, {"rule": "x"}).outcome, vault.kept("inc_9", secret).outcome)
"""
HASHICORP = """
from keysentry.response.vault.hashicorp import HashicorpVault, Options
vault = HashicorpVault(Options(name="x", url=url, token=local))
print(vault.put("inc_9", secret, {"rule": "x"}).outcome, vault.kept("inc_9", secret).outcome)
"""
KMS = """
from keysentry.response.awsclient import AwsLogin
from keysentry.response.vault.keys import seal_keys
print("done already", len(seal_keys("aws-kms:" + secret.reveal(), aws=AwsLogin(**login))))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with iam(tmp_path_factory.mktemp("moto")) as port:
        yield f"http://127.0.0.1:{port}"


def said(program: str, url: str, secret: str) -> str:
    """All that a new process writes, which gets the secret on its input."""
    command = [sys.executable, "-W", "ignore", "-c", BEGIN + program, url]
    done = subprocess.run(command, input=secret, capture_output=True, text=True, timeout=60)
    assert "done already" in done.stdout, done.stderr
    return done.stdout + done.stderr


def test_aws_secrets_manager(address: str) -> None:
    assert not holds(said(AWS, address, SECRET), SECRET)


def test_hashicorp() -> None:
    with kv2() as (engine, url):
        engine.tokens[LOCAL] = ("keysentry/",)
        told = said(HASHICORP, url, SECRET)
    assert not holds(told, SECRET)
    assert LOCAL not in told


def test_aws_kms(address: str) -> None:
    known = {"aws_access_key_id": LOCAL, "aws_secret_access_key": LOCAL, "region_name": "eu-central-1"}
    client = boto3.client("kms", endpoint_url=address, **known)
    key = client.create_key()["KeyMetadata"]["KeyId"]
    made = client.generate_data_key(KeyId=key, KeySpec="AES_256")
    client.close()
    told = said(KMS, address, base64.b64encode(made["CiphertextBlob"]).decode())
    assert base64.b64encode(made["Plaintext"]).decode() not in told


def test_only_this_thread_is_silent_and_only_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("botocore.endpoint")
    with caplog.at_level(logging.DEBUG):
        log.debug("before")
        with quiet():
            log.debug("meanwhile")
            with quiet():
                log.debug("within")
            log.info("meanwhile as well")
            log.warning("a warning")
            other = threading.Thread(target=log.debug, args=("elsewhere",))
            other.start()
            other.join()
        log.debug("after")
    assert [record.getMessage() for record in caplog.records] == ["before", "a warning", "elsewhere", "after"]
