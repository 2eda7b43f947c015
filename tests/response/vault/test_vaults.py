"""Vaults, each held to the same: a secret is kept once, read back, found after an interruption, and in no log.

HashiCorp: hvac against an engine of ours. AWS: boto3 against moto. Azure and Google: services of ours behind HTTPS;
Google's answers are held to its own description.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.exceptions import ClientError

from keysentry.errors import (
    AccessError,
    ConfigError,
    InputError,
    KeysentryError,
    SourceError,
)  # fmt: skip
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Vault
from keysentry.response.vault import aws, azure, google, hashicorp
from keysentry.response.vault.base import VaultOptions, VaultTools, flat
from keysentry.response.vault.table import open_vault, vault_kind
from tests.response.secrets_made import forged, holds, told_everywhere
from tests.servers.google_keys import GoogleCloud
from tests.servers.http_provider import Provider
from tests.servers.https import Answer, in_json
from tests.servers.iam import iam
from tests.servers.key_vault import KeyVault
from tests.servers.kv2 import Entry, Kv2, kv2
from tests.servers.providers import Providers

pytestmark = pytest.mark.xdist_group("vaults")

PATH = "inc_0123456789abcdef"
SECRET = Sensitive(forged("github.pat-classic"))
OTHER = Sensitive('another "secret"\nin two lines, é')
FACTS = {"incident": PATH, "rule": "github.pat-classic", "owner": "Ann <ann@acme.example>"}
TOKEN = "-".join(("local", "test", "token"))
LOCAL = "-".join(("local", "test"))


class Kept(NamedTuple):
    """A vault, and what is really in it: the versions of the entry of `PATH`, and how often it was written."""

    vault: Vault
    versions: Callable[[], list[str]]
    service: Any

    def count(self) -> int:
        return len(self.versions())


@pytest.fixture(scope="session")
def moto_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with iam(tmp_path_factory.mktemp("moto")) as port:
        yield port


@pytest.fixture
def engine() -> Iterator[tuple[Kv2, str]]:
    with kv2() as made:
        made[0].tokens[TOKEN] = ("keysentry/",)
        yield made


@pytest.fixture
def hashi(engine: tuple[Kv2, str], provider: Provider, running: Providers) -> Iterator[Kept]:
    service, url = engine
    vault = open_vault(hashicorp.Options(name="hashi", url=url, token=Sensitive(TOKEN)), VaultTools(running.outbound()))

    def versions() -> list[str]:
        entry = service.entries.get(f"keysentry/{PATH}", Entry())
        return [str((version or {}).get("value")) for version in entry.versions]

    yield Kept(vault, versions, service)
    vault.close()


@pytest.fixture
def amazon(moto_port: int, provider: Provider, running: Providers, request: pytest.FixtureRequest) -> Iterator[Kept]:
    address = f"http://127.0.0.1:{moto_port}"
    prefix = f"t{abs(hash(request.node.nodeid)):x}"
    known = {"aws_access_key_id": LOCAL, "aws_secret_access_key": LOCAL, "region_name": "eu-central-1"}
    client = boto3.client("secretsmanager", endpoint_url=address, **known)
    options = aws.Options(
        name="amazon",
        prefix=prefix,
        region="eu-central-1",
        base_url=address,
        access_key_id=Sensitive(LOCAL),
        secret_access_key=Sensitive(LOCAL),
    )
    vault = open_vault(options, VaultTools(running.outbound()))

    def versions() -> list[str]:
        try:
            listed = client.list_secret_version_ids(SecretId=f"{prefix}/{PATH}", IncludeDeprecated=True)["Versions"]
        except ClientError:
            return []
        ids = [one["VersionId"] for one in sorted(listed, key=lambda one: "AWSCURRENT" in one.get("VersionStages", ()))]
        return [client.get_secret_value(SecretId=f"{prefix}/{PATH}", VersionId=one)["SecretString"] for one in ids]

    yield Kept(vault, versions, (client, f"{prefix}/{PATH}"))
    vault.close()
    client.close()


@pytest.fixture
def microsoft(provider: Provider, running: Providers) -> Kept:
    provider.entra_clients = {"us": TOKEN}
    service = KeyVault(provider)
    running.server.answer = service.answer
    options = azure.Options(
        name="microsoft",
        url="https://acme.vault.azure.net/",
        tenant="acme",
        client_id="us",
        client_secret=Sensitive(TOKEN),
    )
    name = flat(options.path(PATH), "0-9A-Za-z-", 127)
    return Kept(
        open_vault(options, VaultTools(running.outbound())),
        lambda: [one["value"] for one in service.secrets.get(name, [])],
        service,
    )


@pytest.fixture
def cloud(provider: Provider, running: Providers) -> Kept:
    service = GoogleCloud()
    running.server.answer = service.answer
    key = Sensitive(service.key("keysentry").json)
    options = google.Options(name="cloud", project="acme", credentials=key)
    name = f"projects/acme/secrets/{flat(options.path(PATH), '0-9A-Za-z_-', 255)}"
    return Kept(
        open_vault(options, VaultTools(running.outbound())),
        lambda: [one.decode() for one in service.secrets.get(name, [])],
        service,
    )


@pytest.fixture(params=["hashi", "amazon", "microsoft", "cloud"])
def kept(request: pytest.FixtureRequest) -> Kept:
    found: Kept = request.getfixturevalue(request.param)
    return found


def fault_of(call: Callable[[], object], kind: type[KeysentryError]) -> KeysentryError:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    for secret in (SECRET.reveal(), TOKEN, LOCAL):
        assert not holds(told_everywhere(caught.value), secret)
    return caught.value


def test_a_secret_is_kept_once_and_read_back(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert kept.vault.kept(PATH, SECRET) is None
        receipt = kept.vault.put(PATH, SECRET, FACTS)
        again = kept.vault.put(PATH, SECRET, FACTS)
        found = kept.vault.kept(PATH, SECRET)
        assert kept.vault.kept(PATH, OTHER) is None
    assert (receipt.outcome, receipt.evidence["read back"]) == ("done", "equal")
    assert again.outcome == "already"
    assert found is not None
    assert found.evidence["version"] == receipt.evidence["version"]
    assert kept.versions() == [SECRET.reveal()]
    assert kept.vault.reference(PATH) in receipt.note
    for secret in (SECRET.reveal(), TOKEN):
        assert not holds(f"{receipt!r}{again!r}{found!r}{caplog.text}", secret)


def test_another_secret_in_its_place_is_a_new_version(kept: Kept) -> None:
    kept.vault.put(PATH, SECRET, FACTS)
    assert kept.vault.put(PATH, OTHER, FACTS).outcome == "done"
    assert kept.versions() == [SECRET.reveal(), OTHER.reveal()]
    assert kept.vault.kept(PATH, OTHER) is not None
    assert kept.vault.kept(PATH, SECRET) is None


@pytest.mark.parametrize("path", ["../x", "a//b", "", "a b", "a\nb", "a/../b", "a?b", "a#b", "./a", "x" * 200])
def test_a_path_cannot_lead_elsewhere(path: str, kept: Kept) -> None:
    fault_of(lambda: kept.vault.put(path, SECRET, {}), InputError)
    fault_of(lambda: kept.vault.reference(path), InputError)
    assert kept.count() == 0


def test_references_are_known_beforehand_and_are_one_a_path(kept: Kept) -> None:
    paths = ["inc_1", "inc-1", "inc/1", "inc.1"]
    assert len({kept.vault.reference(path) for path in paths}) == len(paths)


# -- HashiCorp ---------------------------------------------------------------------------------------------------------


def test_hashicorp_other_fields_of_the_entry_stay(hashi: Kept) -> None:
    hashi.service.entries[f"keysentry/{PATH}"] = Entry([{"note": "mine"}])
    receipt = hashi.vault.put(PATH, SECRET, FACTS)
    entry = hashi.service.entries[f"keysentry/{PATH}"]
    assert entry.versions[-1] == {"note": "mine", "value": SECRET.reveal()}
    assert (entry.metadata, receipt.evidence["facts"]) == (FACTS, "written")
    assert hashi.vault.reference(PATH) == f"vault:secret/keysentry/{PATH}#value"


def test_hashicorp_a_deleted_entry_is_written_anew(hashi: Kept) -> None:
    hashi.service.entries[f"keysentry/{PATH}"] = Entry([{"value": "x"}, None])
    assert hashi.vault.put(PATH, SECRET, {}).evidence["version"] == "3"


def test_hashicorp_nothing_of_another_is_lost(hashi: Kept) -> None:
    hashi.vault.put(PATH, OTHER, {})
    hashi.service.raced = {"value": "of another"}
    fault_of(lambda: hashi.vault.put(PATH, SECRET, {}), SourceError)
    assert hashi.versions() == [OTHER.reveal(), "of another"]
    assert hashi.vault.put(PATH, SECRET, {}).outcome == "done"


def test_hashicorp_after_an_interruption(hashi: Kept) -> None:
    hashi.service.after = True
    fault_of(lambda: hashi.vault.put(PATH, SECRET, {}), SourceError)
    assert hashi.vault.kept(PATH, SECRET) is not None
    assert hashi.vault.put(PATH, SECRET, {}).outcome == "already"
    assert hashi.versions() == [SECRET.reveal()]


def test_hashicorp_without_permission_sealed_or_gone(hashi: Kept, engine: tuple[Kv2, str]) -> None:
    hashi.service.tokens[TOKEN] = ("elsewhere/",)
    fault = fault_of(lambda: hashi.vault.put(PATH, SECRET, {}), AccessError)
    assert f"secret/data/keysentry/{PATH}" in fault.advice
    hashi.service.tokens[TOKEN] = ("keysentry/",)
    hashi.service.sealed = True
    fault_of(lambda: hashi.vault.put(PATH, SECRET, {}), SourceError)
    nowhere = hashicorp.HashicorpVault(
        hashicorp.Options(name="v", url="http://127.0.0.1:1", token=Sensitive(TOKEN), seconds=2)
    )
    fault_of(lambda: nowhere.put(PATH, SECRET, {}), SourceError)
    nowhere.close()


def test_hashicorp_the_secret_is_kept_though_facts_may_not_be_written(engine: tuple[Kv2, str]) -> None:
    service, url = engine
    service.tokens[TOKEN] = ("closed/",)
    vault = hashicorp.HashicorpVault(hashicorp.Options(name="v", url=url, prefix="closed", token=Sensitive(TOKEN)))
    assert vault.put(PATH, SECRET, FACTS).evidence["facts"] == "not written"
    vault.close()


def test_hashicorp_an_approle_logs_in_and_again_when_its_token_has_ended(engine: tuple[Kv2, str]) -> None:
    service, url = engine
    service.approles[("role", LOCAL)] = "first"
    service.tokens["first"] = ("keysentry/",)
    options = hashicorp.Options(name="v", url=url, role_id="role", secret_id=Sensitive(LOCAL), namespace="")
    vault = hashicorp.HashicorpVault(options)
    vault.put(PATH, SECRET, {})
    del service.tokens["first"]
    service.approles[("role", LOCAL)] = "second"
    service.tokens["second"] = ("keysentry/",)
    assert vault.kept(PATH, SECRET) is not None
    service.tokens.clear()
    fault_of(lambda: vault.kept(PATH, SECRET), AccessError)
    service.approles.clear()
    vault.close()
    fault_of(lambda: vault.kept(PATH, SECRET), InputError)
    vault.close()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"url": "http://vault.acme.example:8200"},
        {"url": "https://vault.acme.example", "token": None},
        {"url": "https://vault.acme.example", "token": None, "role_id": "x"},
        {"url": "https://vault.acme.example", "mount": "../sys"},
    ],
)
def test_hashicorp_settings_that_do_not_fit_together(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        hashicorp.Options(name="v", **{"token": Sensitive("x"), **more}).check()


# -- AWS ---------------------------------------------------------------------------------------------------------------


def test_aws_facts_are_tags_and_a_request_that_comes_twice_makes_one_version(amazon: Kept) -> None:
    client, name = amazon.service
    amazon.vault.put(PATH, SECRET, FACTS)
    tags = {one["Key"]: one["Value"] for one in client.describe_secret(SecretId=name)["Tags"]}
    assert tags == {**FACTS, "owner": "Ann -ann@acme.example-"}
    assert amazon.vault.reference(PATH) == f"aws-secretsmanager:{name}"


def test_aws_an_entry_that_is_to_be_deleted_is_said_so(amazon: Kept) -> None:
    client, name = amazon.service
    amazon.vault.put(PATH, SECRET, FACTS)
    client.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    assert "restore" in fault_of(lambda: amazon.vault.put(PATH, OTHER, {}), InputError).advice


def test_aws_bytes_are_kept_as_they_are(amazon: Kept) -> None:
    client, name = amazon.service
    amazon.vault.put(PATH, Sensitive(b"\xff\x00"), {})
    assert client.get_secret_value(SecretId=name)["SecretBinary"] == b"\xff\x00"
    assert amazon.vault.kept(PATH, Sensitive(b"\xff\x00")) is not None


def test_aws_without_permission(tmp_path_factory: pytest.TempPathFactory) -> None:
    with iam(tmp_path_factory.mktemp("strict"), 0) as port:
        options = aws.Options(
            name="amazon",
            region="eu-central-1",
            base_url=f"http://127.0.0.1:{port}",
            access_key_id=Sensitive(LOCAL),
            secret_access_key=Sensitive(LOCAL),
        )
        vault = aws.AwsVault(options)
        fault = fault_of(lambda: vault.put(PATH, SECRET, {}), AccessError)
        assert "secretsmanager:GetSecretValue" in fault.advice
        vault.close()


# -- Azure and Google --------------------------------------------------------------------------------------------------


def test_azure_facts_are_tags_and_a_deleted_name_is_said_so(microsoft: Kept) -> None:
    microsoft.vault.put(PATH, SECRET, FACTS)
    (name,) = microsoft.service.secrets
    assert microsoft.service.secrets[name][0]["tags"] == FACTS
    assert microsoft.vault.reference(PATH) == f"azure-keyvault:acme.vault.azure.net/{name}"
    microsoft.service.deleted.add(name)
    assert "deleted" in fault_of(lambda: microsoft.vault.put(PATH, OTHER, {}), InputError).advice


def test_azure_after_an_interruption(microsoft: Kept) -> None:
    microsoft.service.after = True
    microsoft.service.failures = []
    assert microsoft.vault.put(PATH, SECRET, {}).outcome == "done"
    microsoft.service.failures = [in_json({}), Answer(503), Answer(503), Answer(503)]
    fault_of(lambda: microsoft.vault.put(PATH, OTHER, {}), SourceError)
    assert microsoft.vault.kept(PATH, SECRET) is not None


def test_azure_without_permission(microsoft: Kept) -> None:
    microsoft.service.failures = [in_json({"error": {"code": "Forbidden"}}, 403)]
    assert "Secrets Officer" in fault_of(lambda: microsoft.vault.put(PATH, SECRET, {}), AccessError).advice


def test_google_facts_are_labels(cloud: Kept) -> None:
    cloud.vault.put(PATH, SECRET, FACTS)
    (labels,) = cloud.service.labels.values()
    assert labels == {
        "made-by": "keysentry",
        "incident": PATH,
        "rule": "github-pat-classic",
        "owner": "ann--ann-acme-example-",
    }
    assert cloud.vault.reference(PATH).startswith("google-secretmanager:projects/acme/secrets/")


def test_google_after_an_interruption(cloud: Kept) -> None:
    cloud.service.after = True
    assert cloud.vault.put(PATH, SECRET, {}).outcome == "done"
    assert cloud.versions() == [SECRET.reveal()]
    assert cloud.service.changes["create"] == 1


def test_google_without_permission_and_with_what_is_too_large(cloud: Kept) -> None:
    cloud.service.failures = [in_json({"error": {"status": "PERMISSION_DENIED"}}, 403)]
    fault_of(lambda: cloud.vault.put(PATH, SECRET, {}), AccessError)
    fault_of(lambda: cloud.vault.put(PATH, Sensitive(b"x" * 65537), {}), InputError)


def test_google_crc32c() -> None:
    """The examples of RFC 3720, appendix B.4."""
    assert google.crc32c(bytes(32)) == 0x8A9136AA
    assert google.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert google.crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize(
    "options", [azure.Options(name="a", url="http://x"), azure.Options(name="a"), google.Options(name="g")]
)
def test_settings_that_are_missing(options: VaultOptions, running: Providers) -> None:
    with pytest.raises(ConfigError, match="missing"):
        open_vault(options, VaultTools(running.outbound()))
    with pytest.raises(ConfigError, match="one of"):
        vault_kind("none")
