"""Keeping SDKs silent while a secret goes through them.

Some write whole requests and answers to their debug logs. While a thread is in `quiet`, what they log in that thread
below a warning is dropped; other threads and other times are left alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SDKS = ("boto3", "botocore", "s3transfer", "urllib3", "requests", "hvac", "google", "azure", "msal")

_here = threading.local()


class _Hush(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or not getattr(_here, "depth", 0)


_HUSH = _Hush()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the SDKs in this thread. Import them before: what is imported inside is not known yet."""
    for name, one in list(logging.root.manager.loggerDict.items()):
        if isinstance(one, logging.Logger) and name.partition(".")[0] in SDKS:
            one.addFilter(_HUSH)
    _here.depth = getattr(_here, "depth", 0) + 1
    try:
        yield
    finally:
        _here.depth -= 1
