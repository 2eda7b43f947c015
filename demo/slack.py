"""A Slack workspace's export, as Slack's own tool writes it: a zip of JSON day files, one folder a conversation."""

from __future__ import annotations

import datetime
import html
import json
import random
import re
import tomllib
import zipfile
from pathlib import Path

from demo.planting import Planter

WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
FIRST_DAY = datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)
DAYS = 12
MESSAGES = 40
"""How many messages a busy channel gets on all days together, besides replies."""

Message = dict[str, object]


class Workspace:
    """The conversations of a small company over some days, growing message by message."""

    def __init__(self, rng: random.Random, planter: Planter, path: str) -> None:
        self._rng = rng
        self._planter = planter
        self._path = path
        self._users = [self._user(name) for name in WORDS["people"]]
        self._rooms = [*self._named("channels", "C"), *self._named("groups", "G"), *self._direct()]
        self._days: dict[str, list[Message]] = {}

    def write(self, target: Path) -> None:
        """Fill the conversations and write them as one zip."""
        waiting: dict[str, list[dict[str, str]]] = {}
        for secret in WORDS["secret"]:
            waiting.setdefault(secret["channel"], []).append(secret)
        for room in self._rooms:
            name = room["name"] if room["kind"] == "named" else room["kind"]
            self._fill(room, waiting.pop(str(name), []))
        if waiting:
            raise SystemExit(f"words.toml plants into conversations that do not exist: {', '.join(waiting)}")
        lists = {"channels": "C", "groups": "G", "dms": "D", "mpims": "M"}
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as export:
            self._add(export, "users.json", self._users)
            for name, letter in lists.items():
                self._add(export, f"{name}.json", [room["entry"] for room in self._rooms if room["letter"] == letter])
            for day, messages in sorted(self._days.items()):
                self._add(export, day, sorted(messages, key=lambda message: str(message["ts"])))

    def _add(self, export: zipfile.ZipFile, name: str, content: object) -> None:
        entry = zipfile.ZipInfo(name, (2026, 3, 20, 9, 0, 0))
        text = json.dumps(content, indent=4).replace("/", "\\/")  # Slack escapes slashes
        export.writestr(entry, text, zipfile.ZIP_DEFLATED)

    def _id(self, letter: str) -> str:
        return letter + "".join(self._rng.choices("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ", k=10))

    def _user(self, real_name: str) -> dict[str, object]:
        name = real_name.split()[0].lower()
        profile = {"real_name": real_name, "display_name": name, "email": f"{name}@shop.example.com", "title": ""}
        return {
            "id": self._id("U"), "team_id": "T0SHOP00001", "name": name, "deleted": False, "real_name": real_name,
            "tz": "Europe/Amsterdam", "profile": profile, "is_admin": name == "ana", "is_bot": False,
        }  # fmt: skip

    def _named(self, kind: str, letter: str) -> list[dict[str, object]]:
        members = [user["id"] for user in self._users]
        rooms = []
        for name in WORDS[kind]:
            entry = {
                "id": self._id(letter), "name": name, "created": 1700000000, "creator": members[0],
                "is_archived": False, "is_general": name == "general", "members": members,
                "topic": {"value": "", "creator": "", "last_set": 0},
                "purpose": {"value": f"All about {name}", "creator": members[0], "last_set": 1700000000},
            }  # fmt: skip
            rooms.append({"kind": "named", "name": name, "folder": name, "letter": letter, "entry": entry})
        return rooms

    def _direct(self) -> list[dict[str, object]]:
        ids = [str(user["id"]) for user in self._users]
        names = [str(user["name"]) for user in self._users[2:5]]
        dm = {"id": self._id("D"), "created": 1700000000, "members": ids[:2]}
        name = f"mpdm-{'--'.join(names)}-1"
        mpim = {"id": self._id("G"), "name": name, "created": 1700000000, "creator": ids[2], "members": ids[2:5]}
        return [
            {"kind": "dm", "name": dm["id"], "folder": dm["id"], "letter": "D", "entry": dm},
            {"kind": "mpim", "name": name, "folder": name, "letter": "M", "entry": mpim},
        ]

    def _fill(self, room: dict[str, object], secrets: list[dict[str, str]]) -> None:
        """Talk on every day; the secrets stand at places spread over the days."""
        count = MESSAGES if room["kind"] == "named" else MESSAGES // 3
        moments = sorted(self._rng.sample(range(DAYS * 9 * 3600), count))
        planted = dict(zip(sorted(self._rng.sample(range(count), len(secrets))), secrets, strict=True))
        for number, moment in enumerate(moments):
            day, second = divmod(moment, 9 * 3600)
            time = FIRST_DAY + datetime.timedelta(days=day + day // 5 * 2, hours=8, seconds=second)
            if number in planted:
                self._secret(room, time, planted[number])
            elif self._rng.random() < 0.12:
                self._bot(room, time, self._sentence("bot"))
            else:
                self._thread(room, time)

    def _sentence(self, kind: str) -> str:
        """A line of talk with its words chosen."""
        words = {name: self._rng.choice(choices) for name, choices in WORDS["lists"].items()}
        return self._planter.plant(self._rng.choice(WORDS["talk"][kind])).format_map(words)

    def _thread(self, room: dict[str, object], time: datetime.datetime) -> None:
        parent = self._say(room, time, self._sentence("lines"))
        if self._rng.random() < 0.15:
            for step in range(self._rng.randint(1, 3)):
                self._reply(room, parent, time + datetime.timedelta(minutes=2 + step * 5), self._sentence("replies"))

    def _secret(self, room: dict[str, object], time: datetime.datetime, secret: dict[str, str]) -> None:
        """Put one planted credential into the form that its entry asks for."""
        form = secret["form"]
        if form == "attachment":
            self._bot(room, time, secret["text"])
        elif form == "reply":
            parent = self._say(room, time, self._sentence("lines"))
            self._reply(room, parent, time + datetime.timedelta(minutes=3), secret["text"])
        elif form == "snippet":
            message = self._say(room, time, "does this work for anyone?")
            preview = self._place(room, message, secret["text"])
            message["files"] = [self._file(message, preview)]
            message["upload"] = True
        else:
            message = self._say(room, time, secret["text"])
            if form == "edited":
                message["edited"] = {"user": message["user"], "ts": f"{time.timestamp() + 95:.0f}.000000"}

    def _file(self, message: Message, preview: str) -> dict[str, object]:
        identity = self._id("F")
        return {
            "id": identity, "name": "try_it.py", "title": "try_it.py", "mimetype": "text/plain", "filetype": "python",
            "user": message["user"], "size": len(preview), "mode": "snippet", "is_external": False, "preview": preview,
            "url_private": f"https://files.slack.com/files-pri/T0SHOP00001-{identity}/try_it.py",
        }  # fmt: skip

    def _say(self, room: dict[str, object], time: datetime.datetime, text: str) -> Message:
        members = room["entry"]["members"]  # type: ignore[index]
        message: Message = {
            "client_msg_id": self._planter.plant("{{uuid}}"), "type": "message",
            "user": self._rng.choice(members), "ts": f"{time.timestamp():.0f}.{self._rng.randrange(1_000_000):06d}",
            "team": "T0SHOP00001",
        }  # fmt: skip
        text = self._place(room, message, text)
        message["text"] = html.escape(text, quote=False) if not re.search(r"<https?:", text) else text
        if text == message["text"] and "```" not in text and "<" not in text:
            run = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
            message["blocks"] = [{"type": "rich_text", "block_id": self._id("b"), "elements": [run]}]
        if self._rng.random() < 0.2:
            users = self._rng.sample(members, min(2, len(members)))
            message["reactions"] = [{"name": self._rng.choice(WORDS["emoji"]), "users": users, "count": len(users)}]
        self._day(room, time).append(message)
        return message

    def _reply(self, room: dict[str, object], parent: Message, time: datetime.datetime, text: str) -> None:
        reply = self._say(room, time, text)
        reply["thread_ts"] = parent["thread_ts"] = parent["ts"]
        reply["parent_user_id"] = parent["user"]
        replies = parent.setdefault("replies", [])
        assert isinstance(replies, list)
        replies.append({"user": reply["user"], "ts": reply["ts"]})
        parent["reply_count"] = len(replies)
        parent["latest_reply"] = reply["ts"]

    def _bot(self, room: dict[str, object], time: datetime.datetime, text: str) -> None:
        message: Message = {
            "type": "message", "subtype": "bot_message", "username": "buildbot", "bot_id": "B0SHOP00001", "text": "",
            "ts": f"{time.timestamp():.0f}.{self._rng.randrange(1_000_000):06d}",
        }  # fmt: skip
        text = self._place(room, message, text)
        good = "failed" not in text
        message["attachments"] = [
            {"id": 1, "fallback": text, "text": text, "color": "36a64f" if good else "d40e0d", "mrkdwn_in": ["text"]}
        ]
        self._day(room, time).append(message)

    def _place(self, room: dict[str, object], message: Message, text: str) -> str:
        """Plant into a text of a message, noting the message."""
        author = next((user["name"] for user in self._users if user["id"] == message.get("user")), "buildbot")
        day = datetime.datetime.fromtimestamp(float(str(message["ts"])), tz=datetime.UTC).date()
        return self._planter.plant(
            text, path=self._path, member=f"{room['folder']}/{day}.json", channel=str(room["name"]),
            author=str(author), ts=str(message["ts"]),
        )  # fmt: skip

    def _day(self, room: dict[str, object], time: datetime.datetime) -> list[Message]:
        return self._days.setdefault(f"{room['folder']}/{time.date()}.json", [])
