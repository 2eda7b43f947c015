"""Signing in with an app's secret, and what the client does with tokens and connections.

azure-identity is real; Entra is played by `tests/servers/entra.py`, Graph by `tests/servers/graph.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keysentry.connectors.microsoft import Options
from keysentry.connectors.microsoft.faults import LicenceError, PaymentError, fault, permission, retry_after
from keysentry.connectors.microsoft.source import MicrosoftSource
from keysentry.connectors.pace import Refused
from keysentry.errors import AccessError, SourceError
from keysentry.model.sensitive import Sensitive
from tests.connectors.microsoft.world import Waits, World, records, unit_of, units
from tests.servers.entra import APP, EntraServer, entra
from tests.servers.graph import EVERYTHING, GraphServer
from tests.servers.graph_state import TENANT

pytestmark = pytest.mark.xdist_group("graph")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntraServer]:
    with entra(tmp_path) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.bundle))
        yield server


@pytest.fixture
def signed_in(server: GraphServer, place: World, directory: EntraServer, waits: Waits) -> Iterator[MicrosoftSource]:
    """A source that signs in with an app's secret."""
    server.permissions = {"token-1": EVERYTHING}
    source = MicrosoftSource(_options(server, directory), waits.pace)
    yield source
    source.close()


def _options(server: GraphServer, directory: EntraServer, **changed: object) -> Options:
    told: dict[str, object] = {
        "name": "m365",
        "tenant_id": TENANT,
        "client_id": APP,
        "client_secret": Sensitive("a-local-secret"),
        "authority": directory.url,
        "base_url": server.url,
        "per_second": 0.0,
        "teams": True,
    }
    return Options(**(told | changed))  # type: ignore[arg-type]


def test_signs_in_with_the_secret_and_asks_for_one_token(signed_in: MicrosoftSource, directory: EntraServer) -> None:
    unit = unit_of(signed_in, "teams/")
    assert len(records(list(signed_in.records(unit, None)))) == 7
    assert directory.asked == ["https://graph.microsoft.com/.default"]


def test_a_token_that_ended_early_is_replaced(
    signed_in: MicrosoftSource, directory: EntraServer, server: GraphServer
) -> None:
    before = units(signed_in)
    server.permissions = {"token-2": EVERYTHING}
    directory.token = "token-2"
    assert units(signed_in) == before
    assert len(directory.asked) == 2


def test_a_token_service_that_is_busy_is_asked_again(
    signed_in: MicrosoftSource, directory: EntraServer, waits: Waits
) -> None:
    directory.unavailable = 2
    assert units(signed_in)
    assert len(waits.seconds) == 2


def test_a_wrong_secret_is_named_and_mended_without_a_restart(
    signed_in: MicrosoftSource, directory: EntraServer
) -> None:
    directory.secret = "another-secret"
    with pytest.raises(AccessError, match="AADSTS7000215") as caught:
        list(signed_in.units())
    assert "AZURE_CLIENT_SECRET" in caught.value.advice
    assert "a-local-secret" not in str(caught.value)
    directory.secret = "a-local-secret"
    assert units(signed_in)


@pytest.mark.parametrize(
    ("changed", "told", "advice"),
    [
        ({"client_id": "another"}, "AADSTS700016", "AZURE_CLIENT_ID"),
        ({"tenant_id": "another"}, "another", "AZURE_TENANT_ID"),
        ({"tenant_id": "not a tenant!"}, "tenant", "AZURE_TENANT_ID"),
    ],
)
def test_a_wrong_id_is_named(
    changed: dict[str, object], told: str, advice: str, server: GraphServer, directory: EntraServer, waits: Waits
) -> None:
    source = MicrosoftSource(_options(server, directory, **changed), waits.pace)
    with pytest.raises(AccessError, match=told) as caught:
        list(source.units())
    assert advice in caught.value.advice
    source.close()


def test_an_unreachable_token_service_is_no_fault_of_the_secret(
    server: GraphServer, directory: EntraServer, waits: Waits
) -> None:
    source = MicrosoftSource(_options(server, directory, authority="https://127.0.0.1:9"), waits.pace)
    with pytest.raises(SourceError, match="Entra gives no token") as caught:
        list(source.units())
    assert not isinstance(caught.value, AccessError)
    source.close()
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("microsoft") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_unreachable_graph_is_a_passing_fault(waits: Waits) -> None:
    options = Options(name="m365", token=Sensitive("x"), base_url="http://127.0.0.1:9", teams=True)
    source = MicrosoftSource(options, waits.pace)
    with pytest.raises(SourceError, match=r"the connection broke \(ConnectError: .*\) \(6 tries\)"):
        list(source.units())
    source.close()


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, waits: Waits) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:9")
    source = MicrosoftSource(Options(name="m365", token=Sensitive("x"), teams=True), waits.pace)
    with pytest.raises(SourceError, match="no connection can be prepared"):
        list(source.units())
    source.close()


