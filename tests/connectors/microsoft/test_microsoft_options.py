"""What a Microsoft 365 source can be told, and targets of the command line."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec
import pytest

from keysentry.connectors.base import SourceOptions
from keysentry.connectors.microsoft import Options, open_source, target_options
from keysentry.errors import ConfigError
from keysentry.model.sensitive import Sensitive

TARGETS: dict[str, dict[str, object]] = {
    "teams:": {"teams": True},
    "teams:Engineering": {"teams": True, "include": ("Engineering / #*",)},
    "teams:Engineering/Backups": {"teams": True, "include": ("Engineering / #Backups",)},
    "teams:Engineering/#Backups": {"teams": True, "include": ("Engineering / #Backups",)},
    "onedrive:": {"drives": True, "users": ()},
    "onedrive:ann@contoso.com": {"drives": True, "users": ("ann@contoso.com",)},
    "outlook:ann@contoso.com": {"mail": True, "users": ("ann@contoso.com",)},
    "sharepoint:": {"sites": ("*",)},
    "sharepoint:contoso.sharepoint.com/sites/eng": {"sites": ("contoso.sharepoint.com/sites/eng",)},
    "sharepoint://contoso.sharepoint.com/sites/eng/": {"sites": ("contoso.sharepoint.com/sites/eng",)},
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets(target: str) -> None:
    assert target_options(target) == TARGETS[target]
    Options(name="m365", **target_options(target))  # type: ignore[arg-type]


def test_a_name_with_signs_of_globs_means_itself() -> None:
    (glob,) = target_options("teams:What? [old]/a*b")["include"]  # type: ignore[misc]
    assert fnmatchcase("What? [old] / #a*b", glob)
    assert not fnmatchcase("Whatx o / #axb", glob)


def test_another_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="teams:<team>/<channel>"):
        target_options("yammer:x")


SIGNED_IN = {"token": Sensitive("x")}


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({**SIGNED_IN}, "nothing of Microsoft 365 is chosen"),
        ({"teams": True}, "AZURE_TENANT_ID"),
        ({"teams": True, "tenant_id": "t", "client_id": "c"}, "AZURE_CLIENT_SECRET"),
        ({**SIGNED_IN, "teams": True, "base_url": "http://graph.example/v1.0"}, "is not https"),
        ({**SIGNED_IN, "teams": True, "since": "yesterday"}, "since 'yesterday' is no date"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(told: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        open_source(Options(name="m365", **told))  # type: ignore[arg-type]


@pytest.mark.parametrize("told", ["off", "A", "B", "evaluation"])
def test_the_models_of_exports(told: str) -> None:
    assert msgspec.convert({"name": "m365", "teams_export": told}, Options).teams_export == told


def test_another_model_of_exports_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="teams_export"):
        msgspec.convert({"name": "m365", "teams_export": "C"}, Options)


def test_options_of_another_platform_are_refused() -> None:
    with pytest.raises(ConfigError, match="not options of Microsoft 365"):
        open_source(SourceOptions(name="other"))


def test_a_source_that_was_never_used_closes() -> None:
    source = open_source(Options(name="m365", teams=True, since="2026-01-31T12:00:00Z", **SIGNED_IN))  # type: ignore[arg-type]
    source.close()
    source.close()
