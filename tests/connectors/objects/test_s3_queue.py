"""News from SQS, played by moto. moto sends notifications of what is written but none of what is removed, so those, and
the other shapes that messages come in, are put into the queue by the tests, as the AWS documentation shows them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from keysentry.connectors.base import Delivery
from keysentry.errors import AccessError, FormatError, GoneError
from keysentry.model.record import Unit
from tests.connectors.objects.bench import S3Bench, content, records, told, units
from tests.servers.objectfaults import Fault

pytestmark = pytest.mark.xdist_group("moto")

ODD = "päth/a b+c%2F&=?.txt"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class QueueBench:
    """A bucket whose news go to a queue."""

    def __init__(self, s3: S3Bench) -> None:
        self.s3 = s3
        self.sqs = s3.sdk("sqs", s3.client.meta.endpoint_url)
        self.url: str = self.sqs.create_queue(QueueName=f"{s3.bucket}-news")["QueueUrl"]

    def source(self, **options: Any) -> Any:
        return self.s3.source(queue=self.url, **{"queue_wait": 0.0, **options})

    def through_proxy(self, **options: Any) -> Any:
        """A source that reaches the queue through the proxy."""
        address = self.url.replace(self.s3.client.meta.endpoint_url, self.s3.proxy.address)
        return self.s3.source(queue=address, **{"queue_wait": 0.0, **options})

    def calls(self) -> list[str]:
        """What was asked of SQS through the proxy."""
        targets = [one.headers.get("x-amz-target", "") for one in self.s3.proxy.seen]
        return [target.removeprefix("AmazonSQS.") for target in targets if target]

    def unit(self, source: Any) -> Unit:
        [unit] = [one for one in units(source) if one.live]
        return unit

    def news(self, source: Any, *, done: bool = True) -> list[Delivery]:
        """What the queue tells now; with `done`, as if all were stored."""
        found = []
        for delivery in source.records(self.unit(source), None):
            found.append(delivery)
            if done and delivery.done is not None:
                delivery.done()
        return found

    def send(self, message: object) -> None:
        self.sqs.send_message(
            QueueUrl=self.url, MessageBody=message if isinstance(message, str) else json.dumps(message)
        )

    def waiting(self) -> tuple[int, int]:
        """How many messages are there, and how many are hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


@pytest.fixture
def queue(s3: S3Bench) -> QueueBench:
    return QueueBench(s3)


def record_of(bucket: str, key: str, name: str = "ObjectRemoved:Delete", **more: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:LOCALTEST"},
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": {"key": key, **more}},
    }


