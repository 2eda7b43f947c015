"""News from an SQS queue: each message names keys, each key is looked at, and the message goes when all is stored.

Invariants.

- A message is deleted only after everything that came of it was stored (`Delivery.done`). Whatever ends before that,
  SQS gives the message again.
- A message that cannot be understood is reported and left: after as many tries as the queue's policy says, SQS moves
  it to the dead-letter queue. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
- A message that is being worked on stays hidden: its time is prolonged when half of it is over, also while a large
  object is read. One whose time is over all the same is let go, because another reader may have it by now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from keysentry.connectors.base import Delivery
from keysentry.connectors.pace import Pace
from keysentry.connectors.s3 import Options
from keysentry.connectors.s3.client import S3Store
from keysentry.connectors.s3.events import Event, events_in
from keysentry.errors import FormatError
from keysentry.model.cursor import Cursor
from keysentry.model.finding import Skipped
from keysentry.model.record import Record

_LONGEST_POLL = 5
"""Seconds that one call waits: closing has to wait for it."""
_AT_ONCE = 10

Look = Callable[[Event, Callable[[], None]], tuple[Record | None, tuple[Skipped, ...]]]
"""What an event is about, as it is now; the second argument is to be called while its content is read."""


class Queue:
    """One queue. A pass ends when it has been silent for a while."""

    def __init__(
        self, options: Options, store: S3Store, pace: Pace, look: Look, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._store = store
        self._pace = pace
        self._look = look
        self._clock = clock
        self._url = options.queue

    def deliveries(self) -> Iterator[Delivery]:
        """What the messages are about. Raises `SourceError`, `GoneError` where there is no such queue."""
        quiet = 0.0
        while True:
            wait = min(_LONGEST_POLL, max(0.0, self._options.queue_wait - quiet))
            messages = self._receive(int(wait))
            if messages:
                quiet = 0.0
                yield from self._all(messages)
                continue
            quiet += max(wait, 1)
            if quiet >= self._options.queue_wait:
                return

    def _receive(self, wait: int) -> list[Mapping[str, Any]]:
        answer = self._store.sqs(
            lambda sqs: sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_AT_ONCE,
                WaitTimeSeconds=wait,
                VisibilityTimeout=self._options.visibility,
            ),
            self._url,
            "sqs:ReceiveMessage",
        )
        return list(answer.get("Messages") or ())

    def _all(self, messages: list[Mapping[str, Any]]) -> Iterator[Delivery]:
        leases = [_Lease(self, str(message.get("ReceiptHandle"))) for message in messages]

        def alive() -> None:
            for lease in leases:
                lease.prolong()

        for lease, message in zip(leases, messages, strict=True):
            alive()
            if not lease.lost:
                yield from self._one(lease, message, alive)

    def _one(self, lease: _Lease, message: Mapping[str, Any], alive: Callable[[], None]) -> Iterator[Delivery]:
        try:
            events = events_in(str(message.get("Body") or ""))
        except FormatError as error:
            lease.leave()
            name = f"{self._url} message {message.get('MessageId', '')}"
            yield Delivery(None, Cursor(), (Skipped(name, f"{error.reason}; it is left for the dead-letter queue"),))
            return
        lease.expect(max(1, len(events)))
        if not events:
            yield Delivery(None, Cursor(), done=lease.settle)
        for event in events:
            alive()
            if lease.lost:
                return
            record, skipped = self._look(event, alive)
            yield Delivery(record, Cursor(), skipped, lease.settle)

    def now(self) -> float:
        """The clock by which leases end."""
        return self._clock()

    @property
    def visibility(self) -> int:
        """How long a lease lasts, in seconds."""
        return self._options.visibility

    def prolong(self, receipt: str) -> None:
        """Hide a message for another while."""
        self._store.sqs(
            lambda sqs: sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt, VisibilityTimeout=self.visibility
            ),
            self._url,
            "sqs:ChangeMessageVisibility",
        )

    def delete(self, receipt: str) -> None:
        """Be done with a message."""
        self._store.sqs(
            lambda sqs: sqs.delete_message(QueueUrl=self._url, ReceiptHandle=receipt), self._url, "sqs:DeleteMessage"
        )


class _Lease:
    """The right to work on one message."""

    def __init__(self, queue: Queue, receipt: str) -> None:
        self._queue = queue
        self._receipt = receipt
        self._lock = threading.Lock()
        self._since = queue.now()
        self._left = 0
        self._over = False

    @property
    def lost(self) -> bool:
        """Whether the message may have been given to somebody else."""
        return self._queue.now() - self._since >= self._queue.visibility

    def expect(self, count: int) -> None:
        """So many deliveries come of the message."""
        self._left = count

    def leave(self) -> None:
        """Do nothing more for it."""
        self._over = True

    def prolong(self) -> None:
        """Renew the lease, if half of it is over and it is still ours."""
        with self._lock:
            waited = self._queue.now() - self._since
            if self._over or not self._queue.visibility / 2 <= waited < self._queue.visibility:
                return
            self._queue.prolong(self._receipt)
            self._since = self._queue.now()

    def settle(self) -> None:
        """One delivery of the message is stored; after the last one the message is deleted."""
        with self._lock:
            self._left -= 1
            if self._left > 0 or self._over:
                return
            self._over = True
            self._queue.delete(self._receipt)
