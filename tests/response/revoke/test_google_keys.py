"""Keys of service accounts: found by their public half and disabled, against an IAM of ours whose answers are held to
Google's own description of the interface.
"""

from __future__ import annotations

import logging

import pytest

from keysentry.errors import AccessError, ConfigError, GoneError, InputError, UnclearError
from keysentry.model.action import Credential
from keysentry.model.sensitive import Sensitive
from keysentry.response.revoke import google
from keysentry.response.revoke.base import Tools
from keysentry.response.revoke.table import open_revoker
from tests.response.secrets_made import credential, holds, told_everywhere
from tests.servers.google_keys import GoogleCloud, Key
from tests.servers.http_provider import Provider
from tests.servers.https import Answer, in_json
from tests.servers.providers import Providers

pytestmark = pytest.mark.xdist_group("https")

KEY = "act_1"


def found(key: Key) -> Credential:
    """A key as it is found in a file: with line ends as JSON writes them."""
    return credential("google.service-account-key", key.pem.strip().replace("\n", "\\n"))


@pytest.fixture
def cloud(running: Providers, provider: Provider) -> GoogleCloud:
    made = GoogleCloud()
    running.server.answer = made.answer
    return made


def revoker(cloud: GoogleCloud, tools: Tools, **more: object) -> google.GoogleRevoker:
    own = cloud.key("keysentry")
    options = google.Options(name="gcp", credentials=Sensitive(own.json), **{"projects": ("acme",), **more})  # type: ignore[arg-type]
    made = open_revoker(options, tools)
    assert isinstance(made, google.GoogleRevoker)
    return made


def test_the_key_with_the_same_public_half_is_disabled_and_no_other(
    cloud: GoogleCloud, tools: Tools, caplog: pytest.LogCaptureFixture
) -> None:
    first, leaked, last = cloud.key("alpha"), cloud.key("beta"), cloud.key("beta")
    one = revoker(cloud, tools)
    with caplog.at_level(logging.DEBUG):
        assert one.revoked(found(leaked), KEY) is None
        receipt = one.revoke(found(leaked), KEY)
    assert (receipt.outcome, receipt.evidence) == ("done", {"key": leaked.name, "read back": "disabled"})
    assert (first.disabled, leaked.disabled, last.disabled) == (False, True, False)
    assert one.revoked(found(leaked), KEY) is not None
    assert one.revoke(found(leaked), KEY).outcome == "already"
    assert cloud.changes == {f"disable {leaked.id}": 1}
    lines = [line for line in leaked.pem.splitlines() if len(line) == 64]
    assert not any(holds(f"{receipt!r}{caplog.text}", line) for line in lines)


def test_after_an_interruption_nothing_is_done_twice(cloud: GoogleCloud, tools: Tools) -> None:
    leaked = cloud.key("alpha")
    one = revoker(cloud, tools, projects=(), accounts=(leaked.account,))
    cloud.after = True
    with pytest.raises(UnclearError):
        one.revoke(found(leaked), KEY)
    assert one.revoked(found(leaked), KEY) is not None
    assert cloud.changes == {f"disable {leaked.id}": 1}


def test_a_key_of_others_is_left_alone(cloud: GoogleCloud, tools: Tools) -> None:
    other = GoogleCloud(first=10).key("alpha")
    cloud.key("alpha")
    with pytest.raises(InputError) as caught:
        revoker(cloud, tools).revoke(found(other), KEY)
    assert "projects" in caught.value.advice
    assert not cloud.changes
    assert not any(line in told_everywhere(caught.value) for line in other.pem.splitlines()[1:-1])
    with pytest.raises(InputError):
        revoker(cloud, tools).revoke(credential("google.service-account-key", "-----BEGIN PRIVATE KEY-----\\nx"), KEY)


def test_what_our_own_credential_lacks_is_named(cloud: GoogleCloud, tools: Tools) -> None:
    leaked = cloud.key("alpha")
    one = revoker(cloud, tools)
    cloud.failures = [in_json({"error": {"status": "PERMISSION_DENIED"}}, 403)]
    with pytest.raises(AccessError) as caught:
        one.revoke(found(leaked), KEY)
    assert "iam.serviceAccountKeys" in caught.value.advice
    cloud.failures = [Answer(404)]
    with pytest.raises(GoneError):
        one.revoke(found(leaked), KEY)


def test_our_own_credential_is_dead_or_none(cloud: GoogleCloud, tools: Tools) -> None:
    leaked = cloud.key("alpha")
    one = revoker(cloud, tools)
    cloud.keys[-1].disabled = True
    with pytest.raises(AccessError) as caught:
        one.revoke(found(leaked), KEY)
    assert not any(line in told_everywhere(caught.value) for line in cloud.keys[-1].pem.splitlines()[1:-1])
    for rubbish in ("{}", "rubbish", '{"type": "service_account"}', "[]"):
        options = google.Options(name="gcp", projects=("acme",), credentials=Sensitive(rubbish))
        with pytest.raises((ConfigError, AccessError)) as told:
            open_revoker(options, tools).revoke(found(leaked), KEY)
        assert "rubbish" not in told_everywhere(told.value)


def test_without_projects_it_takes_tokens_only(provider: Provider, tools: Tools) -> None:
    one = google.GoogleRevoker(google.Options(name="gcp"), tools.outbound)
    assert not one.accepts(credential("google.service-account-key", "x"))
    assert one.accepts(credential("google.oauth-access-token"))
