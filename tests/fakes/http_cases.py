"""One good request for each route of the public API, in an order in which they all succeed."""

from hashlib import sha256
from typing import Any, NamedTuple

from cooee.domain.ids import DeviceRef
from cooee.ports.media import MediaState
from cooee.ports.webhooks import DeadLetter, Part
from tests.fakes.asgi import AsgiClient, Reply
from tests.fakes.device_keys import AccountKey, identity, publication
from tests.fakes.house import House

DIRECT = "dm:alice:bob"
LOG_IN = {"userId": "carol", "password": "correct horse", "device": {"name": "Laptop", "type": "desktop"}}

FILE = b"a few bytes"
UPLOAD = {"contentType": "text/plain", "size": len(FILE), "sha256": sha256(FILE).hexdigest(), "filename": "few.txt"}


class Case(NamedTuple):
    """A request that alice makes. What stands in braces is filled in from former answers."""

    operation: str
    method: str
    target: str
    body: Any = None


CASES = (
    Case("register", "POST", "/v1/accounts", {"userId": "carol", "password": "correct horse", "displayName": "Carol"}),
    Case("logIn", "POST", "/v1/sessions", LOG_IN),
    Case("getSession", "GET", "/v1/sessions/current"),
    Case("listDevices", "GET", "/v1/devices?limit=10"),
    Case(
        "changePassword", "PUT", "/v1/me/password", {"currentPassword": "correct horse", "newPassword": "new horse 1"}
    ),
    Case("newRecoveryCodes", "POST", "/v1/me/recovery-codes"),
    Case("getMe", "GET", "/v1/me"),
    Case(
        "patchMe",
        "PATCH",
        "/v1/me",
        {"displayName": "Alice Liddell", "about": "curious", "privacy": {"lastSeen": "nobody"}},
    ),
    Case("getUser", "GET", "/v1/users/bob"),
    Case("searchUsers", "GET", "/v1/users?query=bob"),
    Case("putContact", "PUT", "/v1/contacts/bob"),
    Case("listContacts", "GET", "/v1/contacts"),
    Case("deleteContact", "DELETE", "/v1/contacts/bob"),
    Case("putBlock", "PUT", "/v1/blocks/bob"),
    Case("listBlocks", "GET", "/v1/blocks"),
    Case("deleteBlock", "DELETE", "/v1/blocks/bob"),
    Case(
        "sendMessage",
        "POST",
        "/v1/messages",
        {"clientMessageId": "m1", "to": "bob", "contentType": "text", "content": "hi"},
    ),
    Case("listConversations", "GET", "/v1/conversations"),
    Case("getConversation", "GET", f"/v1/conversations/{DIRECT}"),
    Case("patchConversation", "PATCH", f"/v1/conversations/{DIRECT}", {"pinned": True, "mutedUntil": -1}),
    Case("getMessages", "GET", f"/v1/conversations/{DIRECT}/messages?after=0&limit=10"),
    Case("getReceipts", "GET", f"/v1/conversations/{DIRECT}/receipts?sequenceNumber=1"),
    Case("deleteMessage", "DELETE", f"/v1/conversations/{DIRECT}/messages/1"),
    Case("requestUpload", "POST", "/v1/media/uploads", UPLOAD),
    Case("completeUpload", "POST", "/v1/media/{mediaKey}/complete", {"uploadId": "u1"}),
    Case("getMedia", "GET", "/v1/media/{mediaKey}?redirect=false"),
    Case("putKeys", "PUT", "/v1/keys", publication("d")),
    Case("getKeyStatus", "GET", "/v1/keys/status"),
    Case("putDeviceList", "PUT", "/v1/users/alice/device-list", {"payload": "{list}", "signature": "{listSignature}"}),
    Case("getDeviceList", "GET", "/v1/users/alice/device-list"),
    Case("getDeviceLists", "POST", "/v1/device-lists", {"users": [{"userId": "bob"}, {"userId": "alice"}]}),
    Case("claimKeys", "POST", "/v1/keys/claim", {"devices": [{"userId": "alice", "deviceId": "{own}"}]}),
    Case("setEncryption", "PUT", f"/v1/conversations/{DIRECT}/encryption", {"mode": "plain"}),
    Case("createGroup", "POST", "/v1/groups", {"name": "Tea", "memberIds": ["bob"]}),
    Case("getGroup", "GET", "/v1/groups/{group}"),
    Case("patchGroup", "PATCH", "/v1/groups/{group}", {"name": "Tea party"}),
    Case("addGroupMembers", "POST", "/v1/groups/{group}/members", {"userIds": ["carol"]}),
    Case("setGroupRole", "PUT", "/v1/groups/{group}/members/bob/role", {"role": "admin"}),
    Case("removeGroupMember", "DELETE", "/v1/groups/{group}/members/carol"),
    Case("createGroupInvite", "POST", "/v1/groups/{group}/invite", {"maxUses": 3}),
    Case("joinGroup", "POST", "/v1/join", {"token": "{token}"}),
    Case("deleteGroupInvite", "DELETE", "/v1/groups/{group}/invite"),
    Case("deleteGroup", "DELETE", "/v1/groups/{group}"),
    Case("createBot", "POST", "/v1/bots", {"userId": "echo", "displayName": "Echo"}),
    Case("listBots", "GET", "/v1/bots"),
    Case("getBot", "GET", "/v1/bots/echo"),
    Case("patchBot", "PATCH", "/v1/bots/echo", {"displayName": "Echo, echo", "about": "says it again"}),
    Case("createBotToken", "POST", "/v1/bots/echo/tokens", {"name": "laptop", "scopes": ["messages:read"]}),
    Case("listBotTokens", "GET", "/v1/bots/echo/tokens"),
    Case("revokeBotToken", "DELETE", "/v1/bots/echo/tokens/{botToken}"),
    Case("createIncomingHook", "POST", "/v1/bots/echo/incoming", {"name": "ci", "conversationId": "dm:alice:echo"}),
    Case("listIncomingHooks", "GET", "/v1/bots/echo/incoming"),
    Case("rotateIncomingHook", "POST", "/v1/bots/echo/incoming/{hook}/rotate"),
    Case("postToHook", "POST", "{hookPath}", {"text": "the build is green"}),
    Case("deleteIncomingHook", "DELETE", "/v1/bots/echo/incoming/{hook}"),
    Case("createWebhook", "POST", "/v1/bots/echo/webhooks", {"url": "https://example.org/hook", "events": ["message"]}),
    Case("listWebhooks", "GET", "/v1/bots/echo/webhooks"),
    Case("getWebhook", "GET", "/v1/bots/echo/webhooks/{webhook}"),
    Case("patchWebhook", "PATCH", "/v1/bots/echo/webhooks/{webhook}", {"events": ["message", "system"]}),
    Case("testWebhook", "POST", "/v1/bots/echo/webhooks/{webhook}/test"),
    Case("rotateWebhook", "POST", "/v1/bots/echo/webhooks/{webhook}/rotate"),
    Case("listDeadLetters", "GET", "/v1/bots/echo/webhooks/{webhook}/dead-letters"),
    Case("retryDeadLetter", "POST", "/v1/bots/echo/webhooks/{webhook}/dead-letters/{letter}/retry"),
    Case("retryDeadLetters", "POST", "/v1/bots/echo/webhooks/{webhook}/dead-letters/retry"),
    Case("deleteWebhook", "DELETE", "/v1/bots/echo/webhooks/{webhook}"),
    Case("deleteBot", "DELETE", "/v1/bots/echo"),
    Case("putPushSubscription", "PUT", "/v1/push/subscription", {"platform": "fcm", "token": "a-token"}),
    Case("getPushSubscription", "GET", "/v1/push/subscription"),
    Case("deletePushSubscription", "DELETE", "/v1/push/subscription"),
    Case("getVapidKey", "GET", "/v1/push/vapid-key"),
    Case("poll", "POST", "/v1/poll", {"requestNumber": 1, "frames": [{"type": "hello", "token": "x"}], "waitMs": 0}),
    Case("exportAccount", "GET", "/v1/me/export"),
    Case("getHealthz", "GET", "/healthz"),
    Case("getReadyz", "GET", "/readyz"),
    Case("getMetrics", "GET", "/metrics"),
    Case("getOpenapi", "GET", "/v1/openapi.json"),
    Case("getAsyncapi", "GET", "/v1/asyncapi.json"),
    Case("getLanding", "GET", "/"),
    Case("revokeDevice", "DELETE", "/v1/devices/{device}"),
    Case("logOut", "DELETE", "/v1/sessions/current"),
    Case("recover", "POST", "/v1/recover", {"userId": "alice", "code": "{code}", "newPassword": "correct horse"}),
    Case("deleteAccount", "DELETE", "/v1/me"),
)


