"""What a check is and what it answers."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from keysentry.model.finding import Lifetime


class Verdict(msgspec.Struct, frozen=True):
    """A check's answer.

    `valid`: True proves the value (a checksum holds), False kills it (it cannot be what it looks like), None says
    nothing. `text` says why, without the value. `lifetime` is what the value itself tells (a JWT's `exp`); `facts`
    are things it gives away that are worth knowing and are not secret (an account id, an expiry), as (name, value).
    """

    valid: bool | None
    text: str
    lifetime: Lifetime | None = None
    facts: tuple[tuple[str, str], ...] = ()


Check = Callable[[bytes], Verdict]
"""A pure function of the matched secret. It never raises on any bytes."""
