"""What each route needs of a token, and that a token without it is kept out."""

import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.scopes import EVERYTHING, GRANTABLE, Scope, check_scope, granted, scopes_of
from cooee.gateway.http.route import Auth
from cooee.gateway.http.table import ROUTES
from tests.fakes.bots import EVERY_SCOPE, make_bot, make_token
from tests.fakes.house import House
from tests.fakes.http_cases import CASES, filled

NEEDS = {
    Scope.ANY: {"getMe", "getUser", "getSession", "logOut"},
    Scope.MESSAGES_READ: {
        *("listConversations", "getConversation", "getMessages", "getReceipts", "getGroup", "poll"),
        "getMedia",
    },
    Scope.MESSAGES_WRITE: {"sendMessage", "deleteMessage", "patchConversation", "requestUpload", "completeUpload"},
    Scope.GROUPS_WRITE: {
        *("createGroup", "patchGroup", "deleteGroup", "addGroupMembers", "removeGroupMember", "setGroupRole"),
        *("createGroupInvite", "deleteGroupInvite", "joinGroup"),
    },
    Scope.PROFILE_WRITE: {"patchMe"},
    Scope.CONTACTS: {
        *("searchUsers", "putContact", "deleteContact", "listContacts", "putBlock", "deleteBlock", "listBlocks"),
    },
    Scope.WEBHOOKS: {
        *("createIncomingHook", "listIncomingHooks", "rotateIncomingHook", "deleteIncomingHook"),
        *("createWebhook", "listWebhooks", "getWebhook", "patchWebhook", "deleteWebhook"),
        *("testWebhook", "rotateWebhook", "listDeadLetters", "retryDeadLetter", "retryDeadLetters"),
    },
    Scope.PERSON: {
        *("listDevices", "revokeDevice", "changePassword", "deleteAccount", "exportAccount", "newRecoveryCodes"),
        *("createBot", "listBots", "getBot", "patchBot", "deleteBot"),
        *("createBotToken", "listBotTokens", "revokeBotToken"),
        *("putKeys", "getKeyStatus", "claimKeys", "putDeviceList", "getDeviceList", "getDeviceLists", "setEncryption"),
        *("putPushSubscription", "getPushSubscription", "deletePushSubscription", "getVapidKey"),
    },
}
"""A new route that takes a token must be put here on purpose."""

NEEDS_TOO = {
    Scope.MESSAGES_READ: {"createWebhook", "patchWebhook"},
    Scope.MESSAGES_WRITE: {"createIncomingHook", "rotateIncomingHook"},
}
"""By these a token could give itself what it lacks."""

TOO = {route.operation: route.needs_too for route in ROUTES}
GUARDED = {route.operation: route.needs for route in ROUTES if route.auth is Auth.DEVICE}
NOWHERE = {
    "group": "group:nowhere",
    "device": "0123456789",
    "token": "x",
    "botToken": "0123456789",
    "hook": "hook_0",
    "webhook": "0123456789",
}


def test_every_route_says_what_it_needs() -> None:
    assert {operation: scope for scope, operations in NEEDS.items() for operation in operations} == GUARDED
    too = {operation: (scope,) for scope, operations in NEEDS_TOO.items() for operation in operations}
    assert {operation: scopes for operation, scopes in TOO.items() if scopes} == too


async def test_a_token_without_the_scope_is_kept_out_of_every_route(house: House) -> None:
    """All but the one that is needed are given; the answer is the same whatever is asked for."""
    alice = await house.person("alice")
    await house.person("bob")
    await make_bot(alice)
    without = {
        scope: alice.having(await make_token(alice, "echo", tuple(name for name in EVERY_SCOPE if name != scope)))
        for scope in (*GRANTABLE, Scope.PERSON)
    }
    for case in CASES:
        needed = GUARDED.get(case.operation, Scope.ANY)
        if needed is Scope.ANY:
            continue
        target, body = filled(case.target, NOWHERE), filled(case.body, NOWHERE)
        reply = await without[needed].request(case.method, target, body)
        assert (reply.status, reply.code) == (403, "forbidden"), case.operation
        assert needed is Scope.PERSON or needed.value in reply.json["error"]["message"]


async def test_a_token_with_just_the_scope_is_let_in(house: House) -> None:
    """Let in means: whatever is refused then is refused for another reason than the scope."""
    alice = await house.person("alice")
    await house.person("bob")
    await make_bot(alice)
    wanted = {(needed, *TOO[operation]) for operation, needed in GUARDED.items() if needed in GRANTABLE}
    only = {scopes: alice.having(await make_token(alice, "echo", scopes)) for scopes in wanted}
    for case in CASES:
        needed = GUARDED.get(case.operation, Scope.PERSON)
        if needed in GRANTABLE:
            target, body = filled(case.target, NOWHERE), filled(case.body, NOWHERE)
            reply = await only[needed, *TOO[case.operation]].request(case.method, target, body)
            assert reply.status < 400 or "scope" not in reply.json["error"]["message"], case.operation


async def test_every_good_token_knows_itself_and_ends_itself(house: House) -> None:
    alice = await house.person("alice")
    bot = await make_bot(alice, scopes=("webhooks",))
    me = await bot.request("GET", "/v1/me")
    assert (me.status, me.json["userId"], me.json["bot"]) == (200, "echo", True)
    assert (await bot.request("GET", "/v1/users/alice")).status == 200
    session = await bot.request("GET", "/v1/sessions/current")
    assert (session.json["bot"], session.json["scopes"], session.json["deviceName"]) == (True, ["webhooks"], "test")
    assert (await bot.request("DELETE", "/v1/sessions/current")).status == 204
    assert (await bot.request("GET", "/v1/me")).code == "unauthorized"
    assert (await alice.request("GET", "/v1/bots/echo/tokens")).json["items"] == []


@pytest.mark.parametrize("names", [(), ("person",), ("any",), ("messages:read", "admin"), ("",), ("MESSAGES:READ",)])
def test_what_is_no_scope_for_bots_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(CooeeError) as caught:
        scopes_of(names)
    assert caught.value.code is ErrorCode.BAD_FRAME


def test_a_bots_scopes_never_hold_what_is_a_persons() -> None:
    most = scopes_of(EVERY_SCOPE)
    assert EVERYTHING - most == {Scope.PERSON}
    assert granted(most) == EVERY_SCOPE
    assert granted(scopes_of(("webhooks", "contacts"))) == ("contacts", "webhooks")
    for scope in Scope:
        check_scope(EVERYTHING, scope)
    with pytest.raises(CooeeError, match="not for bots"):
        check_scope(most, Scope.PERSON)
