"""A session from hello to its end, over real services."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cooee.domain.errors import ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.domain.limits import Rate
from cooee.gateway.session import MAX_EARLY_BYTES, REFUSALS_PER_BURST
from cooee.protocol import frames
from cooee.protocol.codes import CloseCode
from tests.fakes.gateway_scene import SERVER, Client, GatewayScene

DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[GatewayScene]:
    async with GatewayScene() as scene:
        await scene.person("alice", devices=2)
        await scene.person("bob")
        yield scene


async def test_hello_is_answered_by_welcome_and_caught_up(scene: GatewayScene) -> None:
    alice = await scene.client("alice", ref="h")
    welcome, caught_up = await alice.got()
    assert isinstance(welcome, frames.Welcome)
    assert (welcome.user_id, welcome.device_id, welcome.server_id, welcome.ref) == ("alice", "d1", SERVER, "h")
    assert welcome.heartbeat == frames.Heartbeat(30_000, 10_000)
    assert welcome.limits.window == 256
    assert isinstance(caught_up, frames.CaughtUp)
    registered = await scene.services.sessions.of_users(("alice",))
    assert [entry.connection_id for entry in registered["alice"]] == [welcome.connection_id]


async def test_without_hello_the_connection_is_closed_in_time(scene: GatewayScene) -> None:
    client = scene.connect()
    await scene.advance(9.5)
    assert client.close_code is None
    await scene.advance(1.5)
    assert client.close_code == CloseCode.HELLO_TIMEOUT


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"type":"ping","ref":"p"}', ErrorCode.BAD_FRAME),
        (b'{"type":"dance","ref":"p"}', ErrorCode.UNKNOWN_TYPE),
        (b'{"type":"hello"', ErrorCode.BAD_FRAME),
        (b"[]", ErrorCode.BAD_FRAME),
        (b"", ErrorCode.BAD_FRAME),
    ],
)
async def test_the_first_frame_must_be_hello(scene: GatewayScene, payload: bytes, code: str) -> None:
    client = scene.connect()
    client.say_raw(payload)
    assert [error for error, _ in await client.errors()] == [code]
    assert client.close_code == CloseCode.BAD_PROTOCOL


async def test_a_binary_message_before_hello_ends_the_connection_and_later_does_not(scene: GatewayScene) -> None:
    client = scene.connect()
    assert client.connection.receiver is not None
    client.connection.receiver.binary_received()
    assert client.close_code == CloseCode.BAD_PROTOCOL
    alice = await scene.online("alice")
    assert alice.connection.receiver is not None
    alice.connection.receiver.binary_received()
    assert await alice.errors() == [(ErrorCode.BAD_FRAME, None)]
    assert alice.close_code is None


async def test_a_wrong_token_is_refused_for_good(scene: GatewayScene) -> None:
    client = scene.connect()
    client.say("hello", token="nonsense", ref="h")
    assert await client.errors() == [(ErrorCode.UNAUTHORIZED, "h")]
    assert client.close_code == CloseCode.UNAUTHORIZED


async def test_a_second_hello_changes_nothing(scene: GatewayScene) -> None:
    alice = await scene.online("alice")
    alice.say("hello", token="bob-1", ref="again")
    assert await alice.errors() == [(ErrorCode.BAD_FRAME, "again")]
    alice.say("ping", ref="p")
    assert [frame.ref for frame in await alice.got() if isinstance(frame, frames.Pong)] == ["p"]


async def test_frames_behind_the_hello_are_served_after_the_welcome(scene: GatewayScene) -> None:
    client = scene.connect()
    client.say("hello", token="alice-1")
    client.say("ping", ref="p")
    got = await client.got()
    assert isinstance(got[0], frames.Welcome)
    assert any(isinstance(frame, frames.Pong) for frame in got)


async def test_what_may_come_behind_the_hello_is_bounded(scene: GatewayScene) -> None:
    client = scene.connect()
    client.say("hello", token="alice-1")
    client.say("ping", ref="x" * MAX_EARLY_BYTES)
    assert client.close_code == CloseCode.BAD_PROTOCOL
    assert not any(isinstance(frame, frames.Welcome) for frame in await client.got())
    assert scene.gateway.counters.sessions == 0
    assert await scene.services.sessions.of_users(("alice",)) == {}


async def test_a_lost_connection_leaves_nothing_behind(scene: GatewayScene) -> None:
    client = scene.connect()
    client.say("hello", token="alice-1")
    client.connection.lose()
    await scene.settle()
    alice = await scene.online("alice", 2)
    assert scene.gateway.counters.sessions == 1
    alice.connection.lose()
    await scene.settle()
    assert scene.gateway.counters.sessions == 0
    assert await scene.services.sessions.of_users(("alice",)) == {}
    assert not (await scene.house.ports.presence.states(["alice"]))["alice"].online


async def test_a_second_connection_of_the_device_replaces_the_first(scene: GatewayScene) -> None:
    first = await scene.online("alice")
    second = await scene.online("alice")
    assert first.close_code == CloseCode.REPLACED
    first.say("ping")
    assert await first.got() == []
    assert scene.gateway.counters.sessions == 1
    await scene.message("bob", DM)
    assert await second.messages() == [1]
    assert (await scene.house.ports.presence.states(["alice"]))["alice"].online


async def test_of_two_hellos_at_once_the_living_one_stays_registered(
    scene: GatewayScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(scene.services.sessions)
    register, delays = kind.register, [30, 0]

    async def slow_register(sessions: Any, entry: Any) -> Any:
        replaced = await register(sessions, entry)
        for _ in range(delays.pop(0) if delays else 0):
            await asyncio.sleep(0)
        return replaced

    monkeypatch.setattr(kind, "register", slow_register)
    clients = [scene.connect(), scene.connect()]
    for client in clients:
        client.say("hello", token="alice-1")
    await scene.settle()
    await scene.settle()
    (living,) = [client for client in clients if client.close_code is None]
    await living.got()
    await scene.message("bob", DM)
    assert await living.messages() == [1]


async def test_a_revoked_device_is_closed_for_good(scene: GatewayScene) -> None:
    alice, other = await scene.online("alice"), await scene.online("alice", 2)
    device = await scene.house.devices.authenticate("alice-1")
    await scene.house.devices.revoke(device.ref, "d2")
    await scene.settle()
    assert other.close_code == CloseCode.UNAUTHORIZED
    assert alice.close_code is None


async def test_a_revocation_during_the_hello_is_not_missed(
    scene: GatewayScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = scene.services.sessions.register

    async def revoking_register(entry: object) -> object:
        await scene.house.devices.revoke(DeviceRef("alice", "d2"), "d1")
        await scene.settle()
        return await register(entry)  # type: ignore[arg-type]

    monkeypatch.setattr(type(scene.services.sessions), "register", lambda _self, entry: revoking_register(entry))
    client = await scene.client("alice")
    await scene.settle()
    await scene.settle()
    assert client.close_code == CloseCode.UNAUTHORIZED


async def test_a_silent_peer_is_pinged_and_then_closed(scene: GatewayScene) -> None:
    dead = await scene.online("alice", answers_pings=False)
    alive = await scene.online("bob")
    await scene.advance(29.5)
    assert dead.connection.pings == 0
    await scene.advance(1.0)
    assert dead.connection.pings == alive.connection.pings == 1
    assert dead.close_code is None
    await scene.advance(11.0)
    assert dead.close_code is not None
    assert alive.close_code is None
    await scene.advance(60.0)
    assert alive.close_code is None


async def test_a_talking_peer_is_never_pinged(scene: GatewayScene) -> None:
    alice = await scene.online("alice", answers_pings=False)
    for _ in range(10):
        await scene.advance(20.0, step=1.0)
        alice.say("ping")
    assert alice.connection.pings == 0
    assert alice.close_code is None


async def test_what_is_wrong_with_a_frame_is_answered_and_nothing_else_is_lost(scene: GatewayScene) -> None:
    alice = await scene.online("alice")
    alice.say_raw(b'{"type":"dance","ref":"a"}')
    alice.say_raw(b'{"type":"send","ref":"b","clientMessageId":5}')
    alice.say_raw(b"[" * 50_000)
    alice.say("send", ref="c", clientMessageId="m", conversationId="dm:bob:alice", contentType="text", content="x")
    alice.say("received", ref="d", conversationId=DM, sequenceNumber=7)
    alice.say("typing", ref="e", conversationId=DM, status="dreaming")
    alice.say("fetch", ref="f", conversationId=DM, after=1, before=2)
    alice.send(DM, "hello", "m1")
    got = await alice.got()
    errors = {(frame.code, frame.ref) for frame in got if isinstance(frame, frames.Error)}
    assert errors == {
        (ErrorCode.UNKNOWN_TYPE, "a"),
        (ErrorCode.BAD_FRAME, "b"),
        (ErrorCode.BAD_FRAME, None),
        (ErrorCode.BAD_FRAME, "c"),
        (ErrorCode.BAD_FRAME, "d"),
        (ErrorCode.BAD_FRAME, "e"),
        (ErrorCode.BAD_FRAME, "f"),
    }
    assert [frame.sequence_number for frame in got if isinstance(frame, frames.Ack)] == [1]


async def test_a_failing_service_is_one_internal_error(scene: GatewayScene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("planted")

    alice = await scene.online("alice")
    monkeypatch.setattr(type(scene.services.messages), "send", fail)
    monkeypatch.setattr(type(scene.services.sync), "history", fail)
    alice.say("send", ref="r", clientMessageId="m", conversationId=DM, contentType="text", content="x")
    alice.say("fetch", ref="f", conversationId=DM)
    alice.say("ping")
    got = await alice.got()
    assert [(f.code, f.ref, f.client_message_id) for f in got if isinstance(f, frames.Error)] == [
        (ErrorCode.INTERNAL, "r", "m"),
        (ErrorCode.INTERNAL, "f", None),
    ]
    assert any(isinstance(frame, frames.Pong) for frame in got)
    assert alice.close_code is None


async def limited() -> AsyncIterator[GatewayScene]:
    async with GatewayScene(frames=Rate(10, 20), sends=Rate(1, 2), presence_subscribes=Rate(0.1, 1)) as scene:
        await scene.person("alice")
        await scene.person("bob")
        yield scene


limited_scene = pytest.fixture(limited)


async def test_sends_beyond_their_rate_are_refused_and_not_executed(limited_scene: GatewayScene) -> None:
    alice = await limited_scene.online("alice")
    for number in range(4):
        alice.send(DM, "x", f"m{number}")
    got = await alice.got()
    refused = [frame for frame in got if isinstance(frame, frames.Error)]
    assert [(f.code, f.client_message_id) for f in refused] == [
        (ErrorCode.RATE_LIMITED, "m2"),
        (ErrorCode.RATE_LIMITED, "m3"),
    ]
    assert all(frame.retry_after_ms and frame.retryable for frame in refused)
    assert len([frame for frame in got if isinstance(frame, frames.Ack)]) == 2
    await limited_scene.advance(2.5)
    alice.send(DM, "x", "m2")
    assert [f.sequence_number for f in await alice.got() if isinstance(f, frames.Ack)] == [3]


async def test_frames_beyond_their_rate_are_refused_and_who_goes_on_is_cut_off(limited_scene: GatewayScene) -> None:
    alice = await limited_scene.online("alice")
    for number in range(25):
        alice.say("ping", ref=str(number))
    alice.say_raw(b"nonsense")
    got = await alice.got()
    assert len([frame for frame in got if isinstance(frame, frames.Pong)]) == 20
    assert [f.ref for f in got if isinstance(f, frames.Error)] == ["20", "21", "22", "23", "24", None]
    assert alice.close_code is None
    for _ in range(REFUSALS_PER_BURST * 20):
        alice.say("ping")
    assert alice.close_code == CloseCode.SLOW_CONSUMER


async def test_presence_subscriptions_are_limited(limited_scene: GatewayScene) -> None:
    alice = await limited_scene.online("alice")
    alice.say("presence.subscribe", ref="1", userIds=["bob"])
    alice.say("presence.subscribe", ref="2", userIds=["bob"])
    got = await alice.got()
    assert [(type(frame).__name__, frame.ref) for frame in got if not isinstance(frame, frames.Presence)] == [
        ("Error", "2"),
        ("Ack", "1"),
    ]


async def test_requests_are_answered_in_order_and_bounded(scene: GatewayScene) -> None:
    alice = await scene.online("alice")
    await scene.message("bob", DM)
    for number in range(100):
        alice.say("fetch", ref=str(number), conversationId=DM)
    got = await alice.got()
    answered = [int(frame.ref or -1) for frame in got if isinstance(frame, frames.Messages)]
    refused = [frame.code for frame in got if isinstance(frame, frames.Error)]
    assert answered == sorted(answered)
    assert len(answered) + len(refused) == 100
    assert set(refused) == {ErrorCode.RATE_LIMITED}


async def test_watermarks_and_presence_and_typing_reach_their_services(scene: GatewayScene) -> None:
    alice, bob = await scene.online("alice"), await scene.online("bob")
    await scene.message("bob", DM)
    await scene.store.contacts.set_contact("bob", "alice", True)
    await alice.got()
    alice.say("watermarks", ref="w", conversationIds=[DM])
    alice.say("presence.subscribe", userIds=["bob"])
    alice.say("typing", conversationId=DM, status="started")
    got = await alice.got()
    (watermarks,) = [frame for frame in got if isinstance(frame, frames.Watermarks)]
    assert watermarks.ref == "w"
    assert watermarks.items[0].last_sequence_number == 1
    assert [f.status for f in got if isinstance(f, frames.Presence)] == ["online"]
    assert [f.user_id for f in await bob.got() if isinstance(f, frames.Typing)] == ["alice"]
    bob.connection.lose()
    await scene.advance(11)
    await scene.house.presence.tick()
    await scene.settle()
    await scene.house.presence.tick()
    assert [f.status for f in await alice.got() if isinstance(f, frames.Presence)] == ["offline"]
    alice.say("presence.unsubscribe", ref="u")
    assert [f.ref for f in await alice.got() if isinstance(f, frames.Ack)] == ["u"]


async def test_the_ack_latency_and_the_frames_are_counted(scene: GatewayScene) -> None:
    alice: Client = await scene.online("alice")
    alice.send(DM, "x", "m1")
    await alice.got()
    counters = scene.gateway.counters
    assert counters.acks == 1
    assert sum(counters.ack_latency.counts) == 1
    alice.say("fetch", conversationId=DM, limit=10)
    await alice.got()
    assert sum(counters.fetch_latency.counts) == 1
    assert counters.frames_by_type == {"send": 1, "fetch": 1}
    assert counters.sessions == 1
