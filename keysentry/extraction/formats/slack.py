"""Slack exports: the archive or folder that Slack's administrators (and slackdump) write.

    channels.json groups.json dms.json mpims.json   who is where; absent or null where there are none
    users.json (org_users.json)                      who is who
    <channel>/YYYY-MM-DD.json                        a day's messages; the folder is the channel's name, or its id

Everything may lie one folder deep. Anything may be missing, null or of the wrong type: then ids stand for names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from keysentry.extraction.formats.slackmessage import Fields, decode, places, segments, to_bytes
from keysentry.extraction.jsonpath import array_elements
from keysentry.model.finding import Skipped
from keysentry.model.record import Audience, Exposure, Part, Record, Segment

__all__ = [
    "Channel",
    "Elements",
    "Workspace",
    "day_channel",
    "elements",
    "is_export",
    "message_record",
    "places",
    "record",
]

ChannelKind = Literal["public", "private", "dm", "mpim", "unknown"]

_LISTS: tuple[tuple[str, ChannelKind], ...] = (
    ("channels.json", "public"),
    ("groups.json", "private"),
    ("dms.json", "dm"),
    ("mpims.json", "mpim"),
)
_USERS = ("users.json", "org_users.json")
_DAY = re.compile(r"(?:([^/]+)/)?([^/]+)/\d{4}-\d\d-\d\d\.json")
_TOP = re.compile(r"(?:([^/]+)/)?(channels|groups|dms|mpims|users|org_users)\.json")
_DOMAIN = re.compile(
    rb"https?:\\?/\\?/([a-z0-9][a-z0-9-]*(?:\.enterprise)?)\.slack\.com\\?/(?:archives|files)\\?/"
    rb"|\"(?:team_)?domain\"\s{0,4}:\s{0,4}\"([a-z0-9][a-z0-9-]*)\""
)
_DOMAIN_DAYS = 8
"""In how many days' messages the name of the workspace is looked for: any link to a message or file has it."""


class Channel(msgspec.Struct, frozen=True):
    """A conversation. `title` is how a person calls it: `#general`, `@alice`; `members` is None if not known."""

    id: str
    name: str
    kind: ChannelKind = "unknown"
    title: str = ""
    members: int | None = None
    external: bool = False

    @property
    def audience(self) -> Audience:
        """Who can read it. A public channel is open to all of the workspace; a shared one to another company too."""
        if self.external:
            return "external"
        if self.kind == "public":
            return "internal"
        return "unknown" if self.kind == "unknown" else "private"


class _Profile(msgspec.Struct):
    display_name: str | None = None
    real_name: str | None = None


class _User(msgspec.Struct):
    id: str
    name: str | None = None
    real_name: str | None = None
    profile: _Profile | None = None


class _Conversation(msgspec.Struct):
    id: str
    name: str | None = None
    user: str | None = None
    members: list[str] | None = None
    num_members: int | None = None
    is_private: bool | None = None
    is_ext_shared: bool | None = None


class Workspace(msgspec.Struct, frozen=True):
    """Who is who and what is where: names by user id, channels by the name of their folder and by their id."""

    root: str = ""
    domain: str = ""
    users: dict[str, str] = {}
    channels: dict[str, Channel] = {}

    @classmethod
    def read(cls, read: Callable[[str], bytes | None], names: Iterable[str]) -> tuple[Workspace, list[Skipped]]:
        """Read the lists of an export; what of them cannot be read is told and done without.

        `read` gives the content of a member by name, None if it cannot be had; `names` are all the members' names.
        """
        tops, days = _survey(names)
        root = _root(tops)
        reader = _ListReader(read, {name for name in tops if name.startswith(root)})
        users = {user.id: _user_name(user) for user in _users(reader, root)}
        channels: dict[str, Channel] = {}
        for file, kind in _LISTS:
            for conversation in reader.items(root + file, _Conversation):
                channel = _channel(conversation, kind, users)
                channels.setdefault(channel.id, channel)
                channels.setdefault(channel.name, channel)
        domain = reader.domain or _find_domain(read, days)
        return cls(root=root, domain=domain, users=users, channels=channels), reader.skipped

    def user(self, id: str) -> str:
        """A user's name; the id where it is not known."""
        return self.users.get(id, id)

    def channel(self, id: str) -> str:
        """A channel's name; the id where it is not known."""
        found = self.channels.get(id)
        return found.name if found else id


