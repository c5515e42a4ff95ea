"""Draining: nobody is lost, nothing that was taken goes unanswered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from cooee.domain.errors import CooeeError, ErrorCode
from cooee.protocol import frames
from cooee.protocol.codec import decode_server
from cooee.protocol.codes import CloseCode
from cooee.protocol.poll import PollRequest
from tests.fakes.gateway_scene import Client, GatewayScene

DM = "dm:alice:bob"


@pytest.fixture
async def scene() -> AsyncIterator[GatewayScene]:
    async with GatewayScene(drain_s=0.1) as scene:
        await scene.person("alice", devices=5)
        await scene.person("bob")
        yield scene


async def delays(clients: list[Client]) -> list[int]:
    """Return what each client was told."""
    return [frame.delay_ms for client in clients for frame in await client.got() if isinstance(frame, frames.Reconnect)]


async def test_every_client_gets_its_own_delay_and_in_the_end_1001(scene: GatewayScene) -> None:
    clients = [await scene.online("alice", number) for number in range(1, 6)]
    stopped: list[bool] = []
    await scene.gateway.drain(lambda: stopped.append(True), spread_s=10.0)
    told = await delays(clients)
    assert stopped == [True]
    assert len(set(told)) == 5
    assert all(0 <= delay <= 80 for delay in told), "delays spread over most of the drain time"
    assert {client.close_code for client in clients} == {CloseCode.GOING_AWAY}
    assert not scene.gateway.ready


async def test_a_drain_ends_when_all_have_left(scene: GatewayScene) -> None:
    async with GatewayScene(drain_s=1e6) as patient:
        await patient.person("alice")
        alice = await patient.online("alice")
        draining = asyncio.create_task(patient.gateway.drain())
        await patient.settle()
        assert len(await delays([alice])) == 1
        alice.connection.lose()
        await draining


async def test_while_draining_nobody_new_is_welcomed(scene: GatewayScene) -> None:
    alice = await scene.online("alice")
    draining = asyncio.create_task(scene.gateway.drain())
    await scene.settle()
    late = scene.connect()
    late.say("hello", token="bob-1")
    assert await late.errors() == [(ErrorCode.UNAVAILABLE, None)]
    assert late.close_code == CloseCode.GOING_AWAY
    hello = (msgspec.Raw(b'{"type":"hello","token":""}'),)
    with pytest.raises(CooeeError, check=lambda refusal: refusal.code is ErrorCode.UNAVAILABLE):
        await scene.gateway.poll(PollRequest(1, frames=hello), "bob-1", "192.0.2.1")
    alice.send(DM, "still here", "m1")
    assert any(isinstance(frame, frames.Ack) for frame in await alice.got())
    await draining


async def test_what_was_taken_is_acknowledged_before_the_end(
    scene: GatewayScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Callable[[], None]] = []
    real = scene.store.message_log.append

    def append_later(_log: Any, record: Any, done: Any) -> None:
        held.append(lambda: real(record, done))

    monkeypatch.setattr(type(scene.store.message_log), "append", append_later)
    alice = await scene.online("alice")
    alice.send(DM, "last words", "m1")
    draining = asyncio.create_task(scene.gateway.drain())
    while not held:
        await scene.settle()
    await asyncio.sleep(0.2)  # longer than the drain: only the pending answer holds it
    assert alice.close_code is None
    held[0]()
    await draining
    assert [frame.client_message_id for frame in await alice.got() if isinstance(frame, frames.Ack)] == ["m1"]
    assert alice.close_code == CloseCode.GOING_AWAY


async def test_a_long_poll_is_told_and_answered(scene: GatewayScene) -> None:
    hello = (msgspec.Raw(b'{"type":"hello","token":""}'),)
    first = await scene.gateway.poll(PollRequest(1, frames=hello), "bob-1", "192.0.2.1")
    second = await scene.gateway.poll(
        PollRequest(2, first.session, first.answer_number, (), 1000), "bob-1", "192.0.2.1"
    )
    waiting = asyncio.create_task(
        scene.gateway.poll(PollRequest(3, first.session, second.answer_number, (), 30_000), "bob-1", "192.0.2.1")
    )
    await scene.settle()
    draining = asyncio.create_task(scene.gateway.drain())
    told = await waiting
    assert isinstance(decode_server(bytes(told.frames[0])), frames.Reconnect)
    last = await scene.gateway.poll(PollRequest(4, first.session, told.answer_number, (), 30_000), "bob-1", "192.0.2.1")
    assert last.closed is not None
    assert last.closed.code == CloseCode.GOING_AWAY
    await draining
