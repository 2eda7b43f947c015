"""The table of notifiers: each kind is there, says what its settings mean, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keysentry.config.fields import fields_of
from keysentry.connectors.base import NotifierOptions
from keysentry.errors import ConfigError
from keysentry.response.notify import KINDS, NOTIFIERS, notifier_kind, open_notifier

DOCS = Path(__file__).parents[3] / "docs" / "notifications.md"


@pytest.mark.parametrize("kind", NOTIFIERS, ids=lambda kind: kind.name)
def test_each_kind_is_complete(kind: object) -> None:
    from keysentry.response.notify import NotifierKind

    assert isinstance(kind, NotifierKind)
    options = kind.load().Options
    assert KINDS[kind.name] is options and issubclass(options, NotifierOptions)
    page = DOCS.read_text(encoding="utf-8")
    for field in fields_of(options):
        assert field.text, f"{kind.name}: {field.name}"
        assert f"`{field.name}`" in page, f"{kind.name}: {field.name} is not in {DOCS.name}"
    assert kind.title in page and all(variable in page for names in options.environment.values() for variable in names)


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(ConfigError, match="did you mean webhook"):
        notifier_kind("webhok")
    with pytest.raises(ConfigError):
        open_notifier(NotifierOptions(name="x"))


def test_texts_and_the_table_load_no_network_library() -> None:
    code = "import sys, keysentry.response.notify, keysentry.response.notify.messages; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"smtplib", "ssl", "http.client", "socket"} & set(loaded)