def test_the_package_brings_no_sdk_until_a_source_is_used() -> None:
    code = (
        "import sys, keysentry.connectors.microsoft as m; m.target_options('teams:'); "
        "print([name for name in ('msgraph', 'kiota_http', 'httpx', 'azure', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_answers_that_are_no_success_are_told_apart() -> None:
    def of(status: int, body: bytes = b"", **headers: str) -> Exception:
        return fault(status, {k.replace("_", "-"): v for k, v in headers.items()}, body, "/chats/1/messages", "mend it")

    busy = of(429, b'{"error": {"code": "TooManyRequests", "message": "slow\\ndown"}}', retry_after="12")
    assert isinstance(busy, Refused)
    assert busy.after == 12.0
    assert busy.reason == "Microsoft Graph answers 429 TooManyRequests: slow down"
    assert str(of(403)) == (
        "Microsoft Graph: /chats/1/messages may not be read (403) "
        "(give the app the application permission Chat.Read.All, with admin consent)"
    )
    assert str(of(401, b'{"error": {"code": "X", "message": null}}')).endswith("(401 X) (mend it)")
    assert "503" in str(of(503, b"<html>busy</html>"))


@pytest.mark.parametrize(
    ("said", "kind", "advice"),
    [
        ("...needs a valid license to access this API...", LicenceError, "Microsoft Communications DLP"),
        ("...tenant needs a valid license to access this API...", PaymentError, "Microsoft Communications DLP"),
        ("...evaluation mode capacity has been exceeded...", PaymentError, 'set teams_export to "A" or "B"'),
        ("...the app must be associated with an Azure subscription...", PaymentError, "metered-api-setup"),
        ("...query parameter 'model' does not support value 'B'...", PaymentError, 'set teams_export to "A"'),
        ("something new", LicenceError, "teams-licenses"),
    ],
)
def test_what_a_402_asks_for(said: str, kind: type[AccessError], advice: str) -> None:
    """The messages of https://learn.microsoft.com/en-us/graph/teams-licenses#payment-related-errors"""
    body = json.dumps({"error": {"code": "PaymentRequired", "message": said}}).encode()
    found = fault(402, {}, body, "/users/1/chats/getAllMessages", "")
    assert type(found) is kind
    assert isinstance(found, AccessError)
    assert advice in found.advice


@pytest.mark.parametrize(
    ("header", "seconds"), [("5", 5.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None), ("", None), (None, None)]
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header) == seconds


def test_retry_after_a_date_in_the_future() -> None:
    assert (retry_after("Wed, 25 Nov 2099 07:28:00 GMT") or 0) > 1e9
    assert retry_after("Wed, 25 Nov 2015 07:28:00 GMT") == 0.0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/teams", "Team.ReadBasic.All"),
        ("/teams/1/channels", "Channel.ReadBasic.All"),
        ("/teams/1/channels/getAllMessages", "ChannelMessage.Read.All"),
        ("/teams/1/channels/getallMessages", "ChannelMessage.Read.All"),
        ("/users/1/chats/getAllMessages", "Chat.Read.All"),
        ("/teams/1/channels/2/messages/delta()", "ChannelMessage.Read.All"),
        ("/teams/1/channels/2/members", "ChannelMember.Read.All"),
        ("/teams/1/members", "TeamMember.Read.All"),
        ("/chats/1/messages", "Chat.Read.All"),
        ("/users/1/chats", "Chat.Read.All"),
        ("/users/1/mailFolders/2/messages/delta()", "Mail.Read"),
        ("/users/1/messages/2/attachments", "Mail.Read"),
        ("/users/1/drive", "Files.Read.All"),
        ("/users", "User.Read.All"),
        ("/sites/getAllSites", "Sites.Read.All"),
        ("/organization", "Organization.Read.All"),
        ("/elsewhere", ""),
    ],
)
def test_the_permission_of_a_path(path: str, name: str) -> None:
    assert permission(path) == name
