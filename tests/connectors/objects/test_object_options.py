"""What holds for the three platforms before anything is connected: no SDK is imported, every setting is documented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from keysentry.connectors import platform, platform_of_target
from keysentry.connectors.base import SourceOptions
from keysentry.connectors.objects.options import ObjectOptions, outermost
from keysentry.errors import ConfigError

DOCS = Path(__file__).resolve().parents[3] / "docs"
NAMES = ("s3", "gcs", "azure")
SDKS = ("boto3", "botocore", "google.cloud.storage", "google.auth", "requests", "azure.core", "azure.identity")


def test_no_sdk_is_imported_before_a_source_is_opened() -> None:
    modules = ", ".join(f"keysentry.connectors.{name}" for name in NAMES)
    program = f"import sys, {modules}; print([name for name in {SDKS} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_documented(name: str) -> None:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    options = platform(name).load().Options
    assert issubclass(options, ObjectOptions)
    fields = {field.name for field in msgspec.structs.fields(options)}
    assert [field for field in sorted(fields) if f"`{field}`" not in page] == []
    text = options.__doc__ or ""
    own = fields - {field.name for field in msgspec.structs.fields(ObjectOptions)}
    assert [field for field in sorted(own) if f"`{field}`" not in text] == []


@pytest.mark.parametrize(("target", "name"), [("s3://b/p", "s3"), ("gs://b/p", "gcs"), ("az://a/c/p", "azure")])
def test_a_target_makes_options(target: str, name: str) -> None:
    found = platform_of_target(target)
    assert found is not None and found.name == name
    module = found.load()
    options = msgspec.convert({"name": target, **module.target_options(target)}, module.Options)
    source = module.open_source(options)
    source.close()


@pytest.mark.parametrize("name", NAMES)
def test_options_of_another_platform_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="these are not options"):
        platform(name).load().open_source(SourceOptions(name="test"))


def test_prefixes_within_others_are_left_out() -> None:
    assert outermost(()) == [""]
    assert outermost(("b/", "a/x", "a/", "a/", "ab")) == ["a/", "ab", "b/"]
    assert outermost(("", "a/")) == [""]
