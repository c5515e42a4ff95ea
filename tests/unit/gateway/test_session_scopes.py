"""A bot's session: it opens only with ``messages:read``, and each frame asks for its scope."""

import msgspec
import pytest

from cooee.domain.scopes import EVERYTHING, GRANTABLE, Scope
from cooee.gateway.dispatch import DISPATCH
from cooee.ports.accounts import Account, AccountKind
from cooee.protocol import frames
from cooee.protocol.codec import encode
from cooee.protocol.poll import PollRequest
from tests.fakes.gateway_scene import Client, GatewayScene

NEEDS: dict[Scope, set[type]] = {
    Scope.ANY: {frames.Hello, frames.Ping},
    Scope.MESSAGES_READ: {
        *(frames.Received, frames.Read, frames.Fetch, frames.WatermarksQuery, frames.ToDeviceReceived),
    },
    Scope.MESSAGES_WRITE: {frames.Send, frames.Typing, frames.ToDeviceSend},
    Scope.CONTACTS: {frames.PresenceSubscribe, frames.PresenceUnsubscribe},
}
"""A new frame must be put here on purpose."""

EXAMPLES: dict[type, dict[str, object]] = {
    frames.Received: {"type": "received", "conversationId": "dm:alice:echo", "sequenceNumber": 0},
    frames.Read: {"type": "read", "conversationId": "dm:alice:echo", "sequenceNumber": 0},
    frames.Fetch: {"type": "fetch", "conversationId": "dm:alice:echo", "limit": 1},
    frames.WatermarksQuery: {"type": "watermarks", "conversationIds": ["dm:alice:echo"]},
    frames.ToDeviceReceived: {"type": "to_device.received", "sequenceNumber": 0},
    frames.Send: {"type": "send", "clientMessageId": "m", "to": "alice", "contentType": "text", "content": "hi"},
    frames.Typing: {"type": "typing", "conversationId": "dm:alice:echo", "status": "started"},
    frames.ToDeviceSend: {
        "type": "to_device",
        "clientMessageId": "b",
        "messages": [{"userId": "echo", "deviceId": "d", "content": "x"}],
    },
    frames.PresenceSubscribe: {"type": "presence.subscribe", "userIds": ["alice"]},
    frames.PresenceUnsubscribe: {"type": "presence.unsubscribe"},
    frames.Ping: {"type": "ping"},
}


def test_every_frame_says_what_it_needs() -> None:
    told = {kind: needed for kind, (needed, _) in DISPATCH.items()}
    assert {kind: scope for scope, kinds in NEEDS.items() for kind in kinds} == told
    assert EXAMPLES.keys() | {frames.Hello} == told.keys()


async def token(scene: GatewayScene, *scopes: Scope) -> str:
    """Make alice and her bot echo, where they are not there yet, and return a token of the bot's."""
    if await scene.store.accounts.find("echo") is None:
        await scene.person("alice")
        bot = Account("echo", "Echo", "", scene.clock.wall_ms(), kind=AccountKind.BOT, owner_id="alice")
        await scene.store.bots.create(bot, 10)
    made, _ = await scene.house.devices.enrol("echo", "test", "bot", frozenset({Scope.ANY, *scopes}))
    return made


async def connected(scene: GatewayScene, *scopes: Scope) -> Client:
    """Say hello with a token of these scopes."""
    client = scene.connect()
    client.say("hello", token=await token(scene, *scopes))
    await scene.settle()
    return client


async def forbidden(client: Client, frame: dict[str, object]) -> bool:
    """Tell whether the frame is refused for its scope."""
    kind = str(frame["type"])
    client.say(kind, **{name: value for name, value in frame.items() if name != "type"}, ref="r")
    return any(isinstance(told, frames.Error) and "scope" in told.message for told in await client.got())


async def test_a_session_without_messages_read_is_not_opened() -> None:
    async with GatewayScene() as scene:
        client = await connected(scene, *(scope for scope in GRANTABLE if scope is not Scope.MESSAGES_READ))
        (refusal,) = await client.got()
        assert isinstance(refusal, frames.Error)
        assert (refusal.code, client.close_code) == ("forbidden", 4003)


async def test_long_polling_is_held_to_the_same() -> None:
    async with GatewayScene() as scene:
        blunt = await token(scene, Scope.MESSAGES_WRITE)
        hello = msgspec.Raw(encode(frames.Hello("")))
        opened = await scene.gateway.poll(PollRequest(1, frames=(hello,)), blunt, "127.0.0.1")
        assert opened.closed is not None
        assert opened.closed.code == 4003


@pytest.mark.parametrize("kind", [kind for kind in EXAMPLES if kind not in NEEDS[Scope.MESSAGES_READ]])
async def test_a_frame_is_refused_without_its_scope_and_served_with_it(kind: type) -> None:
    needed = DISPATCH[kind][0]
    async with GatewayScene() as scene:
        reading = await connected(scene, Scope.MESSAGES_READ)
        assert await forbidden(reading, EXAMPLES[kind]) == (needed is not Scope.ANY)
        able = await connected(scene, Scope.MESSAGES_READ, needed)
        assert not await forbidden(able, EXAMPLES[kind])
        assert able.close_code is None


async def test_reading_needs_nothing_more_than_the_session() -> None:
    async with GatewayScene() as scene:
        client = await connected(scene, Scope.MESSAGES_READ)
        for kind in NEEDS[Scope.MESSAGES_READ]:
            assert not await forbidden(client, EXAMPLES[kind])


async def test_a_person_is_asked_for_no_scope() -> None:
    async with GatewayScene() as scene:
        await scene.person("alice")
        device = await scene.house.devices.authenticate("alice-1")
        assert device.scopes is EVERYTHING
        client = await scene.online("alice")
        for frame in EXAMPLES.values():
            assert not await forbidden(client, frame)
