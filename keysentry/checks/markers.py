"""Marks that providers put into their own tokens: a checksum, a fixed word."""

from __future__ import annotations

import zlib

from keysentry.checks.base import Verdict


def grafana_crc32(token: bytes) -> Verdict:
    """Prove or kill a Grafana token (`glsa_…`): its last part is the CRC-32 of what stands before it, low byte first.

    Source: Grafana, pkg/components/satokengen/tokengen.go.
    """
    body, separator, checksum = token.rpartition(b"_")
    if not separator:
        return Verdict(False, "no checksum")
    if zlib.crc32(body).to_bytes(4, "little").hex().encode() != checksum:
        return Verdict(False, "the checksum does not hold")
    return Verdict(True, "the checksum holds")


def openai_marker(token: bytes) -> Verdict:
    """Prove an OpenAI key by the word in its middle: `OpenAI` in base64. A key without it says nothing."""
    if b"T3BlbkFJ" in token:
        return Verdict(True, "it names OpenAI in base64")
    return Verdict(None, "OpenAI's mark is not in it")
