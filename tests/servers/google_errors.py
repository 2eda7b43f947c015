"""Refusals as Google writes them (https://developers.google.com/workspace/drive/api/guides/handle-errors)."""

from __future__ import annotations

import json
from typing import Any


class GoogleError(Exception):
    """A refusal: the status, the reason in `errors`, the message, the canonical status, the reason in `details`."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        canonical: str = "",
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        location: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.canonical = canonical
        self.detail = detail
        self.headers = headers or {}
        self.location = location


def error_body(error: GoogleError) -> bytes:
    """The refusal's JSON."""
    told: dict[str, Any] = {"code": error.status, "message": str(error)}
    if error.reason:
        one = {"message": str(error), "domain": "global", "reason": error.reason}
        if error.location:
            one |= {"location": error.location, "locationType": "parameter"}
        told["errors"] = [one]
    if error.canonical:
        told["status"] = error.canonical
    if error.detail:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        told["details"] = [{"@type": kind, "reason": error.detail, "domain": "googleapis.com"}]
    return json.dumps({"error": told}).encode()


def not_found(what: str) -> GoogleError:
    """404."""
    return GoogleError(404, "notFound", f"File not found: {what}.", location="fileId")


def denied(reason: str, message: str) -> GoogleError:
    """403."""
    return GoogleError(403, reason, message, "PERMISSION_DENIED")


def bad_token() -> GoogleError:
    """A page token that was never given out, not for this, or too long ago."""
    return GoogleError(400, "invalid", "Invalid Value", location="pageToken")
