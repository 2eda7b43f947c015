"""Providers' own marks in their tokens."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from keysentry.checks.markers import grafana_crc32, openai_marker
from keysentry.rules.forge import forge


def grafana(seed: int = 0) -> str:
    return forge("glsa_{base62:32}_{crc32-le-hex}", random.Random(seed))


def test_a_grafana_checksum_is_proved() -> None:
    for seed in range(20):
        assert grafana_crc32(grafana(seed).encode()).valid is True


def test_a_character_off_kills_a_grafana_token() -> None:
    value = grafana()
    for at in (5, 20, 36, len(value) - 1):
        other = "0" if value[at] != "0" else "1"
        assert grafana_crc32((value[:at] + other + value[at + 1 :]).encode()).valid is False


def test_openai_names_itself() -> None:
    marked = forge("sk-proj-{base64url:74}T3BlbkFJ{base64url:74}", random.Random(1))
    assert openai_marker(marked.encode()).valid is True
    assert openai_marker(marked.replace("T3BlbkFJ", "T3BlbkFK").encode()).valid is None


@given(st.binary(max_size=100))
def test_they_never_raise(value: bytes) -> None:
    grafana_crc32(value)
    openai_marker(value)
