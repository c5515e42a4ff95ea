"""Messages from the log to the devices: live, resent, read from the timeline, hinted, handed over to push."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cooee.domain.conversation import Span
from cooee.domain.errors import unavailable
from cooee.domain.ids import DeviceRef
from cooee.gateway.pump import reasons
from cooee.ports.router import Routed, RouteKind
from cooee.protocol import frames, http
from cooee.protocol.codes import CloseCode
from tests.fakes.gateway_scene import Client, GatewayScene

DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[GatewayScene]:
    async with GatewayScene(window=4, large_group_members=3) as scene:
        await scene.person("alice", devices=2)
        await scene.person("bob", devices=2)
        await scene.person("carol")
        yield scene


async def large_group(scene: GatewayScene) -> str:
    """Found a group that is fanned out at read time; return its id."""
    added = await scene.house.groups.create(DeviceRef("alice", "d2"), "Group", ["bob", "carol"])
    await scene.settle()
    return added.group.conversation_id


async def pushes(scene: GatewayScene) -> list[tuple[str, str, str, int]]:
    """Return what is due in the push queue."""
    due = await scene.store.push_queue.due(scene.clock.wall_ms(), 100)
    return [(one.user_id, one.device_id, one.conversation_id, one.sequence_number) for one in due]


def hints(got: list[Any]) -> list[int]:
    """Return the numbers of the timeline hints."""
    return [frame.last_sequence_number for frame in got if isinstance(frame, frames.TimelineHint)]


def numbers(got: list[Any]) -> list[int]:
    """Return the numbers of the messages."""
    return [frame.sequence_number for frame in got if isinstance(frame, frames.MessageFrame)]


# --- small conversations ----------------------------------------------------------------------------------------------


async def test_a_message_reaches_all_devices_but_the_sending_one(scene: GatewayScene) -> None:
    sender, own, peer = await scene.online("alice"), await scene.online("alice", 2), await scene.online("bob")
    sender.send(DM, "hello", "m1")
    got = await sender.got()
    assert [type(frame) for frame in got] == [frames.Ack]
    assert await own.messages() == [1]
    assert await peer.messages() == [1]
    peer.received(DM, 1)
    receipts = [frame for frame in await sender.got() if isinstance(frame, frames.Receipt)]
    assert [(frame.user_id, frame.status, frame.sequence_number) for frame in receipts] == [("bob", "delivered", 1)]


async def test_a_gap_in_the_routing_is_filled_from_the_timeline(scene: GatewayScene) -> None:
    bob = await scene.online("bob")
    await scene.message("alice", DM)
    await scene.route(False)
    await scene.message("alice", DM)
    await scene.message("bob", DM, "d2")
    await scene.route(True)
    assert await bob.messages() == [1]
    await scene.message("alice", DM)
    assert await bob.messages() == [2, 3, 4]


async def test_own_messages_are_passed_over(scene: GatewayScene) -> None:
    bob = await scene.online("bob")
    await scene.message("alice", DM)
    for number in range(6):
        bob.send(DM, "mine", f"m{number}")
    await scene.message("alice", DM)
    assert numbers(await bob.got()) == [1, 8]


async def test_what_was_missed_comes_in_order_within_the_window(scene: GatewayScene) -> None:
    for _ in range(6):
        await scene.message("alice", DM)
    await scene.message("carol", "dm:bob:carol")
    bob = await scene.client("bob")
    got = await bob.got()
    assert isinstance(got[0], frames.Welcome)
    assert numbers(got) == [1, 2, 3, 4]
    assert not any(isinstance(frame, frames.CaughtUp) for frame in got)
    bob.received(DM, 4)
    got = await bob.got()
    assert [(f.conversation_id, f.sequence_number) for f in got if isinstance(f, frames.MessageFrame)] == [
        (DM, 5),
        (DM, 6),
        ("dm:bob:carol", 1),
    ]
    assert isinstance(got[-1], frames.CaughtUp)
    bob.received(DM, 6)
    bob.connection.lose()
    again = await scene.client("bob")
    assert numbers(await again.got()) == [1]


async def test_live_messages_wait_for_the_window(scene: GatewayScene) -> None:
    bob = await scene.online("bob")
    for _ in range(9):
        await scene.message("alice", DM)
    assert await bob.messages() == [1, 2, 3, 4]
    bob.received(DM, 2)
    assert await bob.messages() == [5, 6]
    bob.received(DM, 6)
    assert await bob.messages() == [7, 8, 9]


async def test_an_unacknowledged_message_is_sent_again_twice_and_then_pushed(scene: GatewayScene) -> None:
    bob = await scene.online("bob")
    await scene.message("alice", DM)
    assert await bob.messages() == [1]
    await scene.advance(0.75)
    assert await bob.messages() == []
    await scene.advance(0.75)
    assert await bob.messages() == [1]
    await scene.advance(3.0)
    assert await bob.messages() == []
    await scene.advance(1.0)
    assert await bob.messages() == [1]
    assert ("bob", "d1", DM, 1) not in await pushes(scene)
    await scene.advance(1.25)
    assert ("bob", "d1", DM, 1) in await pushes(scene)
    await scene.advance(60.0)
    assert await bob.messages() == []
    assert bob.close_code is None
    assert scene.gateway.counters.resends == 2


async def test_a_received_ends_the_resends(scene: GatewayScene) -> None:
    bob = await scene.online("bob")
    await scene.message("alice", DM)
    await bob.got()
    bob.received(DM, 1)
    await scene.advance(20.0)
    assert await bob.messages() == []
    assert ("bob", "d1", DM, 1) not in await pushes(scene)


async def test_a_connection_without_any_sign_of_life_is_dead(scene: GatewayScene) -> None:
    bob = await scene.online("bob", answers_pings=False)
    await scene.advance(1.0)
    await scene.message("alice", DM)
    await scene.advance(7.0)
    assert bob.close_code == CloseCode.SLOW_CONSUMER
    assert ("bob", "d1", DM, 1) in await pushes(scene)


async def test_any_frame_keeps_the_connection(scene: GatewayScene) -> None:
    bob = await scene.online("bob", answers_pings=False)
    await scene.message("alice", DM)
    await scene.advance(3.0)
    bob.say("ping")
    await scene.advance(5.0)
    assert bob.close_code is None


async def test_what_has_not_even_left_is_not_sent_again(scene: GatewayScene) -> None:
    bob = await scene.online("bob")
    await scene.message("alice", DM)
    await bob.got()
    bob.connection.stuck = 10
    await scene.advance(7.0)
    assert await bob.messages() == []
    assert ("bob", "d1", DM, 1) in await pushes(scene)


async def test_a_lost_connection_hands_its_messages_over_a_little_later(scene: GatewayScene) -> None:
    bob = await scene.online("bob")
    await scene.online("bob", 2)
    await scene.message("alice", DM)
    bob.connection.lose()
    await scene.settle()
    assert ("bob", "d1", DM, 1) not in await pushes(scene)
    scene.clock.advance(6.0)
    assert ("bob", "d1", DM, 1) in await pushes(scene)


async def test_a_slow_reader_gets_what_it_missed_piece_by_piece(scene: GatewayScene) -> None:
    for _ in range(3):
        await scene.message("alice", DM)
    client = scene.connect()
    client.connection.stuck = scene.limits.outbox_bytes // 2 + 1
    client.say("hello", token="bob-1")
    got = [frame for _ in range(2) for frame in await client.got()]
    assert numbers(got) == [1]
    client.connection.stuck = 0
    await scene.advance(0.75)
    got = await client.got()
    assert numbers(got) == [2, 3]
    assert isinstance(got[-1], frames.CaughtUp)


async def test_a_store_that_fails_is_asked_again(scene: GatewayScene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.message("alice", DM)
    kind = type(scene.services.sync)
    real = kind.read_after

    async def fail(*_: object) -> None:
        raise unavailable("planted")

    monkeypatch.setattr(kind, "read_after", fail)
    bob = await scene.client("bob")
    assert await bob.messages() == []
    monkeypatch.setattr(kind, "read_after", real)
    await scene.advance(1.5)
    got = await bob.got()
    assert numbers(got) == [1]
    assert isinstance(got[-1], frames.CaughtUp)


async def test_a_conversation_that_fails_does_not_hold_up_the_others(
    scene: GatewayScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.message("alice", DM)
    await scene.message("carol", "dm:bob:carol")
    kind = type(scene.services.sync)
    real = kind.read_after

    async def fail(sync: Any, device: DeviceRef, conversation_id: str, after: int, limit: int) -> Any:
        if conversation_id == DM:
            raise RuntimeError("planted")
        return await real(sync, device, conversation_id, after, limit)

    monkeypatch.setattr(kind, "read_after", fail)
    bob = await scene.client("bob")
    got = await bob.got()
    assert [f.conversation_id for f in got if isinstance(f, frames.MessageFrame)] == ["dm:bob:carol"]
    assert isinstance(got[-1], frames.CaughtUp)


async def test_a_broken_connection_does_not_hold_up_the_others(scene: GatewayScene) -> None:
    broken, well = await scene.online("bob"), await scene.online("bob", 2)
    broken.connection.breaks = True
    await scene.message("alice", DM)
    assert await well.messages() == [1]
    assert scene.gateway.counters.internal_errors == 1


# --- large groups -----------------------------------------------------------------------------------------------------


async def follower(scene: GatewayScene, user_id: str, group: str) -> Client:
    """Connect a device that stands at the head of the group."""
    client = await scene.online(user_id)
    client.received(group, (await scene.store.timeline.head(group)).last)
    await client.got()
    return client


async def test_a_large_group_is_hinted_at_hello_and_in_full_once_it_is_read(scene: GatewayScene) -> None:
    group = await large_group(scene)
    head = await scene.message("alice", group)
    bob = await scene.client("bob")
    got = await bob.got()
    assert numbers(got) == []
    assert hints(got) == [head]
    assert isinstance(got[-1], frames.CaughtUp)
    head = await scene.message("alice", group)
    assert numbers(await bob.got()) == []
    bob.received(group, head)
    await bob.got()
    head = await scene.message("alice", group)
    assert numbers(await bob.got()) == [head]


async def test_hints_are_coalesced(scene: GatewayScene) -> None:
    group = await large_group(scene)
    bob = await scene.online("bob")
    last = 0
    for _ in range(5):
        last = await scene.message("alice", group)
    got = await bob.got()
    assert numbers(got) == []
    assert len(hints(got)) <= 1
    await scene.advance(1.75)
    assert hints(await bob.got()) == [last]
    await scene.advance(5.0)
    assert hints(await bob.got()) == []


async def test_who_follows_a_large_group_gets_it_in_full_until_he_lags(scene: GatewayScene) -> None:
    group = await large_group(scene)
    bob = await follower(scene, "bob", group)
    sent = [await scene.message("alice", group) for _ in range(6)]
    got = await bob.got()
    assert numbers(got) == sent[:4]
    assert hints(got) == [sent[4]]
    bob.received(group, sent[3])
    await scene.advance(1.5)
    got = await bob.got()
    assert numbers(got) == []
    assert hints(got) == [sent[5]]
    bob.received(group, sent[5])
    await bob.got()
    assert await scene.message("alice", group) in numbers(await bob.got())


async def test_a_hint_is_no_delivery(scene: GatewayScene) -> None:
    group = await large_group(scene)
    bob = await scene.online("bob")
    alice = await scene.online("alice")
    number = await scene.message("carol", group)
    await scene.advance(2.0)
    assert [f for f in await alice.got() if isinstance(f, frames.Receipt)] == []
    assert (await scene.store.cursors.device(DeviceRef("bob", "d1"), group)) < number
    bob.connection.lose()
    await scene.advance(7.0)
    assert ("bob", "d1", group, number) in await pushes(scene)


async def test_who_is_silent_for_six_seconds_is_hinted_from_then_on(scene: GatewayScene) -> None:
    group = await large_group(scene)
    bob = await follower(scene, "bob", group)
    number = await scene.message("alice", group)
    await scene.advance(7.0)
    assert ("bob", "d1", group, number) in await pushes(scene)
    await bob.got()
    following = await scene.message("alice", group)
    await scene.advance(1.5)
    got = await bob.got()
    assert numbers(got) == []
    assert hints(got) == [following]


# --- other routed items -----------------------------------------------------------------------------------------------


async def test_an_envelope_goes_to_its_device_only(scene: GatewayScene) -> None:
    one, two = await scene.online("bob"), await scene.online("bob", 2)
    frame = (
        b'{"type":"message","messageId":"1","conversationId":"dm:alice:bob","sequenceNumber":1,"senderId":"alice",'
        b'"senderDeviceId":"d1","clientMessageId":"m","timestamp":1,"contentType":"encrypted","content":"eA"}'
    )
    envelopes = {DeviceRef("bob", "d2"): "for two"}
    scene.gateway.receive([Routed(RouteKind.MESSAGE, ("alice", "bob"), frame, DM, 1, None, "", envelopes)])
    assert [f.envelope for f in await one.got() if isinstance(f, frames.MessageFrame)] == [None]
    assert [f.envelope for f in await two.got() if isinstance(f, frames.MessageFrame)] == ["for two"]


async def test_events_and_closes_reach_whom_they_name(scene: GatewayScene) -> None:
    one, two = await scene.online("bob"), await scene.online("bob", 2)
    receipt = b'{"type":"receipt","conversationId":"dm:alice:bob","status":"read","sequenceNumber":%d}'
    scene.gateway.receive(
        [
            Routed(RouteKind.EVENT, ("bob", "nobody"), receipt % 1),
            Routed(RouteKind.EVENT, ("bob",), receipt % 2, except_device=DeviceRef("bob", "d1")),
            Routed(RouteKind.EVENT, ("bob",), receipt % 3, only_device="d1"),
            Routed(RouteKind.CLOSE, ("bob",), b"nonsense", only_device="d1"),
            Routed(RouteKind.CLOSE, ("bob",), b"4003 revoked", only_device="d1", only_connection="another"),
            Routed(RouteKind.CLOSE, ("bob",), b"4003 revoked", only_device="d2"),
            Routed(RouteKind.REFRESH, ("bob",), b""),
        ]
    )
    assert [f.sequence_number for f in await one.got() if isinstance(f, frames.Receipt)] == [1, 3]
    assert [f.sequence_number for f in await two.got() if isinstance(f, frames.Receipt)] == [1, 2]
    assert one.close_code is None
    assert two.connection.closed == (4003, "revoked")


async def test_device_messages_come_in_order_until_they_are_acknowledged(scene: GatewayScene) -> None:
    await scene.message("alice", DM)
    alice, bob = await scene.online("alice"), await scene.online("bob")
    for number in range(3):
        blob = {"userId": "bob", "deviceId": "d1", "content": f"c{number}"}
        alice.say("to_device", clientMessageId=f"t{number}", ref=f"{number}", messages=[blob])
    await scene.settle()
    assert [f.ref for f in await alice.got() if isinstance(f, frames.Ack)] == ["0", "1", "2"]
    got = [frame for frame in await bob.got() if isinstance(frame, frames.ToDevice)]
    assert [(f.sequence_number, f.content) for f in got] == [(1, "c0"), (2, "c1"), (3, "c2")]
    bob.say("to_device.received", sequenceNumber=2, ref="r")
    assert [f.ref for f in await bob.got() if isinstance(f, frames.Ack)] == ["r"]
    bob.connection.lose()
    again = await scene.client("bob")
    assert [f.sequence_number for f in await again.got() if isinstance(f, frames.ToDevice)] == [3]


async def test_own_state_that_changed_comes_with_the_sync_token(scene: GatewayScene) -> None:
    await scene.message("alice", DM)
    first = await scene.client("alice")
    token = next(f.sync_token for f in await first.got() if isinstance(f, frames.CaughtUp))
    first.connection.lose()
    await scene.house.conversations.set_flags(DeviceRef("alice", "d2"), DM, http.PatchConversation(pinned=True))
    again = await scene.client("alice", syncToken=token)
    got = await again.got()
    assert [type(frame) for frame in got[-2:]] == [frames.ConversationChanged, frames.CaughtUp]
    assert got[-1].sync_token != token


def test_missing_numbers_are_told_with_their_reason() -> None:
    assert reasons(1, 5, ()) == [(1, 5, "retention")]
    assert reasons(1, 9, (Span(4, 6), Span(9))) == [
        (1, 3, "membership"),
        (4, 6, "retention"),
        (7, 8, "membership"),
        (9, 9, "retention"),
    ]
    assert reasons(5, 9, (Span(1, 2), Span(3, 7))) == [(5, 7, "retention"), (8, 9, "membership")]
    assert reasons(5, 6, (Span(8),)) == [(5, 6, "membership")]
