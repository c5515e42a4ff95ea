"""People talk through the SDK: over WebSocket and over long polling alike."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cooee.client import (
    ClientSettings,
    ConnectionState,
    ConversationUpdated,
    Message,
    MessageDeleted,
    NotLoggedIn,
    Presence,
    SendFailed,
    ServerError,
    Stopped,
    StoreLocked,
    StoreMismatch,
    TickChanged,
    Typing,
    load_account,
    log_in,
)
from cooee.client.account import save_account
from cooee.protocol import http
from tests.integration.harness import ServerProcess
from tests.integration.people import PASSWORD, WAIT_S, House, new_user


@pytest.fixture
async def house(tmp_path: Path, transport: str) -> AsyncIterator[House]:
    async with House(tmp_path, transport) as opened:
        yield opened


async def test_a_message_is_sent_delivered_and_read(server: ServerProcess, house: House) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
    sent = await alice.client.send_text(bob_id, "hello")
    assert (await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)).sequence_number == 1
    assert (await bob.reads("hello")).sender_id == alice_id
    await alice.client.wait_for_delivered(sent.client_message_id, WAIT_S)
    assert (await bob.view(sent.conversation_id)).unread == 1
    await bob.client.mark_read(sent.conversation_id)
    assert (await bob.view(sent.conversation_id)).unread == 0
    await alice.client.wait_for_read(sent.client_message_id, WAIT_S)
    ticks = [event.status for event in alice.told if isinstance(event, TickChanged)]
    assert ticks == ["sent", "delivered", "read"]
    assert alice.messages(sent.conversation_id) == []
    assert not await alice.client.outbox()


async def test_messages_keep_their_order_both_ways(server: ServerProcess, house: House) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
    chat = alice.client.conversation_id(bob_id)
    alice_last = ""
    for number in range(15):
        alice_last = (await alice.client.send_text(bob_id, f"a{number}")).client_message_id
        await bob.client.send_text(alice_id, f"b{number}")
    await alice.reads("b14")
    await bob.reads("a14")
    await alice.client.wait_for_sent(alice_last, WAIT_S)
    assert [message.text for message in bob.messages(chat)] == [f"a{number}" for number in range(15)]
    assert [message.text for message in alice.messages(chat)] == [f"b{number}" for number in range(15)]
    page = await alice.client.history(chat, limit=30)
    assert [message.sequence_number for message in page.messages] == list(range(1, 31))
    assert not page.from_server


async def test_a_second_device_follows(server: ServerProcess, house: House) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    phone, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
    first = await bob.client.send_text(alice_id, "before")
    await phone.reads("before")
    await phone.client.send_text(bob_id, "from the phone")
    await bob.client.wait_for_delivered(first.client_message_id, WAIT_S)
    laptop = await house.enter(server.url, alice_id, "-laptop")
    [view] = await laptop.client.conversations()
    assert (view.title, view.head) == (bob_id, 2)
    assert [message.text for message in (await laptop.client.history(first.conversation_id)).messages] == [
        "before",
        "from the phone",
    ]
    await phone.client.send_text(bob_id, "again")
    assert (await laptop.reads("again")).sender_device_id == phone.client.me.device_id
    await phone.client.mark_read(first.conversation_id)
    await laptop.hears(ConversationUpdated, lambda event: event.conversation.read == 3)
    await phone.client.set_flags(first.conversation_id, pinned=True)
    await laptop.hears(ConversationUpdated, lambda event: event.conversation.pinned)


async def test_a_group_ticks_when_all_have_it(server: ServerProcess, house: House) -> None:
    alice_id = await new_user(server.url, "alice")
    bob_id, carol_id = await new_user(server.url, "bob"), await new_user(server.url, "carol")
    alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
    group = await alice.client.api.create_group("Friends", [bob_id])
    chat = group.conversation_id
    created = await bob.hears(Message, lambda message: message.event == "group_created")
    assert created.conversation_id == chat
    sent = await alice.client.send_text(chat, "two of us")
    await alice.client.wait_for_delivered(sent.client_message_id, WAIT_S)
    await alice.client.api.add_members(chat, [carol_id])
    to_three = await alice.client.send_text(chat, "three of us")
    await bob.reads("three of us")
    await bob.client.mark_read(chat)
    await alice.client.wait_for_read(sent.client_message_id, WAIT_S)
    assert (await alice.view(chat)).delivered_through < 4, "carol has nothing yet"
    carol = await house.enter(server.url, carol_id)
    assert (await carol.reads("three of us")).sequence_number == 4
    await alice.client.wait_for_delivered(to_three.client_message_id, WAIT_S)
    await carol.client.mark_read(chat)
    await alice.client.wait_for_read(to_three.client_message_id, WAIT_S)
    assert [message.event for message in carol.messages(chat)] == ["member_added", ""]
    await alice.client.api.remove_member(chat, carol_id)
    await carol.hears(ConversationUpdated, lambda event: event.conversation.left)
    refused = await carol.client.send_text(chat, "hello?")
    with pytest.raises(SendFailed) as failed:
        await carol.client.wait_for_sent(refused.client_message_id, WAIT_S)
    assert failed.value.code == "not_a_member"


async def test_deleting_typing_and_presence(server: ServerProcess, house: House) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
    sent = await alice.client.send_text(bob_id, "oops")
    message = await bob.reads("oops")
    await alice.client.delete_message(sent.conversation_id, message.sequence_number)
    await bob.hears(MessageDeleted, lambda event: event.sequence_number == 1)
    [first, _] = (await bob.client.history(sent.conversation_id)).messages
    assert (first.deleted, first.text) == (True, "")
    await alice.client.typing(sent.conversation_id)
    await bob.hears(Typing, lambda event: (event.user_id, event.status) == (alice_id, "started"))
    await bob.client.api.add_contact(alice_id)
    await alice.client.watch_presence([bob_id])
    await alice.hears(Presence, lambda event: (event.user_id, event.status) == (bob_id, "online"))


async def test_a_refused_message_fails_with_the_reason_and_the_next_one_goes(
    server: ServerProcess, house: House
) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    alice, bob = await house.enter(server.url, alice_id), await house.enter(server.url, bob_id)
    await bob.client.api.block(alice_id)
    blocked = await alice.client.send_text(bob_id, "hello?")
    with pytest.raises(SendFailed) as failed:
        await alice.client.wait_for_sent(blocked.client_message_id, WAIT_S)
    assert failed.value.code == "blocked"
    [entry] = await alice.client.outbox()
    assert (entry.status, entry.code) == ("failed", "blocked")
    await bob.client.api.unblock(alice_id)
    again = await alice.client.retry(blocked.client_message_id)
    await alice.client.wait_for_sent(again.client_message_id, WAIT_S)
    await bob.reads("hello?")
    nobody = await alice.client.send_text("nobody.at.all", "hello?")
    with pytest.raises(SendFailed) as failed:
        await alice.client.wait_for_sent(nobody.client_message_id, WAIT_S)
    assert failed.value.code == "not_found"
    await alice.client.discard(nobody.client_message_id)
    assert not await alice.client.outbox()
    with pytest.raises(KeyError):
        await alice.client.retry(nobody.client_message_id)


async def test_what_can_never_be_sent_is_refused_at_once(server: ServerProcess, house: House) -> None:
    alice = await house.enter(server.url, await new_user(server.url, "alice"))
    for to, text, code in (
        ("bob", "", "bad_frame"),
        ("bob", "x" * 50_000, "too_large"),
        ("not a user", "hi", "bad_frame"),
        ("dm:b:a", "hi", "bad_frame"),
        ("bob", "\ud800", "bad_frame"),
    ):
        with pytest.raises(SendFailed) as failed:
            await alice.client.send_text(to, text)
        assert failed.value.code == code
    assert not await alice.client.outbox()


async def test_notes_to_oneself_are_read_at_once(server: ServerProcess, house: House) -> None:
    alice_id = await new_user(server.url, "alice")
    alice = await house.enter(server.url, alice_id)
    note = await alice.client.send_text(alice_id, "milk")
    await alice.client.wait_for_read(note.client_message_id, WAIT_S)


async def test_a_device_that_logs_out_and_in_again_goes_on(
    server: ServerProcess, tmp_path: Path, transport: str
) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with House(tmp_path, transport) as house:
        alice = await house.enter(server.url, alice_id)
        device = alice.client.me
        sent = await alice.client.send_text(bob_id, "hello")
        await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
        await alice.client.log_out()
        await alice.hears(ConnectionState, lambda state: state.state == "stopped")
    folder = tmp_path / alice_id
    with pytest.raises(NotLoggedIn):
        async with House(tmp_path, transport) as house:
            await house.open(server.url, alice_id, password=None)
    account = await log_in(server.url, alice_id, PASSWORD, store=folder)
    assert account.me == device
    async with House(tmp_path, transport) as house:
        alice = await house.enter(server.url, alice_id)
        assert (await alice.view(sent.conversation_id)).position == 1


async def test_a_revoked_device_stops_for_good(server: ServerProcess, house: House) -> None:
    alice_id = await new_user(server.url, "alice")
    phone = await house.enter(server.url, alice_id, password=PASSWORD)
    stolen = await house.enter(server.url, alice_id, "-stolen")
    await phone.client.api.revoke_device(stolen.client.me.device_id)
    await stolen.hears(ConnectionState, lambda state: state.state == "stopped")
    with pytest.raises(Stopped) as stopped:
        await stolen.client.online(WAIT_S)
    assert stopped.value.code == 4003


async def test_a_stale_token_is_renewed_with_the_password(
    server: ServerProcess, tmp_path: Path, transport: str
) -> None:
    alice_id = await new_user(server.url, "alice")
    account = await log_in(server.url, alice_id, PASSWORD, store=tmp_path / alice_id)
    save_account(tmp_path / alice_id, type(account)(account.url, account.user_id, account.device_id, "stale"))
    async with House(tmp_path, transport) as house:
        alice = await house.enter(server.url, alice_id)
        assert alice.client.me == account.me
    renewed = load_account(tmp_path / alice_id)
    assert renewed is not None
    assert renewed.token not in ("stale", account.token)


async def test_a_token_is_enough(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice_id = await new_user(server.url, "alice")
    account = await log_in(server.url, alice_id, PASSWORD, store=tmp_path / "first")
    alice = await house.enter(server.url, alice_id, password=None, token=account.token)
    assert alice.client.me == account.me


async def test_a_store_has_one_client_of_one_account(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    await house.enter(server.url, alice_id)
    with pytest.raises(StoreLocked):
        await house.open(server.url, alice_id)
    await log_in(server.url, bob_id, PASSWORD, store=tmp_path / "shared")
    with pytest.raises(StoreMismatch):
        await log_in(server.url, alice_id, PASSWORD, store=tmp_path / "shared")
    with pytest.raises(ServerError):
        await log_in(server.url, alice_id, "wrong password", store=tmp_path / "wrong")
    await log_in(server.url, alice_id, PASSWORD, store=tmp_path / "wrong")


async def test_without_a_connection_the_rest_works(server: ServerProcess, tmp_path: Path) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    async with House(tmp_path) as house:
        alice = await house.open(server.url, alice_id, live=False)
        waiting = await alice.client.send_text(bob_id, "later")
        await alice.client.api.update_me(http.PatchMe(display_name="Alice"))
        assert [entry.client_message_id for entry in await alice.client.outbox()] == [waiting.client_message_id]
    async with House(tmp_path) as house:
        alice = await house.open(server.url, alice_id)
        await alice.client.wait_for_sent(waiting.client_message_id, WAIT_S)


async def test_a_replaced_client_stops(server: ServerProcess, tmp_path: Path, transport: str) -> None:
    alice_id = await new_user(server.url, "alice")
    account = await log_in(server.url, alice_id, PASSWORD, store=tmp_path / alice_id)
    settings = ClientSettings(transport="longpoll" if transport == "longpoll" else "websocket")
    async with House(tmp_path, transport) as house:
        first = await house.enter(server.url, alice_id, settings=settings, password=None)
        await house.enter(server.url, alice_id, "-copy", password=None, token=account.token)
        await first.hears(ConnectionState, lambda state: state.state == "stopped")
        with pytest.raises(Stopped) as stopped:
            await first.client.online(WAIT_S)
        assert stopped.value.code == 4009
