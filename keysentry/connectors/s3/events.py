"""What a message in the queue says: which keys something happened to.

Three shapes come: S3's own, the same within a message of SNS, and EventBridge's.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

A message only tells where to look. What is there now is asked of S3, so that messages may come late, twice or in any
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from keysentry.errors import FormatError

_LOOKED_AT = ("ObjectCreated:", "ObjectRemoved:", "LifecycleExpiration:", "ObjectRestore:Completed", "ObjectAcl:Put")
_LOOKED_AT_BRIDGE = ("Object Created", "Object Deleted", "Object Restore Completed", "Object ACL Updated")


class Event(msgspec.Struct, frozen=True):
    """Something happened to this key. `version` is set where one version was deleted for good; `author_id` is who did
    it, if it was written.
    """

    bucket: str
    key: str
    version: str = ""
    author_id: str = ""


def events_in(body: str) -> list[Event]:
    """The events of one message; none for a message that is only a test, or about something else.

    Raises `FormatError` for what is none of the three shapes.
    """
    message = _mapping(_decoded(body), "the message")
    if message.get("Type") == "Notification" and "Message" in message:
        message = _mapping(_decoded(_text(message["Message"], "Message")), "the message within")
    if message.get("Event") == "s3:TestEvent":
        return []
    if message.get("source") == "aws.s3" and "detail" in message:
        return list(_of_bridge(message))
    records = message.get("Records")
    if not isinstance(records, Sequence) or isinstance(records, str):
        raise FormatError("this is no notification of S3")
    return [event for record in records for event in _of_record(_mapping(record, "a record"))]


def _of_record(record: Mapping[str, Any]) -> Iterator[Event]:
    """Keys are encoded as in a form: a space is `+`."""
    name = _text(record.get("eventName"), "eventName").removeprefix("s3:")
    if not name.startswith(_LOOKED_AT):
        return
    about = _mapping(record.get("s3"), "s3")
    thing = _mapping(about.get("object"), "object")
    bucket = _text(_mapping(about.get("bucket"), "bucket").get("name"), "bucket.name")
    key = unquote_plus(_text(thing.get("key"), "object.key"))
    version = str(thing.get("versionId") or "")
    if version and name.endswith(":Delete"):
        yield Event(bucket, key, version)
    who = record.get("userIdentity")
    written = name.startswith("ObjectCreated:") and isinstance(who, Mapping)
    yield Event(bucket, key, author_id=str(who.get("principalId") or "") if written and who else "")


def _of_bridge(message: Mapping[str, Any]) -> Iterator[Event]:
    """EventBridge gives keys as they are."""
    kind = _text(message.get("detail-type"), "detail-type")
    if kind not in _LOOKED_AT_BRIDGE:
        return
    detail = _mapping(message.get("detail"), "detail")
    thing = _mapping(detail.get("object"), "object")
    bucket = _text(_mapping(detail.get("bucket"), "bucket").get("name"), "bucket.name")
    key = _text(thing.get("key"), "object.key")
    version = str(thing.get("version-id") or "")
    if version and detail.get("deletion-type") == "Permanently Deleted":
        yield Event(bucket, key, version)
    yield Event(bucket, key, author_id=str(detail.get("requester") or "") if kind == "Object Created" else "")


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except ValueError:
        raise FormatError("this is not JSON") from None


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise FormatError(f"{name} is not as S3 writes it")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise FormatError(f"{name} is missing")
    return value
