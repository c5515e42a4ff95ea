"""Long polling: lost answers, repeated and overtaking requests, and the ends of a session."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.domain.ids import DeviceRef
from cooee.gateway import poll_connection
from cooee.gateway.longpoll import PollBounds
from cooee.protocol import frames
from cooee.protocol.codec import decode_server
from cooee.protocol.codes import CloseCode
from cooee.protocol.poll import PollRequest, PollResponse
from tests.fakes.gateway_scene import GatewayScene

DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[GatewayScene]:
    async with GatewayScene(poll_bounds=PollBounds(per_device=2, per_user=3, per_address=4)) as scene:
        await scene.person("alice", devices=3)
        await scene.person("bob")
        yield scene


def raw(kind: str, **fields: Any) -> msgspec.Raw:
    """Return one frame as it stands in a request."""
    return msgspec.Raw(msgspec.json.encode({"type": kind, **fields}))


def texts(*names: str) -> tuple[msgspec.Raw, ...]:
    """Return `send` frames."""
    return tuple(
        raw("send", clientMessageId=name, conversationId=DM, contentType="text", content=name) for name in names
    )


def read(response: PollResponse) -> list[Any]:
    """Return the frames of an answer."""
    return [decode_server(bytes(frame)) for frame in response.frames]


async def poll(
    scene: GatewayScene, session: str, number: int, *said: msgspec.Raw, token: str = "alice-1", **fields: Any
) -> PollResponse:
    """Poll once."""
    return await scene.gateway.poll(PollRequest(number, session, frames=said, **fields), token, "192.0.2.1")


async def opened(scene: GatewayScene, user: str = "alice", device: int = 1) -> PollResponse:
    """Open a session and return the first answer."""
    token = f"{user}-{device}"
    return await poll(scene, "", 1, raw("hello", token=token), token=token)


async def caught_up(scene: GatewayScene, user: str = "alice", device: int = 1) -> tuple[str, int]:
    """Open a session and read up to ``caught_up``; return it and the last answer's number. Two requests were made."""
    first = await opened(scene, user, device)
    await scene.settle()
    second = await poll(scene, first.session, 2, token=f"{user}-{device}", ack=first.answer_number)
    assert [type(frame) for frame in read(first) + read(second)] == [frames.Welcome, frames.CaughtUp]
    return first.session, second.answer_number


def expect(code: ErrorCode) -> Any:
    """Expect a refusal."""
    return pytest.raises(CooeeError, check=lambda refusal: refusal.code is code)


async def test_a_session_is_opened_by_hello_and_answers_with_welcome(scene: GatewayScene) -> None:
    answer = await opened(scene)
    assert answer.answer_number == 1
    assert len(answer.session) >= 22
    welcome = read(answer)[0]
    assert isinstance(welcome, frames.Welcome)
    assert welcome.user_id == "alice"


async def test_the_token_may_stand_in_the_header_alone(scene: GatewayScene) -> None:
    answer = await poll(scene, "", 1, raw("hello", token=""))
    assert isinstance(read(answer)[0], frames.Welcome)
    with expect(ErrorCode.BAD_FRAME):
        await poll(scene, "", 1, raw("hello", token="bob-1"))
    with expect(ErrorCode.UNAUTHORIZED):
        await poll(scene, "", 1, raw("hello", token=""), token="nonsense")


@pytest.mark.parametrize(
    "request_",
    [
        PollRequest(1),
        PollRequest(2, frames=(raw("hello", token=""),)),
        PollRequest(1, ack=1, frames=(raw("hello", token=""),)),
        PollRequest(1, frames=(raw("ping"),)),
        PollRequest(1, frames=(msgspec.Raw(b"7"),)),
    ],
)
async def test_anything_else_opens_nothing(scene: GatewayScene, request_: PollRequest) -> None:
    with expect(ErrorCode.BAD_FRAME):
        await scene.gateway.poll(request_, "alice-1", "192.0.2.1")
    assert scene.gateway.counters.polls == 0


