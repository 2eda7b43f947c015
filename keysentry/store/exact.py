"""JSON that gives back exactly what went in, also text that is no valid Unicode (names of files with odd bytes)."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """A value of typed structs as JSON in UTF-8; half characters are written as escapes."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def decode(raw: bytes | str, kind: type[T]) -> T:
    """What `encode` was given. Raises `msgspec.ValidationError` or `ValueError` for what it did not write."""
    try:
        decoded: T = _decoder(kind).decode(raw)  # type: ignore[arg-type]  # types are hashable
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(raw), kind)
    return decoded


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
