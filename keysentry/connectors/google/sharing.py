"""Who can read a file of Drive: from its permissions to an `Exposure`.

https://developers.google.com/workspace/drive/api/reference/rest/v3/permissions and, for shared drives, where a file
does not list its permissions: https://developers.google.com/workspace/drive/api/guides/shared-drives-diffs
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keysentry.connectors.google.fields import Fields, flag, text, words
from keysentry.model.location import Exposure

PERMISSION: Final = "type,emailAddress,domain,deleted,view"
"""The fields of a permission that are asked for."""
_ANYONE: Final = frozenset(("anyone", "anyoneWithLink"))
"""Ids of the permissions that everyone has."""


def exposure(permissions: Sequence[Fields], own: frozenset[str]) -> Exposure:
    """Who can read what has these permissions, for an organisation with these domains.

    The reach is the number of people where every one of them is named; of a group or a domain it is not known.
    """
    held = [one for one in permissions if not flag(one, "deleted") and text(one, "view") != "metadata"]
    kinds = {text(one, "type") for one in held}
    domains = {_domain(one) for one in held} - {""}
    reach = len(held) if kinds <= {"user"} and held else None
    if "anyone" in kinds:
        return Exposure("public")
    if not held or not own:
        return Exposure("unknown", reach)
    if domains - own:
        return Exposure("external", reach)
    return Exposure("internal" if "domain" in kinds else "private", reach)


def listed(file: Fields, own: frozenset[str]) -> Exposure:
    """Who can read a file, as far as the file itself tells (outside shared drives).

    Someone who may not share a file is told only the ids of its permissions.
    """
    permissions = file.get("permissions")
    if isinstance(permissions, list) and permissions:
        return exposure([one for one in permissions if isinstance(one, dict)], own)
    ids = words(file, "permissionIds")
    return Exposure("public") if _ANYONE & set(ids) else Exposure("unknown", len(ids) or None)


def _domain(permission: Fields) -> str:
    if text(permission, "type") == "domain":
        return text(permission, "domain").lower()
    address = text(permission, "emailAddress")
    return address.rpartition("@")[2].lower() if "@" in address else ""