async def test_frames_are_executed_and_answered(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    answer = await poll(scene, session, 3, *texts("m1", "m2"), ack=last, wait_ms=1000)
    acks = [frame for frame in read(answer) if isinstance(frame, frames.Ack)]
    assert [(ack.client_message_id, ack.sequence_number) for ack in acks] == [("m1", 1), ("m2", 2)]


async def test_a_waiting_poll_is_answered_by_what_comes(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    waiting = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.settle()
    assert not waiting.done()
    await scene.message("bob", DM)
    answer = await waiting
    assert answer.answer_number == last + 1
    assert [frame.sequence_number for frame in read(answer)] == [1]


async def test_an_answer_is_repeated_until_it_is_acknowledged(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    await scene.message("bob", DM)
    first = await poll(scene, session, 3, ack=last)
    await scene.message("bob", DM)
    again = await poll(scene, session, 4, ack=last)
    assert again == first
    following = await poll(scene, session, 5, ack=first.answer_number)
    assert [frame.sequence_number for frame in read(following)] == [2]
    assert following.answer_number == first.answer_number + 1


async def test_a_repeated_request_is_not_executed_again_and_gets_the_same_answer(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    said = raw("ping", ref="p")
    first = await poll(scene, session, 3, said, ack=last)
    await scene.message("bob", DM)
    assert await poll(scene, session, 3, said, ack=last) == first
    assert len([frame for frame in read(first) if isinstance(frame, frames.Pong)]) == 1
    following = await poll(scene, session, 4, ack=first.answer_number)
    assert not any(isinstance(frame, frames.Pong) for frame in read(following))


async def test_a_repeated_request_takes_over_from_the_one_that_waits(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    first = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.settle()
    second = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.settle()
    assert (await first).frames == ()
    await scene.message("bob", DM)
    answer = await second
    assert len(answer.frames) == 1
    assert await poll(scene, session, 3, ack=last) == answer


async def test_a_second_poll_ends_the_first_at_once_with_no_frames(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    first = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.settle()
    second = asyncio.create_task(poll(scene, session, 4, raw("ping"), ack=last, wait_ms=1000))
    assert (await first).frames == ()
    assert [type(frame) for frame in read(await second)] == [frames.Pong]


async def test_a_request_that_overtakes_its_predecessor_waits_for_it(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    later = asyncio.create_task(poll(scene, session, 4, raw("ping", ref="second"), ack=last, wait_ms=1000))
    await scene.settle()
    assert not later.done()
    await poll(scene, session, 3, raw("ping", ref="first"), ack=last)
    assert [frame.ref for frame in read(await later)] == ["first"]
    answer = await poll(scene, session, 5, ack=last + 1)
    assert [frame.ref for frame in read(answer)] == ["second"]


async def test_a_number_out_of_turn_is_a_conflict(scene: GatewayScene, monkeypatch: pytest.MonkeyPatch) -> None:
    session, last = await caught_up(scene)
    monkeypatch.setattr(poll_connection, "TURN_S", 0.0)
    for number in (0, 1, 4, 5):
        with expect(ErrorCode.CONFLICT):
            await poll(scene, session, number, raw("ping"))
    with expect(ErrorCode.BAD_FRAME):
        await poll(scene, session, 3, ack=last + 1)
    assert read(await poll(scene, session, 3, ack=last)) == []


async def test_an_empty_answer_comes_at_once_or_after_the_wait(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    answer = await poll(scene, session, 3, ack=last)
    assert (answer.frames, answer.answer_number) == ((), last)
    assert (await poll(scene, session, 4, ack=last, wait_ms=1)).frames == ()


async def test_a_session_is_worth_nothing_without_its_device(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    for token in ("bob-1", "alice-2"):
        with expect(ErrorCode.NOT_FOUND):
            await poll(scene, session, 3, token=token)
    with expect(ErrorCode.UNAUTHORIZED):
        await poll(scene, session, 3, token="nonsense")
    with expect(ErrorCode.NOT_FOUND):
        await poll(scene, session + "x", 3)
    await poll(scene, session, 3, ack=last)


async def test_a_session_lapses_after_its_last_poll(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    await scene.advance(59.0, step=1.0)
    await poll(scene, session, 3, ack=last)
    await scene.advance(59.0, step=1.0)
    assert scene.gateway.counters.sessions == 1
    await scene.advance(3.0)
    with expect(ErrorCode.NOT_FOUND):
        await poll(scene, session, 4)
    assert scene.gateway.counters.sessions == scene.gateway.counters.polls == 0


async def test_a_waiting_poll_keeps_the_session(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    waiting = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.advance(100.0, step=1.0)
    assert not waiting.done()
    await scene.message("bob", DM)
    assert len((await waiting).frames) == 1


async def test_a_websocket_of_the_device_replaces_the_session_which_says_so(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    waiting = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.settle()
    await scene.online("alice")
    answer = await waiting
    assert answer.closed is not None
    assert answer.closed.code == CloseCode.REPLACED
    again = await poll(scene, session, 4, ack=answer.answer_number)
    assert again.closed == answer.closed
    assert scene.gateway.counters.sessions == 1


async def test_a_revoked_device_hears_it_as_unauthorized(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    waiting = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.settle()
    await scene.house.devices.revoke(DeviceRef("alice", "d2"), "d1")
    answer = await waiting
    assert answer.closed is not None
    assert answer.closed.code == CloseCode.UNAUTHORIZED
    with expect(ErrorCode.UNAUTHORIZED):
        await poll(scene, session, 4, ack=last)


async def test_who_does_not_take_his_frames_is_a_slow_consumer() -> None:
    async with GatewayScene(outbox_bytes=4096) as scene:
        await scene.person("alice")
        await scene.person("bob")
        session, last = await caught_up(scene)
        for _ in range(20):
            await scene.message("bob", DM, text="x" * 300)
        answer = await poll(scene, session, 3, ack=last)
        assert answer.closed is not None
        assert answer.closed.code == CloseCode.SLOW_CONSUMER
        assert sum(len(bytes(frame)) for frame in answer.frames) <= 4096
        assert await catch_up_by_polling(scene) == set(range(1, 21))
        await scene.advance(62.0, step=1.0)
        assert scene.gateway.counters.slow_polls == 1


async def catch_up_by_polling(scene: GatewayScene) -> set[int]:
    """Open a session and poll, acknowledging, until caught up; return the numbers that came."""
    answer = await opened(scene)
    found: set[int] = set()
    for number in range(2, 100):
        said = []
        for frame in read(answer):
            if isinstance(frame, frames.CaughtUp):
                return found
            if isinstance(frame, frames.MessageFrame):
                found.add(frame.sequence_number)
                said = [raw("received", conversationId=DM, sequenceNumber=frame.sequence_number)]
        polling = asyncio.create_task(
            poll(scene, answer.session, number, *said, ack=answer.answer_number, wait_ms=30_000)
        )
        while not polling.done():
            await scene.advance(0.25)
        answer = await polling
    raise AssertionError("never caught up")


async def test_an_answer_is_bounded_and_the_rest_follows(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    for _ in range(10):
        await scene.message("bob", DM, text="x" * 40_000)
    sizes, number, answer = [], 3, await poll(scene, session, 3, ack=last)
    while answer.frames:
        sizes.append(sum(len(bytes(frame)) for frame in answer.frames))
        number += 1
        answer = await poll(scene, session, number, ack=answer.answer_number)
    assert len(sizes) == 2
    assert max(sizes) <= poll_connection.ANSWER_BYTES


async def test_sessions_are_bounded_per_device_user_and_address(scene: GatewayScene) -> None:
    for _ in range(5):
        await opened(scene)
    assert scene.gateway.counters.polls == 2
    await opened(scene, device=2)
    with expect(ErrorCode.RATE_LIMITED):
        await opened(scene, device=3)
    await opened(scene, "bob")
    with expect(ErrorCode.RATE_LIMITED):
        await scene.gateway.poll(PollRequest(1, frames=(raw("hello", token="bob-1"),)), "bob-1", "192.0.2.1")
    await scene.gateway.poll(PollRequest(1, frames=(raw("hello", token="bob-1"),)), "bob-1", "192.0.2.2")


async def test_an_oversize_frame_closes_as_on_a_socket(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    answer = await poll(scene, session, 3, raw("ping", ref="x" * 70_000), raw("ping", ref="y"), ack=last)
    assert answer.frames == ()
    assert answer.closed is not None
    assert answer.closed.code == CloseCode.TOO_BIG


async def test_a_cancelled_poll_loses_nothing(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    waiting = asyncio.create_task(poll(scene, session, 3, ack=last, wait_ms=30_000))
    await scene.settle()
    waiting.cancel()
    await scene.settle()
    await scene.message("bob", DM)
    answer = await poll(scene, session, 3, ack=last)
    assert len(answer.frames) == 1


async def test_between_polls_the_client_counts_as_alive(scene: GatewayScene) -> None:
    session, last = await caught_up(scene)
    await scene.message("bob", DM)
    await scene.advance(50.0)
    answer = await poll(scene, session, 3, ack=last)
    assert answer.closed is None
    assert [frame.sequence_number for frame in read(answer)] == [1]
