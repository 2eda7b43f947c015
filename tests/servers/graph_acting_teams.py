"""Messages of Teams in the Graph server of our own: looked at, blocked and let through."""

from __future__ import annotations

from tests.servers.graph_acting_call import ActingCall, acting
from tests.servers.graph_call import Made, Trouble, of
from tests.servers.graph_state import Entry, Json, Space

_ACTIONS = {"none", "notifysender", "blockaccess", "blockaccessexternal"}
_OVERRIDES = ("allowfalsepositiveoverride", "allowoverridewithoutjustification", "allowoverridewithjustification")
_VERDICTS = {"none", *_OVERRIDES}


def _message(call: ActingCall, space: Space, id_: str, reply: str = "") -> Entry:
    entry = space.entries.get(id_)
    if entry is not None and reply:
        entry = next((one for one in entry.replies if one.body["id"] == reply), None)
    if entry is None:
        raise Trouble(404, "NotFound", "NotFound")
    return entry


def blocked(body: Json) -> bool:
    """Whether readers do not see a message."""
    violation = body.get("policyViolation") or {}
    user = {one.lower() for one in (violation.get("userAction") or "").split(",")}
    actions = {one.lower() for one in (violation.get("dlpAction") or "").split(",")}
    return "blockaccess" in actions and not user & {"override", "reportfalsepositive"}


def _told(call: ActingCall, entry: Entry) -> Json:
    if blocked(entry.body) and call.server.hides_blocked:
        return entry.body | {"body": {"contentType": "html", "content": ""}, "attachments": []}
    return entry.body


def _violated(call: ActingCall, entry: Entry, root: Entry) -> Made:
    body = call.json
    if set(body) != {"policyViolation"}:
        raise Trouble(400, "BadRequest", "Only policyViolation can be updated in application context.")
    if call.query.get("model", "A") != "A":
        raise Trouble(400, "BadRequest", "the model is not supported")
    if "model" in call.query and not call.server.dlp_licensed:
        raise Trouble(402, "PaymentRequired", "The tenant needs a valid license to use this API.")
    if entry.body["id"] in call.server.foreign:
        raise Trouble(403, "Forbidden", "The message was sent from another tenant.")
    if entry.body.get("deletedDateTime"):
        raise Trouble(404, "NotFound", "the message is deleted")
    violation = body["policyViolation"] or {}
    for name, known in (("dlpAction", _ACTIONS), ("verdictDetails", _VERDICTS)):
        if not {one.lower() for one in (violation.get(name) or "none").split(",")} <= known:
            raise Trouble(400, "BadRequest", f"{name} is not valid")
    if entry.body.get("policyViolation") != body["policyViolation"]:
        moment = call.tenant.tick()
        etag = str(round(call.tenant.clock.timestamp() * 1000))
        entry.body |= {"policyViolation": body["policyViolation"], "lastModifiedDateTime": moment, "etag": etag}
        entry.seq = call.tenant.seq
        root.chain_touched(entry.seq, moment)
        call.done("block" if blocked(entry.body) else "clear")
    return 200, b"", {}


_CHANNEL = "/teams/{}/channels/{}/messages/{}"


@acting("GET", _CHANNEL, "ChannelMessage.Read.All")
@acting("GET", f"{_CHANNEL}/replies/{{}}", "ChannelMessage.Read.All")
def _channel_message(call: ActingCall, team: str, channel: str, id_: str, reply: str = "") -> Made:
    space = of(of(call.tenant.teams, team).spaces, channel)
    return _told(call, _message(call, space, id_, reply))


@acting("PATCH", _CHANNEL, "ChannelMessage.UpdatePolicyViolation.All", "model")
@acting("PATCH", f"{_CHANNEL}/replies/{{}}", "ChannelMessage.UpdatePolicyViolation.All", "model")
def _block_channel(call: ActingCall, team: str, channel: str, id_: str, reply: str = "") -> Made:
    space = of(of(call.tenant.teams, team).spaces, channel)
    return _violated(call, _message(call, space, id_, reply), space.entries[id_])


@acting("GET", "/chats/{}/messages/{}", "Chat.Read.All")
def _chat_message(call: ActingCall, chat: str, id_: str) -> Made:
    return _told(call, _message(call, of(call.tenant.chats, chat), id_))


@acting("PATCH", "/chats/{}/messages/{}", "Chat.UpdatePolicyViolation.All", "model")
def _block_chat(call: ActingCall, chat: str, id_: str) -> Made:
    entry = _message(call, of(call.tenant.chats, chat), id_)
    return _violated(call, entry, entry)
