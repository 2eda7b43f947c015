"""A notifier of Teams: authors in one way, everybody else in a channel.

Whether a card was posted into a channel nobody can ask: what was under way when a process died needs a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from keysentry.connectors.base import Notice, Recipient
from keysentry.connectors.microsoft.notify import Options
from keysentry.connectors.microsoft.workflow import Workflow
from keysentry.errors import InputError, UnclearError
from keysentry.model.action import Receipt

if TYPE_CHECKING:
    from keysentry.connectors.microsoft.people import Means


class TeamsNotifier:
    """Tells people of one tenant."""

    def __init__(self, options: Options, authors: Means | None, workflow: Workflow | None) -> None:
        self._authors = authors
        self._workflow = workflow
        self._place = f"Teams ({options.name})"

    def tell(self, notice: Notice, recipient: Recipient) -> Receipt:
        """Tell it, once. Raises as `Notifier.tell` does."""
        if _somebody(recipient):
            return self._means().tell(notice, recipient)
        workflow = self._channel()
        status = workflow.post(notice.subject, notice.text, notice.links)
        evidence = {"way": "channel", "host": workflow.host, "status": str(status)}
        return Receipt(outcome="done", note="it was told in the channel, through its workflow", evidence=evidence)

    def told(self, notice: Notice, recipient: Recipient) -> Receipt | None:
        """What can be asked of an author; raises `UnclearError` for a channel."""
        if _somebody(recipient):
            return self._means().told(notice, recipient)
        raise UnclearError(
            "whether a card was posted into the channel cannot be asked",
            place=self._place,
            advice="look into the channel, and tell it by hand if it is not there",
        )

    def close(self) -> None:
        """Let go of connections."""
        if self._authors is not None:
            self._authors.close()
        if self._workflow is not None:
            self._workflow.close()

    def _means(self) -> Means:
        if self._authors is None:
            raise InputError(
                "it is not said how authors are told",
                place=self._place,
                advice="set `sender` (or `author` and `activity_type`) and how to sign in",
            )
        return self._authors

    def _channel(self) -> Workflow:
        if self._workflow is None:
            raise InputError(
                "there is no channel for notices that are for nobody in particular",
                place=self._place,
                advice="set `webhook` of the notifier",
            )
        return self._workflow


def _somebody(recipient: Recipient) -> bool:
    return bool(recipient.author_id or recipient.email)
