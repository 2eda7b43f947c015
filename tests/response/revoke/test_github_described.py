"""What is sent to GitHub, held by Prism to GitHub's own description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from keysentry.errors import InputError
from keysentry.response.revoke import declared, github
from keysentry.response.revoke.base import Tools
from keysentry.response.revoke.table import open_revoker
from tests.response.secrets_made import RULES, credential
from tests.servers.github_prism import described
from tests.servers.http_provider import Provider
from tests.servers.https import Authority
from tests.servers.providers import Providers, providers

pytestmark = pytest.mark.xdist_group("github-prism")


class GitHub(NamedTuple):
    provider: Provider
    tools: Tools
    refused: list[str]
    running: Providers


@pytest.fixture(scope="module")
def hub(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    with providers(authority) as running:
        provider = running.start()
        with described(tmp_path_factory.mktemp("prism"), provider) as refused:
            running.server.answer = provider.answer
            yield GitHub(provider, Tools(running.outbound(), RULES), refused, running)


@pytest.mark.parametrize("rule", ["github.pat-classic", "github.pat-fine-grained", "github.app-installation-token"])
@pytest.mark.parametrize("options", [github.Options(name="gh"), declared.Options(name="rules")])
def test_requests_are_as_github_describes_them(
    rule: str, options: github.Options | declared.Options, hub: GitHub
) -> None:
    known = credential(rule, seed=len(options.kind))
    hub.provider.live[known.secret.reveal()] = {"login": "ann"}
    revoker = open_revoker(options, hub.tools)
    assert revoker.revoke(known, "act_1").outcome == "done"
    assert hub.provider.revoked[known.secret.reveal()] == 1
    assert revoker.revoked(known, "act_1") is not None
    assert not hub.refused


def test_a_thousand_are_within_what_it_describes(hub: GitHub, tmp_path: Path) -> None:
    revoker = github.GitHubRevoker(github.Options(name="gh"), hub.tools.outbound)
    revoker.revoke_many([credential("github.pat-classic", seed=number) for number in range(1000)], "act_2")
    assert not hub.refused


def test_prism_is_really_in_between(hub: GitHub) -> None:
    known = credential("github.legacy-token")
    with pytest.raises(InputError):
        open_revoker(github.Options(name="gh", handles=("*",)), hub.tools).revoke(known, "act_3")
