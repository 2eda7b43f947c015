"""Revokers of providers, each held to the same: done once, `already` afterwards, found out after an interruption, every
fault as what it is, and no word of the secret anywhere. Against providers of ours behind HTTPS, which count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from keysentry.errors import AccessError, InputError, KeysentryError, SourceError, UnclearError
from keysentry.model.action import Credential
from keysentry.model.sensitive import Sensitive
from keysentry.response.base import Revoker
from keysentry.response.revoke import azuread, declared, github, gitlab, google, slack
from keysentry.response.revoke.base import RevokerOptions, Tools
from keysentry.response.revoke.table import open_revoker
from tests.response.secrets_made import credential, holds, told_everywhere
from tests.servers.http_provider import Provider
from tests.servers.https import Answer, in_json
from tests.servers.providers import Providers

pytestmark = pytest.mark.xdist_group("https")

KEY = "act_" + "0" * 32
ADMIN = "an-admin-of-the-test"


class Case(NamedTuple):
    """A revoker and a credential for it."""

    name: str
    options: RevokerOptions
    rule: str
    asks: bool = True
    """Whether the provider can be asked if it is dead."""
    told: bool = True
    """Whether the provider tells of a second revocation that there was nothing left."""


CASES = [
    Case("github pat", github.Options(name="gh"), "github.pat-classic", told=False),
    Case("github fine", github.Options(name="gh"), "github.pat-fine-grained", told=False),
    Case("github refresh", github.Options(name="gh"), "github.app-refresh-token", asks=False, told=False),
    Case("github installation", github.Options(name="gh"), "github.app-installation-token"),
    Case("gitlab pat", gitlab.Options(name="gl"), "gitlab.pat"),
    Case("gitlab runner", gitlab.Options(name="gl"), "gitlab.runner-token"),
    Case("gitlab admin", gitlab.Options(name="gl", admin_token=Sensitive(ADMIN)), "gitlab.deploy-token"),
    Case("slack bot", slack.Options(name="sl"), "slack.bot-token"),
    Case("google access", google.Options(name="go"), "google.oauth-access-token"),
    Case("google refresh", google.Options(name="go"), "google.oauth-refresh-token", asks=False),
    Case("declared github", declared.Options(name="rules"), "github.pat-classic", told=False),
    Case("declared gitlab", declared.Options(name="rules"), "gitlab.pat"),
    Case("declared slack", declared.Options(name="rules"), "slack.bot-token"),
    Case("declared google", declared.Options(name="rules"), "google.oauth-refresh-token", asks=False, told=False),
]


class Scene(NamedTuple):
    case: Case
    revoker: Revoker
    credential: Credential
    provider: Provider

    @property
    def secret(self) -> str:
        return self.credential.secret.reveal()

    @property
    def count(self) -> int:
        return self.provider.revoked[self.secret]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def scene(request: pytest.FixtureRequest, provider: Provider, tools: Tools) -> Scene:
    case: Case = request.param
    known = credential(case.rule)
    provider.admin = ADMIN
    provider.live[known.secret.reveal()] = {"login": "ann", "scopes": ["api"]}
    return Scene(case, open_revoker(case.options, tools), known, provider)


def fault_of(call: Callable[[], object], secret: str, kind: type[KeysentryError]) -> KeysentryError:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert not holds(told_everywhere(caught.value), secret)
    assert ADMIN not in told_everywhere(caught.value)
    return caught.value


def test_it_is_revoked_once_and_then_it_is_dead(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert scene.revoker.revoked(scene.credential, KEY) is None
        receipt = scene.revoker.revoke(scene.credential, KEY)
        assert receipt.outcome == "done"
        assert receipt.evidence["host"]
        assert scene.count == 1
        if scene.case.asks:
            assert scene.revoker.revoked(scene.credential, KEY) is not None
        else:
            assert scene.revoker.revoked(scene.credential, KEY) is None
    assert not holds(f"{receipt!r}{caplog.text}", scene.secret)


def test_revoking_a_dead_one_says_so_and_counts_nothing(scene: Scene) -> None:
    scene.provider.live.clear()
    if scene.case.name == "declared google":
        # Its rule tells no way to ask, and no other answer than done: a person looks.
        fault_of(lambda: scene.revoker.revoke(scene.credential, KEY), scene.secret, InputError)
    else:
        receipt = scene.revoker.revoke(scene.credential, KEY)
        assert receipt.outcome == ("already" if scene.case.told else "done")
    assert scene.count == 0


def test_an_interruption_after_the_effect_is_found_out_and_nothing_is_done_twice(scene: Scene) -> None:
    scene.provider.after = True
    fault_of(lambda: scene.revoker.revoke(scene.credential, KEY), scene.secret, UnclearError)
    assert scene.count == 1
    receipt = scene.revoker.revoked(scene.credential, KEY)
    if scene.case.asks:
        assert receipt is not None
    elif scene.case.name != "declared google":
        assert receipt is None
        scene.revoker.revoke(scene.credential, KEY)
    assert scene.count == 1


def test_5xx_leaves_it_unclear(scene: Scene) -> None:
    scene.provider.failures = [Answer(500)]
    fault_of(lambda: scene.revoker.revoke(scene.credential, KEY), scene.secret, UnclearError)
    assert scene.count == 0


def test_a_redirect_is_not_followed(scene: Scene, running: Providers) -> None:
    scene.provider.failures = [Answer(307, headers={"Location": "https://hooks.acme.example/"})]
    fault_of(lambda: scene.revoker.revoke(scene.credential, KEY), scene.secret, InputError)
    assert scene.count == 0
    assert not any(seen.host == "hooks.acme.example" for seen in running.server.seen)


def test_429_is_waited_for(scene: Scene, running: Providers) -> None:
    scene.provider.failures = [Answer(429, headers={"Retry-After": "3"})]
    assert scene.revoker.revoke(scene.credential, KEY).outcome == "done"
    assert (running.waits, scene.count) == ([3.0], 1)


def test_a_question_that_is_not_answered_comes_later(scene: Scene) -> None:
    if not scene.case.asks:
        assert scene.revoker.revoked(scene.credential, KEY) is None
        return
    scene.provider.failures = [Answer(503)] * 3
    fault_of(lambda: scene.revoker.revoked(scene.credential, KEY), scene.secret, SourceError)


def test_the_idempotency_key_goes_along(scene: Scene, running: Providers) -> None:
    scene.revoker.revoke(scene.credential, KEY)
    assert running.server.seen[0].headers["idempotency-key"] == KEY


def test_a_hanging_provider_ends_with_the_time_limit(provider: Provider, running: Providers) -> None:
    def hang(handler: Any) -> None:
        handler.connection.recv(1)

    provider.failures = [Answer(raw=hang)]
    tools = Tools(running.outbound(read_timeout=0.2))
    known = credential("slack.bot-token", seed=3)
    revoker = open_revoker(slack.Options(name="sl"), tools)
    fault_of(lambda: revoker.revoke(known, KEY), known.secret.reveal(), UnclearError)


# -- GitHub -----------------------------------------------------------------------------------------------------------


def test_github_takes_many_in_one_request(provider: Provider, tools: Tools, running: Providers) -> None:
    revoker = github.GitHubRevoker(github.Options(name="gh"), tools.outbound)
    many = [credential("github.pat-classic", seed=number) for number in range(20)]
    provider.live |= {one.secret.reveal(): {"login": "ann"} for one in many}
    receipt = revoker.revoke_many(many, KEY)
    assert receipt.evidence["tokens in the request"] == "20"
    assert sum(provider.revoked.values()) == 20
    assert len(running.server.seen) == 1
    with pytest.raises(InputError):
        revoker.revoke_many([], KEY)
    with pytest.raises(InputError):
        revoker.revoke_many([credential("github.app-installation-token")], KEY)
    with pytest.raises(InputError):
        revoker.revoke_many([credential("github.pat-classic", seed=number) for number in range(1001)], KEY)


def test_github_is_asked_60_times_an_hour_and_then_later(provider: Provider, tools: Tools) -> None:
    now = [0.0]
    revoker = github.GitHubRevoker(github.Options(name="gh", per_hour=2), tools.outbound, lambda: now[0])
    known = credential("github.pat-classic")
    revoker.revoke(known, KEY)
    now[0] = 600.0
    revoker.revoke(known, KEY)
    assert "3,000 s" in str(fault_of(lambda: revoker.revoke(known, KEY), known.secret.reveal(), SourceError))
    now[0] = 3600.0
    revoker.revoke(known, KEY)


def test_github_refuses_what_it_does_not_take(provider: Provider, tools: Tools) -> None:
    known = credential("github.legacy-token")
    revoker = open_revoker(github.Options(name="gh", handles=("github.*",)), tools)
    fault_of(lambda: revoker.revoke(known, KEY), known.secret.reveal(), InputError)


# -- GitLab, Slack ----------------------------------------------------------------------------------------------------


def test_gitlab_without_an_admin_leaves_what_cannot_end_itself(provider: Provider, tools: Tools) -> None:
    revoker = gitlab.GitLabRevoker(gitlab.Options(name="gl"), tools.outbound)
    known = credential("gitlab.deploy-token")
    assert not revoker.accepts(known)
    fault_of(lambda: revoker.revoke(known, KEY), known.secret.reveal(), InputError)


def test_gitlab_names_the_admin_token_that_it_does_not_take(provider: Provider, tools: Tools) -> None:
    provider.admin = "another"
    known = credential("gitlab.deploy-token")
    revoker = open_revoker(gitlab.Options(name="gl", admin_token=Sensitive(ADMIN)), tools)
    fault = fault_of(lambda: revoker.revoke(known, KEY), known.secret.reveal(), AccessError)
    assert "admin_token" in fault.advice


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"ok": False, "error": "missing_scope"}, AccessError),
        ({"ok": False, "error": "not_allowed_token_type"}, InputError),
        ({"ok": False, "error": "fatal_error"}, UnclearError),
        ({"ok": False, "error": "ratelimited"}, SourceError),
        ({"ok": True, "revoked": False}, UnclearError),
        (["rubbish"], UnclearError),
    ],
)
def test_slack_answers_200_and_means_something_else(
    answer: object, kind: type[KeysentryError], provider: Provider, tools: Tools
) -> None:
    known = credential("slack.bot-token")
    provider.failures = [in_json(answer)]
    fault_of(lambda: open_revoker(slack.Options(name="sl"), tools).revoke(known, KEY), known.secret.reveal(), kind)


# -- Microsoft Entra ID -----------------------------------------------------------------------------------------------

CLIENT_SECRET = "the secret of our own client"
ENTRA = azuread.Options(name="entra", tenant="acme.example", client_id="us", client_secret=Sensitive(CLIENT_SECRET))


def application(number: int, *hints: str) -> dict[str, Any]:
    held = [{"keyId": f"key-{number}-{at}", "hint": hint, "displayName": "x"} for at, hint in enumerate(hints)]
    return {
        "id": f"app-{number}",
        "appId": f"client-{number}",
        "displayName": f"App {number}",
        "passwordCredentials": held,
    }


@pytest.fixture
def entra(provider: Provider) -> Provider:
    provider.entra_clients = {"us": CLIENT_SECRET}
    return provider


def test_entra_removes_the_one_secret_that_fits(entra: Provider, tools: Tools) -> None:
    known = credential("azure.ad-client-secret")
    hint = known.secret.reveal()[:3]
    entra.applications = [application(1, "abc"), application(2), application(3, "xyz", hint), application(4, "qqq")]
    revoker = open_revoker(ENTRA, tools)
    assert revoker.revoked(known, KEY) is None
    receipt = revoker.revoke(known, KEY)
    assert (receipt.outcome, receipt.evidence["key id"], receipt.evidence["read back"]) == ("done", "key-3-1", "gone")
    assert entra.revoked == {"key-3-1": 1}
    assert [len(one["passwordCredentials"]) for one in entra.applications] == [1, 0, 1, 1]
    after = revoker.revoked(known, KEY)
    assert after is not None
    assert after.outcome == "nothing"
    assert not holds(f"{receipt!r}{after!r}", known.secret.reveal())


def test_entra_guesses_nothing(entra: Provider, tools: Tools) -> None:
    known = credential("azure.ad-client-secret")
    hint = known.secret.reveal()[:3]
    entra.applications = [application(1, hint), application(2, hint), application(3, hint)]
    fault = fault_of(lambda: open_revoker(ENTRA, tools).revoke(known, KEY), known.secret.reveal(), InputError)
    assert "App 1, App 2, App 3" in str(fault)
    assert not entra.revoked
    entra.applications = [application(1, "abc")]
    fault_of(lambda: open_revoker(ENTRA, tools).revoke(known, KEY), known.secret.reveal(), InputError)


def test_entra_looks_only_at_the_applications_that_are_named(entra: Provider, tools: Tools) -> None:
    known = credential("azure.ad-client-secret")
    hint = known.secret.reveal()[:3]
    entra.applications = [application(1, hint), application(2, hint)]
    options = azuread.Options(
        name="entra", tenant="t", client_id="us", client_secret=Sensitive(CLIENT_SECRET), applications=("client-2",)
    )
    open_revoker(options, tools).revoke(known, KEY)
    assert entra.revoked == {"key-2-0": 1}


def test_entra_after_an_interruption(entra: Provider, tools: Tools) -> None:
    known = credential("azure.ad-client-secret")
    entra.applications = [application(1, known.secret.reveal()[:3])]
    revoker = open_revoker(ENTRA, tools)
    revoker.revoked(known, KEY)
    entra.after = True
    fault_of(lambda: revoker.revoke(known, KEY), known.secret.reveal(), UnclearError)
    assert revoker.revoked(known, KEY) is not None
    assert entra.revoked == {"key-1-0": 1}


def test_entra_a_list_that_is_none_is_not_taken_for_an_empty_one(entra: Provider, tools: Tools) -> None:
    known = credential("azure.ad-client-secret")
    revoker = open_revoker(ENTRA, tools)
    entra.failures = [in_json({"access_token": "x", "expires_in": 3600}), in_json({"value": None})]
    fault_of(lambda: revoker.revoked(known, KEY), known.secret.reveal(), SourceError)
    entra.failures = [in_json({"value": ["x" * 300_000]})]
    fault_of(lambda: revoker.revoked(known, KEY), known.secret.reveal(), InputError)


def test_entra_a_client_secret_that_is_not_taken_is_named(entra: Provider, tools: Tools) -> None:
    entra.entra_clients = {}
    known = credential("azure.ad-client-secret")
    fault = fault_of(lambda: open_revoker(ENTRA, tools).revoke(known, KEY), known.secret.reveal(), AccessError)
    assert "client_secret" in fault.advice
    assert CLIENT_SECRET not in told_everywhere(fault)
