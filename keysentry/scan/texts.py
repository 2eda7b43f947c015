"""Many short texts, scanned together: the fast way for messages and cells.

Algorithm. As many texts as fill a buffer are joined with line ends between them; one call of the prefilter looks at
all of them. Only where it reports something are offsets worked out, so that a text without a hit costs no more than
its place in the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from keysentry.engine.arena import by_segment
from keysentry.engine.engine import Engine, Result

if TYPE_CHECKING:
    from keysentry.engine.score import Nature

BATCH = 2048
"""How many texts are joined at most."""
BATCH_BYTES = 1 << 21
"""How many characters are joined at most, but for a single text that is longer."""

Text = str | bytes


def batches(texts: Iterable[Text]) -> Iterator[Sequence[Text]]:
    """Cut a stream of texts into lists of at most `BATCH` texts and, where they are long, about `BATCH_BYTES`
    characters.
    """
    stream = iter(texts)
    while batch := list(islice(stream, BATCH)):
        yield from (batch,) if sum(map(len, batch)) <= 2 * BATCH_BYTES else _cut(batch)


def _cut(batch: list[Text]) -> Iterator[Sequence[Text]]:
    part: list[Text] = []
    size = 0
    for text in batch:
        if part and size + len(text) > BATCH_BYTES:
            yield part
            part, size = [], 0
        part.append(text)
        size += len(text)
    yield part


def encode(text: Text) -> bytes:
    """A text as UTF-8; lone surrogates are kept, so that nothing is refused."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def encoded(batch: Sequence[Text]) -> Sequence[bytes]:
    """The texts of a batch as UTF-8."""
    if set(map(type, batch)) == {bytes}:
        return batch  # type: ignore[return-value]
    try:
        return [text.encode() for text in batch]  # type: ignore[union-attr]
    except (AttributeError, UnicodeEncodeError):
        return [encode(text) for text in batch]


def scan_batch(
    engine: Engine, batch: Sequence[Text], nature: Nature | None = None
) -> Iterator[tuple[int, int, Result]]:
    """Scan the texts of one batch: (number of the text, where it begins in the joined buffer, its result), where it
    has one.
    """
    texts = encoded(batch)
    buffer = b"\n".join(texts)
    events = engine.events(buffer)
    if not events:
        return
    following = list(accumulate(map((1).__add__, map(len, texts))))
    starts = [0, *following[:-1]]
    ends = [start - 1 for start in following]
    for number, found in by_segment(events, starts, ends):
        result = engine.judge(buffer, (starts[number], ends[number]), found, nature)
        if result.matches or result.below or result.slow:
            yield number, starts[number], result