class _ListReader:
    """Reads the lists of an export item by item, so that one bad item costs only itself."""

    def __init__(self, read: Callable[[str], bytes | None], present: set[str]) -> None:
        self._read = read
        self._present = present
        self.skipped: list[Skipped] = []
        self.domain = ""

    def items(self, name: str, form: type[Any]) -> list[Any]:
        """The good items of a list; what is wrong with the others goes to `skipped`."""
        data = self._read(name) if name in self._present else None
        if not data or data.strip() in (b"null", b"[]", b""):
            return []
        self.domain = self.domain or _domain_in(data)
        found = elements(data)
        decoder = msgspec.json.Decoder(form)
        good: list[Any] = []
        bad = ""
        for start, end in found.spans:
            try:
                good.append(decoder.decode(data[start:end]))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                bad = bad or str(error)
        if found.damage or bad:
            reason = found.damage or f"an entry cannot be read: {bad}"
            self.skipped.append(Skipped(name, f"{reason}; ids stand for the names it would give", bool(good)))
        return good


def _users(reader: _ListReader, root: str) -> list[_User]:
    return [user for name in _USERS for user in reader.items(root + name, _User)]


def _survey(names: Iterable[str]) -> tuple[set[str], list[str]]:
    """The lists among the names of members, and the first of the days."""
    tops: set[str] = set()
    days: list[str] = []
    for name in names:
        if name.endswith("s.json") and _TOP.fullmatch(name):
            tops.add(name)
        elif len(days) < _DOMAIN_DAYS and _DAY.fullmatch(name):
            days.append(name)
    return tops, days


def _root(tops: set[str]) -> str:
    """The folder that the lists lie in, with its slash: the shortest that has a list of conversations."""
    roots = {name.rpartition("/")[0] for name in tops if not name.endswith("users.json")}
    root = min(roots, key=lambda name: (len(name), name), default="")
    return f"{root}/" if root else ""


def is_export(names: Iterable[str]) -> bool:
    """Whether these are the members of a Slack export: a list of conversations, and users or a day's messages."""
    tops, days = _survey(names)
    conversations = any(not name.endswith("users.json") for name in tops)
    users = any(name.endswith("users.json") for name in tops)
    return conversations and (users or bool(days))


def day_channel(name: str, workspace: Workspace) -> Channel | None:
    """The channel whose day a member is (`general/2024-01-02.json`); None if it is none.

    A folder that no list names is still a channel: one of which only that much is known.
    """
    match = _DAY.fullmatch(name)
    if match is None or (f"{match[1]}/" if match[1] else "") != workspace.root:
        return None
    folder = match[2]
    found = workspace.channels.get(folder)
    if found is not None:
        return found
    kind: ChannelKind = "dm" if re.fullmatch(r"D[0-9A-Z]{8,}", folder) else "unknown"
    return Channel(folder, folder, kind, folder if kind == "dm" else f"#{folder}")


def _user_name(user: _User) -> str:
    profile = user.profile or _Profile()
    return profile.display_name or user.name or profile.real_name or user.real_name or user.id


def _channel(conversation: _Conversation, kind: ChannelKind, users: dict[str, str]) -> Channel:
    members = conversation.members or []
    name = conversation.name or conversation.id
    people = [users.get(member, member) for member in members]
    if kind == "dm":
        others = [users.get(conversation.user, conversation.user)] if conversation.user else people
        title = ", ".join(f"@{person}" for person in others) or name
    elif kind == "mpim":
        title = ", ".join(people) or name
    else:
        title = f"#{name}"
        kind = "private" if conversation.is_private else kind
    count = len(members) or conversation.num_members
    return Channel(conversation.id, name, kind, title, count, bool(conversation.is_ext_shared))


def _domain_in(data: bytes) -> str:
    match = _DOMAIN.search(data)
    return (match[1] or match[2]).decode() if match else ""


def _find_domain(read: Callable[[str], bytes | None], days: Sequence[str]) -> str:
    for name in days:
        if domain := _domain_in(read(name) or b""):
            return domain
    return ""


# -- messages -------------------------------------------------------------------------------------------------------


class Elements(NamedTuple):
    """The elements of a JSON array as spans of its bytes. `damage` says what is wrong; empty if nothing is."""

    spans: list[tuple[int, int]]
    damage: str


_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_BETWEEN = re.compile(rb"[\s,]*+")


