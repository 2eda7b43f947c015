"""Gmail against an emulator that others wrote: `emulate` 0.12.2. Only the profile of the mailbox is answered by us."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keysentry.connectors.google import Options
from keysentry.connectors.google.source import GoogleSource
from keysentry.model.record import Unit
from keysentry.model.sensitive import Sensitive
from tests.connectors.google.conftest import ANN, TOKEN, UNLIMITED
from tests.connectors.google.worlds import mail, read, said, told
from tests.servers.emulate_google import EmulatedGmail, emulated_gmail

pytestmark = pytest.mark.xdist_group("google")


@pytest.fixture(scope="module")
def gmail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedGmail]:
    """The emulator."""
    with emulated_gmail(tmp_path_factory.mktemp("emulate"), TOKEN, ANN) as server:
        yield server


def opened(gmail: EmulatedGmail) -> GoogleSource:
    """A source that reads it."""
    only = {"drive": False, "shared_drives": False, "gmail": True}
    return GoogleSource(Options(name="g", token=Sensitive(TOKEN), base_url=gmail.url, **only, **UNLIMITED))  # type: ignore[arg-type]


def test_a_mailbox_is_read_resumed_and_followed(gmail: EmulatedGmail) -> None:
    source = opened(gmail)
    (unit,) = source.units()
    assert isinstance(unit, Unit) and unit.id == f"mail:{ANN}"
    ids = []
    for number in range(5):
        message = mail(f"the words {number}")
        message.add_alternative(f"<p>the <b>words</b> {number}</p>", subtype="html")
        message.add_attachment(b"data" * 900, maintype="application", subtype="octet-stream", filename="a.bin")
        ids.append(f"{unit.id}/{gmail.receive(message)}")
    first = read(source, unit)
    assert set(ids) <= set(said(first))
    assert len(said(first)) == len(set(said(first)))
    record = next(one.record for one in first if one.record is not None and one.record.id == ids[2])
    words = [part.segment.text for part in record.parts if part.segment]
    assert any(b"the words 2" in one for one in words)
    (attachment,) = (part for part in record.parts if part.open)
    assert attachment.open is not None
    assert (attachment.name, b"".join(attachment.open())) == ("a.bin", b"data" * 900)
    for number, delivery in enumerate(first):
        rest = read(source, unit, delivery.cursor)
        assert [told(one) for one in rest] == [told(one) for one in first[number + 1 :]]
    new = f"{unit.id}/{gmail.receive(mail('news'))}"
    gmail.trash(ids[0].rpartition("/")[2])
    gmail.trash(ids[1].rpartition("/")[2])
    gmail.restore(ids[1].rpartition("/")[2])
    gmail.delete(ids[3].rpartition("/")[2])
    second = read(source, unit, first[-1].cursor)
    assert said(second)[0] == new
    assert {f"-{ids[0]}", ids[1], f"-{ids[3]}"} <= set(said(second))
    for number, delivery in enumerate(second):
        assert said(read(source, unit, delivery.cursor)) == said(second[number + 1 :])
    assert read(source, unit, second[-1].cursor) == []
    source.close()
