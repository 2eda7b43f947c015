"""Which messages of a conversation were given already, where the service tells of whole conversations.

Invariant. A message is taken for given only if it is known to be: it is older than everything of the last minute, or it
is one of the last minute that is remembered. What is in doubt is given again, under the same id.
"""

from __future__ import annotations

import msgspec

from keysentry.connectors.microsoft.delta import digest

MARGIN = 60_000
"""Messages may become visible out of order: how much later, at most (milliseconds)."""
_KEEP = 40
"""How many messages of the last minute are remembered; this bounds the cursor."""


class Watermark(msgspec.Struct, frozen=True, array_like=True):
    """The newest time of change among the messages that were given, and the messages of the minute before it as (time,
    digest of the id). Times are UTC milliseconds.
    """

    newest: int = 0
    recent: tuple[tuple[int, str], ...] = ()

    @property
    def floor(self) -> int:
        """Everything that changed up to this time was given."""
        return max(0, self.newest - MARGIN)

    def fresh(self, changed: int, key: str) -> bool:
        """Whether the message, as it is since `changed` (0: not known), may not have been given."""
        return not changed or (changed > self.floor and (changed, digest(key)) not in self.recent)

    def seen(self, changed: int, key: str) -> Watermark:
        """With one message more."""
        newest = max(self.newest, changed)
        if changed <= newest - MARGIN:
            return self
        recent = {*self.recent, (changed, digest(key))}
        kept = sorted(one for one in recent if one[0] > newest - MARGIN)[-_KEEP:]
        return Watermark(newest, tuple(kept))