def filled(value: Any, names: dict[str, str]) -> Any:
    """Return ``value`` with ``{name}`` replaced in its strings."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {key: filled(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, names) for each in value]
    return value


_GIVES = {
    "requestUpload": {"mediaKey": "mediaKey"},
    "createGroup": {"group": "conversationId"},
    "createGroupInvite": {"token": "token"},
    "createBotToken": {"botToken": "tokenId"},
    "createIncomingHook": {"hook": "hookId"},
    "rotateIncomingHook": {"hookPath": "path"},
    "createWebhook": {"webhook": "webhookId"},
}
"""What later requests need of an answer: the name in braces, and the field."""


async def tour(house: House) -> list[tuple[Case, Reply]]:
    """Make every request of `CASES` and return what came back."""
    alice = await house.person("alice")
    await house.person("bob")
    names: dict[str, str] = {}
    found = []
    for case in CASES:
        if case.operation == "revokeDevice":
            names["device"] = await _another_device(house, alice)
        if case.operation == "putDeviceList":
            names |= await _own_list(alice)
        if case.operation == "completeUpload":
            house.blobs.put(names["mediaKey"], FILE, "text/plain")
        if case.operation == "getMedia":
            await house.ports.media.update(names["mediaKey"], MediaState.READY, b"{}")
        if case.operation == "listDeadLetters":
            names["letter"] = await bury_one(house, DeviceRef("echo", names["webhook"]))
        if case.operation == "deleteAccount":
            alice = alice.having(await house.log_in("alice"))
        reply = await alice.request(case.method, filled(case.target, names), filled(case.body, names))
        if case.operation == "newRecoveryCodes":
            names["code"] = reply.json["codes"][0]
        for name, field in _GIVES.get(case.operation, {}).items():
            names[name] = reply.json[field]
        found.append((case, reply))
    return found


async def bury_one(house: House, ref: DeviceRef, letter_id: str = "msg_dead") -> str:
    """Give a webhook a dead letter, and return its id."""
    letter = DeadLetter(letter_id, (Part(DIRECT, 1, 1),), 1, 12, "the receiver answered 500")
    await house.ports.webhooks.bury(ref, letter, {}, 10)
    return letter_id


async def _own_list(alice: AsgiClient) -> dict[str, str]:
    own = (await alice.request("GET", "/v1/sessions/current")).json["deviceId"]
    devices = [{"deviceId": own, "identityKey": identity("d")}]
    signed = AccountKey("alice").list("alice", 1, devices=devices)
    return {"own": own, "list": signed["payload"], "listSignature": signed["signature"]}


async def _another_device(house: House, alice: AsgiClient) -> str:
    await house.log_in("alice", "new horse 1")
    devices = (await alice.request("GET", "/v1/devices")).json["items"]
    return str(next(device["deviceId"] for device in devices if not device["current"]))
