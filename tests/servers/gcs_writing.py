"""What `StrictGcs` does when something is written: uploads, rewrites, deletions, each on its conditions.

As the platform describes them, and stricter: a rewrite whose body describes the new object takes nothing from the old
one's description, and every unknown part of an upload is refused. Weaker: there is no soft deletion, and a retention is
only what the test has put into an object's description.
https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import email.policy
import json
from collections.abc import Callable
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.servers.gcs import Generation, StrictGcs

_NAMES = frozenset({"name", "bucket", "generation", "kind", "id"})


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.message = message


class Writing:
    """One request that writes. The server's lock is held."""

    def __init__(self, owner: StrictGcs, query: dict[str, str]) -> None:
        self._owner = owner
        self._query = query

    def insert(self, bucket: str, kind: str, body: bytes) -> tuple[str, str]:
        """A multipart upload: a description, then the content. Gives the object's bucket and name."""
        if self._query.get("uploadType") != "multipart":
            raise Refused(400, "invalid", "only multipart uploads are played")
        parts = BytesParser(policy=email.policy.HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        described, media = parts.iter_parts()
        content = media.get_payload(decode=True)
        facts: dict[str, Any] = {"contentType": media["Content-Type"], **json.loads(described.get_payload(decode=True))}
        key = str(facts.get("name") or self._query.get("name"))
        self._conditions(bucket, key)
        kept = {name: value for name, value in facts.items() if name not in _NAMES}
        for sum_of in ("md5Hash", "crc32c"):
            kept.pop(sum_of, None)
        self._owner.put(bucket, key, content, described=kept)
        return bucket, key

    def rewrite(
        self,
        source: tuple[str, str],
        to: tuple[str, str],
        body: dict[str, Any],
        made: Callable[[str, str], dict[str, Any]],
    ) -> dict[str, Any]:
        """A copy, by as many calls as `rewritten_at_once` makes of it."""
        one = self._source(*source)
        if self._query.get("ifSourceGenerationMatch", str(one.number)) != str(one.number):
            raise Refused(412, "conditionNotMet", "the source is another generation")
        self._conditions(*to)
        size = len(one.data)
        done = int(self._query.get("rewriteToken") or 0) + self._owner.rewritten_at_once
        answer = {"kind": "storage#rewriteResponse", "objectSize": str(size), "done": done >= size}
        if done < size:
            return {**answer, "totalBytesRewritten": str(done), "rewriteToken": str(done)}
        facts = {name: value for name, value in body.items() if name not in _NAMES}
        grants = [str(grant["entity"]) for grant in facts.pop("acl", ())]
        described = facts or dict(one.described)
        self._owner.put(*to, one.data, described=described, grants=grants, encoding=one.encoding)
        return {**answer, "totalBytesRewritten": str(size), "resource": made(*to)}

    def delete(self, bucket: str, key: str) -> None:
        """The live object, or a generation for good."""
        named = self._query.get("generation")
        if named is None:
            self._conditions(bucket, key)
            self._owner.delete(bucket, key)
            return
        states = self._owner.buckets[bucket].objects[key]
        [one] = [state for state in states if str(state.number) == named]
        _must_be_free(one)
        states.remove(one)

    def _source(self, bucket: str, key: str) -> Generation:
        wanted = self._query.get("sourceGeneration")
        states = self._owner.buckets[bucket].objects[key]
        return next(one for one in states if (one.deleted is None if wanted is None else str(one.number) == wanted))

    def _conditions(self, bucket: str, key: str) -> None:
        """`ifGenerationMatch`, of which 0 says that there is no live object; and that nothing keeps what is there."""
        live = [one for one in self._owner.buckets[bucket].objects.get(key, []) if one.deleted is None]
        number = str(live[0].number) if live else "0"
        if self._query.get("ifGenerationMatch", number) != number:
            raise Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        for one in live:
            _must_be_free(one)


def _must_be_free(one: Generation) -> None:
    if one.described.get("temporaryHold") or one.described.get("eventBasedHold"):
        raise Refused(403, "forbidden", "Object is under active Temporary hold and cannot be deleted or overwritten.")
