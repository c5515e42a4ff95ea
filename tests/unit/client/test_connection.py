"""Opening, ending and coming back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cooee.client.connection import Connection
from cooee.client.errors import ConnectionFailed, ServerError, Stopped
from cooee.client.events import ConnectionState, Event
from cooee.client.ledger import EventStream, Ledger
from cooee.client.live import Live
from cooee.client.model import Message
from cooee.client.opening import Opening, TransportChoice
from cooee.client.store import Store
from cooee.client.transport import ABNORMAL, TransportRefused, TransportUnreachable
from cooee.protocol import frames
from tests.fakes.client_frames import CHAT, ME, ack, page, pending, said, welcome
from tests.fakes.client_store import STORE_KEY
from tests.fakes.wire import Plan, Wire, greet


class Scene:
    """A connection over planned transports; waits between tries take no time."""

    def __init__(self, ledger: Ledger, connection: Connection, events: EventStream, plan: Plan) -> None:
        self.ledger = ledger
        self.connection = connection
        self.events = events
        self.plan = plan
        self.told: list[Event] = []

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        async for event in self.events:
            self.told.append(event)
            if wanted(event):
                return event
        raise AssertionError("the stream ended")

    async def online(self) -> ConnectionState:
        event = await self.until(lambda event: isinstance(event, ConnectionState) and event.state == "online")
        assert isinstance(event, ConnectionState)
        return event

    async def message(self, number: int) -> Event:
        return await self.until(lambda event: isinstance(event, Message) and event.sequence_number == number)

    @property
    def waits(self) -> list[ConnectionState]:
        return [event for event in self.told if isinstance(event, ConnectionState) and event.state == "waiting"]


@asynccontextmanager
async def scene(
    tmp_path: Path, *wires: Wire, choice: TransportChoice = "auto", plan: Plan | None = None, **options: Any
) -> AsyncIterator[Scene]:
    ledger = await Ledger.open(Store(tmp_path, STORE_KEY), ME)
    live = Live(ledger.state)
    plan = plan or Plan(wires)
    opening = Opening(ledger, plan, "test/0", choice)
    connection = Connection(ledger, live, plan, opening, unit=lambda: 0.0, **options)
    events = ledger.subscribe()
    task = asyncio.create_task(connection.run())
    try:
        yield Scene(ledger, connection, events, plan)
    finally:
        connection.close()
        await task
        await ledger.close()


def _never(event: Event) -> bool:
    return False


async def test_a_new_device_learns_where_it_starts_and_keeps_the_token_of_a_list_read_after_it(tmp_path: Path) -> None:
    wire = Wire()
    async with scene(tmp_path, wire) as here:
        state = await here.online()
        assert state.transport == "websocket"
        assert here.plan.listed == 2
        assert here.ledger.state.sync_token == "t1"
    hello = wire.said[0]
    assert isinstance(hello, frames.Hello)
    assert (hello.token, hello.client, hello.sync_token) == ("secret", "test/0", None)
    assert wire.closed


async def test_a_known_device_goes_on_from_its_token(tmp_path: Path) -> None:
    first, second = Wire(), Wire()
    async with scene(tmp_path, first) as here:
        await here.online()
    async with scene(tmp_path, second) as here:
        await here.online()
        assert here.plan.listed == 0
    hello = second.said[0]
    assert isinstance(hello, frames.Hello)
    assert hello.sync_token == "t1"


async def test_a_message_is_stored_before_it_is_told_and_told_before_it_is_acknowledged(tmp_path: Path) -> None:
    wire = Wire()
    async with scene(tmp_path, wire) as here:
        await here.online()
        wire.push(said(1))
        await here.message(1)
        assert here.ledger.store.load(ME).conversations[CHAT].position == 1
        received = await wire.heard(frames.Received)
        assert received == frames.Received(CHAT, 1)


async def test_a_dropped_connection_is_opened_again_and_the_outbox_goes_out_again(tmp_path: Path) -> None:
    first, second = Wire(), Wire()
    async with scene(tmp_path, first, second) as here:
        await here.online()
        here.ledger.state.outbox.add(here.ledger.store.put_pending(pending("k1")))
        here.connection.wake()
        sent = await first.heard(frames.Send)
        first.shut(1011)
        await here.online()
        assert await second.heard(frames.Send) == sent
        second.push(ack("k1", 1))
        await here.until(lambda event: getattr(event, "client_message_id", None) == "k1")


@pytest.mark.parametrize("code", [4003, 4009])
async def test_codes_that_say_so_end_it_for_good(tmp_path: Path, code: int) -> None:
    wire = Wire()
    async with scene(tmp_path, wire) as here:
        await here.online()
        wire.shut(code)
        with pytest.raises(Stopped) as stopped:
            await here.until(_never)
        assert stopped.value.code == code
        assert here.connection.state.state == "stopped"


async def test_a_refused_token_ends_it_for_good(tmp_path: Path) -> None:
    def refuse(wire: Wire, frame: frames.ClientFrame) -> None:
        wire.push(frames.Error("unauthorized", "log in again", retryable=False))

    async with scene(tmp_path, Wire(answer=refuse)) as here:
        with pytest.raises(Stopped):
            await here.online()


async def test_a_refused_token_is_renewed_once(tmp_path: Path) -> None:
    renewed = []

    async def renew() -> bool:
        renewed.append(True)
        return True

    plan = Plan([Wire()], list_error=ServerError("unauthorized", "log in again", status=401))
    async with scene(tmp_path, plan=plan, renew=renew) as here:
        await here.until(lambda event: isinstance(event, ConnectionState) and event.state == "waiting")
        plan.list_error = None
        await here.online()
        assert renewed == [True]


async def test_long_polling_takes_over_where_a_websocket_is_refused(tmp_path: Path) -> None:
    refused = Wire(refuse=TransportRefused("status 403"))
    async with scene(tmp_path, refused, Wire("longpoll")) as here:
        assert (await here.online()).transport == "longpoll"


async def test_a_websocket_that_swallows_hello_counts_as_refused(tmp_path: Path) -> None:
    def hang_up(wire: Wire, frame: frames.ClientFrame) -> None:
        wire.shut(ABNORMAL)

    async with scene(tmp_path, Wire(answer=hang_up), Wire("longpoll")) as here:
        assert (await here.online()).transport == "longpoll"


async def test_an_unreachable_server_is_tried_again_with_a_websocket(tmp_path: Path) -> None:
    away = Wire(refuse=TransportUnreachable("connection refused"))
    async with scene(tmp_path, away, Wire()) as here:
        assert (await here.online()).transport == "websocket"
        assert [wait.reason for wait in here.waits] == ["connection refused"]


async def test_a_list_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    plan = Plan([Wire()], list_error=ConnectionFailed("away"))
    async with scene(tmp_path, plan=plan) as here:
        await here.until(lambda event: isinstance(event, ConnectionState) and event.state == "waiting")
        plan.list_error = None
        await here.online()


async def test_the_websocket_comes_back_without_loss_or_double(tmp_path: Path) -> None:
    refused = Wire(refuse=TransportRefused("status 403"))
    polling, websocket = Wire("longpoll"), Wire()
    async with scene(tmp_path, refused, polling, websocket, probe_ms=1) as here:
        await here.until(lambda event: isinstance(event, ConnectionState) and event.transport == "longpoll")
        polling.push(said(1))
        await here.until(lambda event: isinstance(event, ConnectionState) and event.transport == "websocket")
        websocket.push(said(1), said(2))
        await here.message(2)
        assert polling.closed
    assert [event.sequence_number for event in here.told if isinstance(event, Message)] == [1, 2]


async def test_a_draining_server_says_when_to_come_to_another(tmp_path: Path) -> None:
    first, second = Wire(), Wire()
    async with scene(tmp_path, first, second) as here:
        await here.online()
        first.push(frames.Reconnect("server_drain", 1))
        await here.online()
        assert [wait.retry_in_ms for wait in here.waits] == [0]
        assert first.closed


async def test_a_server_that_leaves_before_the_delay_is_over_is_waited_for(tmp_path: Path) -> None:
    wire = Wire()
    async with scene(tmp_path, wire, Wire()) as here:
        await here.online()
        wire.push(frames.Reconnect("server_drain", 60_000))
        wire.shut(1001)
        waiting = await here.until(lambda event: isinstance(event, ConnectionState) and event.state == "waiting")
        assert isinstance(waiting, ConnectionState)
        assert 50_000 < waiting.retry_in_ms <= 60_000


async def test_a_refusal_of_hello_is_obeyed(tmp_path: Path) -> None:
    def busy(wire: Wire, frame: frames.ClientFrame) -> None:
        wire.push(frames.Error("unavailable", "full", retryable=True, retry_after_ms=7))

    async with scene(tmp_path, Wire(answer=busy), Wire()) as here:
        await here.online()
        assert [(wait.retry_in_ms, wait.reason) for wait in here.waits] == [(7, "full")]


async def test_what_a_newer_or_broken_server_says_loses_nothing_else(tmp_path: Path) -> None:
    wire = Wire()
    async with scene(tmp_path, wire) as here:
        await here.online()
        wire.push(b'{"type":"hologram"}', b'{"type":"message"}', b"no json", said(1))
        wire.push(b'{"type":"conversation","conversation":{"x":1},"syncToken":"t"}', said(2))
        await here.message(2)


async def test_a_full_store_ends_the_connection_and_nothing_is_told_or_acknowledged(tmp_path: Path) -> None:
    first, second = Wire(), Wire()
    async with scene(tmp_path, first, second) as here:
        await here.online()
        db = here.ledger.store._db
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        await here.ledger.run(db.execute, f"PRAGMA max_page_count = {pages}")
        first.push(*[said(number, "x" * 4000) for number in range(1, 60)])
        await here.until(lambda event: isinstance(event, ConnectionState) and event.state == "waiting")
        assert not any(isinstance(event, Message) for event in here.told)
        assert not any(isinstance(frame, frames.Received) for frame in first.said)
        await here.ledger.run(db.execute, "PRAGMA max_page_count = 100000")
        await here.online()
        second.push(*[said(number, "x" * 4000) for number in range(1, 60)])
        await here.message(59)


async def test_a_hole_is_fetched(tmp_path: Path) -> None:
    def serve(wire: Wire, frame: frames.ClientFrame) -> None:
        greet(wire, frame)
        if isinstance(frame, frames.Fetch):
            wire.push(page(said(2), said(3), first=2, through=3, ref=frame.ref))

    wire = Wire(answer=serve)
    async with scene(tmp_path, wire) as here:
        await here.online()
        wire.push(said(1), said(4))
        await here.message(4)
    assert [event.sequence_number for event in here.told if isinstance(event, Message)] == [1, 2, 3, 4]


async def test_only_the_chosen_transport_is_used(tmp_path: Path) -> None:
    async with scene(tmp_path, Wire("longpoll"), choice="longpoll") as here:
        assert (await here.online()).transport == "longpoll"
    refused = Wire(refuse=TransportRefused("status 403"))
    other = tmp_path / "other"
    other.mkdir()
    async with scene(other, refused, Wire(), choice="websocket") as here:
        assert (await here.online()).transport == "websocket"


async def test_closing_says_what_is_still_to_be_said(tmp_path: Path) -> None:
    def greet_with_a_message(wire: Wire, frame: frames.ClientFrame) -> None:
        if isinstance(frame, frames.Hello):
            wire.push(welcome(), said(1), frames.CaughtUp("t1"))

    wire = Wire(answer=greet_with_a_message)
    async with scene(tmp_path, wire) as here:
        await here.message(1)
    assert frames.Received(CHAT, 1) in wire.said