def elements(data: bytes) -> Elements:
    """The elements of the array that a file is. Of one that is damaged or cut off, those before the damage."""
    begin = data.find(b"[") + 1
    try:
        raws = _RAWS.decode(data[3:] if data.startswith(b"\xef\xbb\xbf") else data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _sound_elements(data, str(error))
    spans: list[tuple[int, int]] = []
    position = begin
    for raw in raws:
        view = memoryview(raw)
        if view[0] == 0x7B:
            start = data.index(b"{", position)
        else:
            gap = _BETWEEN.match(data, position)
            start = gap.end() if gap else position
        position = start + len(view)
        spans.append((start, position))
    return Elements(spans, "")


def _sound_elements(data: bytes, reason: str) -> Elements:
    """The elements that are sound by themselves, of a file that is not as a whole."""
    found, complete = array_elements(data)
    sound = [span for span in found if _is_sound(data[span[0] : span[1]])]
    if complete and len(sound) == len(found):
        return Elements(sound, "")  # only nested deeper than the decoder goes
    if not found:
        return Elements([], f"it is not a JSON array that can be read ({reason})")
    lost = f"{len(found) - len(sound)} damaged, " if len(sound) < len(found) else ""
    end = "" if complete else ", and what follows cannot be read"
    return Elements(sound, f"its JSON is damaged: {lost}{len(sound)} elements are sound{end} ({reason})")


def _is_sound(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except RecursionError:
        return True
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def record(raw: bytes, channel: Channel, workspace: Workspace, *, path: str = "", member: str = "") -> Record:
    """One message, decoded in full. `raw` is its JSON; `path` and `member` say which file it is from."""
    message = decode(raw)
    if not isinstance(message, dict):
        found = message_record({}, channel, workspace, path=path, member=member)
        return msgspec.structs.replace(found, parts=(Part(segment=Segment(raw)),))
    return message_record(message, channel, workspace, path=path, member=member)


def message_record(
    message: Fields, channel: Channel, workspace: Workspace, *, path: str = "", member: str = ""
) -> Record:
    """One message that is decoded already. Any field may be missing, null or of the wrong type."""
    ts = _string(message, "ts")
    author_id, author = _author(message, workspace)
    time = _seconds(ts)
    words = segments(message, workspace.user, workspace.channel)
    return Record(
        id=f"{channel.id}/{ts}",
        parts=(Part(words[0]),) if len(words) == 1 else tuple(map(Part, words)),
        unit=channel.id,
        author=author,
        author_id=author_id,
        time=time,
        container=channel.title or channel.name,
        uri=_permalink(message, ts, channel, workspace),
        path=path,
        member=member,
        chat=True,
        exposure=Exposure(channel.audience, channel.members, time),
    )


def _string(fields: Fields, key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else to_bytes(value).decode("utf-8", "replace")


def _object(fields: Fields, key: str) -> Fields:
    value = fields.get(key)
    return value if isinstance(value, dict) else {}


def _author(message: Fields, workspace: Workspace) -> tuple[str, str]:
    """Id and name of who wrote a message: a person, or a bot."""
    user = _string(message, "user")
    user = user or _string(_object(message, "message"), "user") or _string(_object(message, "comment"), "user")
    known = workspace.users.get(user) if user else ""
    if known:
        return user, known
    named = _string(message, "username")
    if user:
        profile = _object(message, "user_profile")
        return user, _string(profile, "display_name") or _string(profile, "real_name") or named or user
    bot = _object(message, "bot_profile")
    bot_id = _string(message, "bot_id") or _string(bot, "id")
    return bot_id, named or _string(bot, "name") or bot_id


def _seconds(ts: str) -> float | None:
    try:
        return float(ts)
    except ValueError:
        return None


def _permalink(message: Fields, ts: str, channel: Channel, workspace: Workspace) -> str:
    if not ts:
        return ""
    domain = workspace.domain
    if not domain:
        # Without the workspace's own domain there is still the client's address, by the team's id.
        team = _string(message, "team")
        if team:
            return f"https://app.slack.com/client/{team}/{channel.id}/p{ts.replace('.', '')}"
        return (
            f"slack://channel?id={channel.id}&message={ts}"  # no export says less: it names the place, if not the site
        )
    link = f"https://{domain}.slack.com/archives/{channel.id}/p{ts.replace('.', '')}"
    if "thread_ts" not in message:
        return link
    thread = _string(message, "thread_ts")
    return f"{link}?thread_ts={thread}&cid={channel.id}" if thread and thread != ts else link
