"""Servers that die, networks that cut, and proxies that let no WebSocket through: nothing lost, nothing doubled."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from cooee.client import ClientSettings, ConnectionState, ConversationUpdated, Message, TickChanged
from tests.fakes.proxy import Proxy
from tests.integration.conftest import NewServer
from tests.integration.harness import ServerProcess
from tests.integration.people import WAIT_S, House, Person, new_user


def texts(messages: Sequence[Message]) -> list[str]:
    return [message.text for message in messages]


async def everything(person: Person, chat: str, count: int) -> list[Message]:
    """Return the whole conversation once it has ``count`` messages, and check its numbers."""
    await person.hears(
        ConversationUpdated,
        lambda event: event.conversation.conversation_id == chat and event.conversation.position >= count,
    )
    page = await person.client.history(chat, limit=count + 10)
    assert [message.sequence_number for message in page.messages] == list(range(1, count + 1))
    told = [message.sequence_number for message in person.messages(chat)]
    assert told == sorted(set(told)), "told in order and once"
    return list(page.messages)


@pytest.mark.parametrize("seed", range(3))
async def test_a_network_that_cuts_every_connection_loses_and_doubles_nothing(
    server: ServerProcess, tmp_path: Path, transport: str, seed: int
) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with Proxy(server.url, seed) as network, House(tmp_path, transport) as house:
        alice = await house.enter(network.url, alice_id)
        bob = await house.enter(network.url, bob_id)
        network.cut_after = 12_000
        network.cut()
        chat = alice.client.conversation_id(bob_id)
        for number in range(20):
            sent = await alice.client.send_text(bob_id, f"a{number}")
            await bob.client.send_text(alice_id, f"b{number}")
            if number % 5 == seed:
                await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
        await bob.reads("a19")
        await alice.reads("b19")
        network.cut_after = 0
        found = texts(await everything(bob, chat, 40))
        assert sorted(found) == sorted([f"a{number}" for number in range(20)] + [f"b{number}" for number in range(20)])
        assert [text for text in found if text[0] == "a"] == [f"a{number}" for number in range(20)]
        assert [text for text in found if text[0] == "b"] == [f"b{number}" for number in range(20)]
        assert texts(bob.messages(chat)) == [f"a{number}" for number in range(20)]
        assert network.cuts > 0


async def test_a_server_that_is_killed_and_started_again_is_found_again(
    new_server: NewServer, tmp_path: Path, transport: str
) -> None:
    server = new_server()
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with House(tmp_path, transport) as house:
        alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
        chat = alice.client.conversation_id(bob_id)
        await alice.client.send_text(bob_id, "before")
        await bob.reads("before")
        server.kill9()
        await alice.hears(ConnectionState, lambda state: state.state == "waiting")
        for number in range(5):
            await alice.client.send_text(bob_id, f"meanwhile {number}")
            await bob.client.send_text(alice_id, f"here too {number}")
        assert len(await alice.client.outbox()) == 5
        last = (await bob.client.outbox())[-1]
        await asyncio.to_thread(server.start)
        await alice.client.online(WAIT_S)
        await bob.client.wait_for_delivered(last.client_message_id, WAIT_S)
        await bob.reads("meanwhile 4")
        found = await everything(alice, chat, 11)
        assert len({message.client_message_id for message in found}) == 11


async def test_a_draining_server_sends_its_clients_away_and_they_come_back(
    new_server: NewServer, tmp_path: Path, transport: str
) -> None:
    server = new_server()
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with House(tmp_path, transport) as house:
        alice = await house.enter(server.url, alice_id)
        assert await asyncio.to_thread(server.stop) == 0
        await alice.hears(ConnectionState, lambda state: state.state == "waiting")
        sent = await alice.client.send_text(bob_id, "hello")
        await asyncio.to_thread(server.start)
        await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)


async def test_long_polling_takes_over_and_the_websocket_comes_back(server: ServerProcess, tmp_path: Path) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    settings = ClientSettings(websocket_again_ms=50)
    async with Proxy(server.url) as network, House(tmp_path) as house:
        network.refuse_websocket = True
        alice = await house.enter(network.url, alice_id, settings=settings)
        bob = await house.enter(network.url, bob_id, settings=settings)
        assert alice.client.connection.transport == bob.client.connection.transport == "longpoll"
        chat = alice.client.conversation_id(bob_id)
        for number in range(10):
            await alice.client.send_text(bob_id, f"a{number}")
            if number == 3:
                network.refuse_websocket = False
        await alice.hears(ConnectionState, lambda state: (state.state, state.transport) == ("online", "websocket"))
        await bob.hears(ConnectionState, lambda state: (state.state, state.transport) == ("online", "websocket"))
        last = await alice.client.send_text(bob_id, "over the socket")
        await alice.client.wait_for_delivered(last.client_message_id, WAIT_S)
        assert texts(await everything(bob, chat, 11)) == [*(f"a{number}" for number in range(10)), "over the socket"]
        network.refuse_websocket = True
        network.cut()
        await alice.client.send_text(bob_id, "and polling again")
        await bob.reads("and polling again")


async def test_a_half_open_connection_is_noticed_by_the_client(new_server: NewServer, tmp_path: Path) -> None:
    server = new_server(LIMITS_HEARTBEAT_INTERVAL_S="0.2", LIMITS_HEARTBEAT_TIMEOUT_S="0.2")
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with Proxy(server.url) as network, House(tmp_path, "websocket") as house:
        alice = await house.enter(network.url, alice_id)
        network.freeze()
        sent = await alice.client.send_text(bob_id, "into the void")
        waiting = await alice.hears(ConnectionState, lambda state: state.state == "waiting")
        assert waiting.reason == "the server went silent"
        network.thaw()
        await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)


async def test_receipts_that_came_while_away_are_caught_up(
    server: ServerProcess, tmp_path: Path, transport: str
) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with Proxy(server.url) as network, House(tmp_path, transport) as house:
        alice, bob = await house.enter(network.url, alice_id), await house.enter(server.url, bob_id)
        sent = await alice.client.send_text(bob_id, "hello")
        await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
        await network.close()
        await alice.hears(ConnectionState, lambda state: state.state == "waiting")
        await bob.reads("hello")
        await bob.client.mark_read(sent.conversation_id)
        await bob.client.send_text(alice_id, "read it")
        await network.reopen()
        await alice.client.wait_for_read(sent.client_message_id, WAIT_S)
        await alice.reads("read it")


async def test_reading_while_away_is_told_later(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with Proxy(server.url) as network, House(tmp_path, transport) as house:
        alice, bob = await house.enter(network.url, alice_id), await house.enter(server.url, bob_id)
        sent = await bob.client.send_text(alice_id, "hello")
        await alice.reads("hello")
        await network.close()
        await alice.client.mark_read(sent.conversation_id)
        assert (await alice.view(sent.conversation_id)).unread == 0
        await network.reopen()
        await bob.client.wait_for_read(sent.client_message_id, WAIT_S)
        assert not [event for event in bob.told if isinstance(event, TickChanged) and event.status == "failed"]


async def test_limits_slow_a_client_down_and_lose_nothing(
    new_server: NewServer, tmp_path: Path, transport: str
) -> None:
    server = new_server(LIMITS_SENDS="30/s burst 5")
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with House(tmp_path, transport) as house:
        alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
        last = [await alice.client.send_text(bob_id, f"a{number}") for number in range(20)][-1]
        await alice.client.wait_for_delivered(last.client_message_id, WAIT_S)
        assert texts(bob.messages(last.conversation_id)) == [f"a{number}" for number in range(20)]


async def test_a_large_group_is_fetched_when_it_is_opened(
    new_server: NewServer, tmp_path: Path, transport: str
) -> None:
    server = new_server(LIMITS_LARGE_GROUP_MEMBERS="3")
    users = [await new_user(server.url, name) for name in ("alice", "bob", "carol")]
    async with House(tmp_path, transport) as house:
        alice = await house.enter(server.url, users[0])
        group = await alice.client.api.create_group("Big", users[1:])
        chat = group.conversation_id
        sent = [await alice.client.send_text(chat, f"a{number}") for number in range(5)][-1]
        await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
        bob = await house.enter(server.url, users[1])
        carol = await house.enter(server.url, users[2], follow_large_groups=True)
        await carol.reads("a4")
        view = await bob.view(chat)
        assert (view.head, view.position) == (6, 0)
        assert [message.text for message in (await bob.client.history(chat, limit=2)).messages] == ["a3", "a4"]
        assert bob.messages(chat) == []
        bob.client.open(chat)
        await bob.reads("a4")
        assert [message.sequence_number for message in bob.messages(chat)] == [1, 2, 3, 4, 5, 6]
        await alice.client.wait_for_delivered(sent.client_message_id, WAIT_S)
        await alice.client.send_text(chat, "live again")
        await bob.reads("live again")