def bridge(bucket: str, key: str, kind: str, **more: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html"""
    detail = {"version": "0", "bucket": {"name": bucket}, "object": {"key": key}, "requester": "1234", **more}
    return {"version": "0", "detail-type": kind, "source": "aws.s3", "detail": detail}


def test_what_is_written_is_told_by_the_bucket_itself(queue: QueueBench) -> None:
    arn = queue.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    queue.s3.client.put_bucket_notification_configuration(
        Bucket=queue.s3.bucket, NotificationConfiguration=configuration
    )
    queue.s3.put("docs/a.txt", b"one")
    queue.s3.put(ODD, b"two")
    source = queue.source()
    found = queue.news(source)
    assert sorted(told(found)) == sorted(
        [
            (f"{queue.s3.bucket}/docs/a.txt", False),
            (f"{queue.s3.bucket}/{ODD.replace('%', '%25').replace('?', '%3F')}", False),
        ]
    )
    assert sorted(content(record) for record in records(found)) == [b"one", b"two"]
    assert {record.unit for record in records(found)} == {f"queue:{queue.url}"}
    assert queue.waiting() == (0, 0)


def test_keys_in_messages_are_encoded_as_in_a_form_but_not_by_eventbridge(queue: QueueBench) -> None:
    queue.s3.put(ODD, b"x")
    queue.send({"Records": [record_of(queue.s3.bucket, "p%C3%A4th%2Fa+b%2Bc%252F%26%3D%3F.txt", "ObjectCreated:Put")]})
    queue.send(bridge(queue.s3.bucket, ODD, "Object Created"))
    found = records(queue.news(queue.source()))
    assert len(found) == 2 and len({record.id for record in found}) == 1 and not found[0].deleted
    assert sorted(record.author_id for record in found) == ["1234", "AWS:LOCALTEST"]


def test_removals_come_in_three_shapes(queue: QueueBench) -> None:
    bucket = queue.s3.bucket
    within = {"Records": [record_of(bucket, "b")]}
    queue.send({"Records": [record_of(bucket, "a")]})
    queue.send({"Type": "Notification", "MessageId": "1", "TopicArn": "arn", "Message": json.dumps(within)})
    queue.send(bridge(bucket, "c", "Object Deleted", **{"deletion-type": "Delete Marker Created"}))
    found = queue.news(queue.source())
    assert sorted(told(found)) == [(f"{bucket}/{key}", True) for key in "abc"]
    assert all(record.parts == () for record in records(found))


def test_what_is_there_now_counts_not_the_order_of_the_news(queue: QueueBench) -> None:
    """A removal that comes after the object was written again, and news of a write to what is gone by now."""
    queue.s3.put("again", b"x")
    queue.send(
        {"Records": [record_of(queue.s3.bucket, "again"), record_of(queue.s3.bucket, "gone", "ObjectCreated:Put")]}
    )
    found = queue.news(queue.source())
    assert told(found) == [(f"{queue.s3.bucket}/again", False), (f"{queue.s3.bucket}/gone", True)]


def test_news_of_a_bucket_that_is_gone_do_not_stop_the_others(queue: QueueBench) -> None:
    queue.s3.put("a", b"x")
    queue.send({"Records": [record_of("a-bucket-that-was-here", "b", "ObjectCreated:Put")]})
    queue.send({"Records": [record_of(queue.s3.bucket, "a", "ObjectCreated:Put")]})
    source = queue.source(buckets=())
    [unit] = [one for one in source.units() if isinstance(one, Unit) and one.live]
    found = list(source.records(unit, None))
    assert sorted(told(found)) == [("a-bucket-that-was-here/b", True), (f"{queue.s3.bucket}/a", False)]


def test_a_version_that_is_deleted_for_good_is_told_where_versions_are_read(queue: QueueBench) -> None:
    queue.s3.put("a", b"x")
    queue.send({"Records": [record_of(queue.s3.bucket, "a", versionId="v1")]})
    found = queue.news(queue.source(versions=True))
    assert told(found) == [(f"{queue.s3.bucket}/a?version=v1", True), (f"{queue.s3.bucket}/a", False)]
    queue.send(bridge(queue.s3.bucket, "a", "Object Deleted", **{"deletion-type": "Permanently Deleted"}))
    assert told(queue.news(queue.source())) == [(f"{queue.s3.bucket}/a", False)]


def test_a_message_goes_only_when_all_that_came_of_it_is_stored(queue: QueueBench) -> None:
    for key in "abc":
        queue.s3.put(key, b"x")
    queue.send({"Records": [record_of(queue.s3.bucket, key, "ObjectCreated:Put") for key in "abc"]})
    found = queue.news(queue.source(), done=False)
    assert len(records(found)) == 3
    for delivery in found:
        assert queue.waiting() == (0, 1)
        assert delivery.done is not None
        delivery.done()
    assert queue.waiting() == (0, 0)


def test_a_test_message_and_news_of_something_else_are_done_with_silently(queue: QueueBench) -> None:
    queue.send({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": queue.s3.bucket})
    queue.send({"Records": [record_of(queue.s3.bucket, "a", "ObjectTagging:Put")]})
    queue.send({"Records": [record_of("a-bucket-of-others", "a")]})
    queue.send({"Records": [record_of(queue.s3.bucket, "outside/a")]})
    queue.send(bridge(queue.s3.bucket, "a", "Object Tags Added"))
    found = queue.news(queue.source(prefixes=("inside/",)))
    assert records(found) == [] and not any(one.skipped for one in found)
    assert queue.waiting() == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        "no JSON",
        "[]",
        "{}",
        '{"Records": "none"}',
        '{"Records": [null]}',
        '{"Records": [{"eventName": null, "s3": null}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": null}}}]}',
        '{"Type": "Notification", "Message": "no JSON"}',
        '{"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": null}}',
    ],
)
def test_a_message_that_cannot_be_understood_is_reported_and_left(queue: QueueBench, body: str) -> None:
    queue.send(body)
    [found] = queue.news(queue.source())
    assert found.record is None and found.done is None
    [skipped] = found.skipped
    assert queue.url in skipped.place and "dead-letter" in skipped.reason
    assert queue.waiting() == (0, 1)


def test_null_and_unknown_fields_do_no_harm(queue: QueueBench) -> None:
    queue.s3.put("a", b"x")
    one = {
        **record_of(queue.s3.bucket, "a", "ObjectCreated:Put", versionId=None, eTag=None),
        "userIdentity": None,
        "new": 1,
    }
    queue.send({"Records": [one], "more": None})
    assert told(queue.news(queue.source())) == [(f"{queue.s3.bucket}/a", False)]


def test_the_message_of_what_is_being_read_stays_hidden(queue: QueueBench) -> None:
    """Its time is prolonged when half of it is over, as often as it takes; the clock is the test's."""
    queue.s3.put("large", bytes(20 << 20))
    queue.send({"Records": [record_of(queue.s3.bucket, "large", "ObjectCreated:Put")]})
    clock = Clock()
    source = queue.through_proxy(clock=clock, visibility=40)
    [delivery] = queue.news(source, done=False)
    record = delivery.record
    assert record is not None and record.parts[0].open is not None
    for number, _ in enumerate(record.parts[0].open()):
        if number % 8 == 0:  # the first piece of a range
            clock.now += 25
    assert clock.now == 75
    assert queue.calls().count("ChangeMessageVisibility") == 2
    assert delivery.done is not None
    delivery.done()
    assert queue.calls()[-1] == "DeleteMessage"
    assert queue.waiting() == (0, 0)


def test_a_message_whose_time_is_over_is_let_go(queue: QueueBench) -> None:
    """Somebody else may have it by now, and it comes again if nobody has."""
    for key in "ab":
        queue.s3.put(key, b"x")
    queue.send({"Records": [record_of(queue.s3.bucket, key, "ObjectCreated:Put") for key in "ab"]})
    clock = Clock()
    source = queue.source(clock=clock, visibility=40)
    passing = source.records(queue.unit(source), None)
    next(passing)
    clock.now += 41
    assert list(passing) == []
    assert queue.waiting() == (0, 1)


def test_the_queue_and_the_listing_are_units_of_one_source(queue: QueueBench) -> None:
    queue.s3.put("docs/a", b"x")
    found = units(queue.source())
    assert [(unit.live, unit.id) for unit in found] == [
        (True, f"queue:{queue.url}"),
        (False, f"tree:{queue.s3.bucket}/docs/"),
    ]


def test_a_queue_that_is_not_there_or_not_ours_says_so(queue: QueueBench) -> None:
    source = queue.s3.source(queue=f"{queue.url}-not-there", queue_wait=0.0)
    with pytest.raises(GoneError):
        list(source.records(Unit(f"queue:{queue.url}-not-there", ""), None))
    queue.s3.proxy.clear()
    body = json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": "no"}).encode()
    queue.s3.proxy.spoil(Fault(lambda request: request.method == "POST", status=403, body=body, times=-1))
    address = queue.url.replace(queue.s3.client.meta.endpoint_url, queue.s3.proxy.address)
    source = queue.s3.source(queue=address, queue_wait=0.0)
    with pytest.raises(AccessError) as caught:
        list(source.records(Unit(f"queue:{address}", ""), None))
    assert "sqs:ReceiveMessage" in caught.value.advice
    queue.s3.proxy.clear()
    queue.s3.put("a", b"x")
    queue.send({"Records": [record_of(queue.s3.bucket, "a", "ObjectCreated:Put")]})
    assert len(list(source.records(Unit(f"queue:{address}", ""), None))) == 1


def test_the_parser_raises_nothing_but_its_own_error() -> None:
    from keysentry.connectors.s3.events import events_in

    for body in ('{"Records": [[]]}', '"text"', "\ud800", '{"source": "aws.s3", "detail": 1, "detail-type": 2}'):
        with pytest.raises(FormatError):
            events_in(body)
