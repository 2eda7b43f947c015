"""Where the result of a command goes: standard output, or a file that is there whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from keysentry.errors import ConfigError


@contextmanager
def output(path: str | None) -> Iterator[TextIO]:
    """Where it goes. Only its owner can read a file. Raises `ConfigError`."""
    if not path:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        yield sys.stdout
        return
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            yield file
        draft.replace(target)
    except OSError as error:
        raise ConfigError(error.strerror or str(error), place=path, advice="name a writable file") from None
    finally:
        draft.unlink(missing_ok=True)
