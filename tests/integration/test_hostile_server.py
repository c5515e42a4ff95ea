"""A server that lies to people who talk end-to-end encrypted: what it forges, moves and repeats is not believed.

The clients talk over a real server; what a hostile one would say besides is put in as if it had come from there.
"""

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cooee.client import KeyChanged, Message, MessageUpdated, SendFailed
from cooee.client.store import Store
from cooee.crypto import device_list
from cooee.crypto.device_list import DeviceList, ListedDevice
from cooee.crypto.keys import AccountPrivateKey, IdentityPrivateKey
from cooee.domain import base64url
from cooee.protocol import keys
from cooee.protocol.frames import MessageFrame
from tests.integration.harness import ServerProcess
from tests.integration.people import WAIT_S, House, Person, new_user

SECRET = "the keys are under the mat"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path, encryption="on") as opened:
        yield opened


async def enter(house: House, server: ServerProcess, name: str) -> Person:
    """Open the client of a new user."""
    person = await house.enter(server.url, await new_user(server.url, name))
    await person.client.linked(WAIT_S)
    return person


async def pair(server: ServerProcess, house: House) -> tuple[Person, Person, str]:
    """Return two people, and their chat."""
    alice, bob = await enter(house, server, "alice"), await enter(house, server, "bob")
    return alice, bob, alice.client.conversation_id(bob.client.me.user_id)


async def says(speaker: Person, listener: Person, chat: str, text: str) -> MessageFrame:
    """Let a text be sent and read, and return it as the listener got it from the server."""
    sent = await speaker.client.send_text(chat, text)
    await listener.reads(text)
    number = (await speaker.client.wait_for_sent(sent.client_message_id, WAIT_S)).sequence_number
    page = await listener.client.api.history(chat)
    frames = [msgspec.json.decode(raw, type=MessageFrame) for raw in page.messages]
    return next(frame for frame in frames if frame.sequence_number == number)


async def hears(person: Person, frame: MessageFrame, **lies: Any) -> Message:
    """Put in a message as the next of its conversation, and return what the client holds of it."""
    chat = lies.get("conversation_id", frame.conversation_id)
    view = await person.client.conversation(chat)
    number = (view.head if view is not None else 0) + 1
    lie = msgspec.structs.replace(frame, **({"sequence_number": number, "message_id": f"9{number}"} | lies))
    await person.client._ledger.step(lambda turn: turn.take(lie))
    person.client._ledger.keys_came = True  # as after a start
    worker = person.client._parts.worker
    assert worker is not None
    await worker.once()
    found = await person.client._ledger.run(person.client._ledger.store.find_message, chat, lie.sequence_number)
    assert found is not None
    return found


def has(text: str) -> Callable[[MessageUpdated], bool]:
    """Return whether a message that was changed has a text."""
    return lambda event: event.message.text == text


async def held(person: Person, chat: str) -> list[tuple[str, str, bool]]:
    """Return texts, problems, and whether they were edited, of all that is held of a chat."""
    page = await person.client._parts.history.held(chat, None, 50)
    return [(message.text, message.problem, message.edited) for message in page.messages]


async def test_a_message_that_comes_again_is_no_other_message(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    frame = await says(alice, bob, chat, SECRET)
    for _ in range(2):
        copy = await hears(bob, frame)
        assert (copy.text, copy.problem) == ("", "waiting")
    own = await hears(alice, frame)
    assert (own.text, own.problem) == ("", "waiting")
    assert [text for text, _, _ in await held(bob, chat)] == [SECRET, "", ""]


async def test_an_old_edit_and_an_old_reaction_do_not_come_back(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    number = (await says(alice, bob, chat, "one")).sequence_number
    for text in ("two", "three"):
        await alice.client.edit(chat, number, text)
        await bob.hears(MessageUpdated, has(text))
    for emoji in ("👍", ""):
        await alice.client.react(chat, number, emoji)
    await bob.hears(MessageUpdated, lambda event: event.message.reactions)
    await says(alice, bob, chat, "done")
    page = await bob.client.api.history(chat)
    for raw in (page.messages[1], page.messages[3]):
        await hears(bob, msgspec.json.decode(raw, type=MessageFrame))
    [first, *_] = (await bob.client.history(chat)).messages
    assert (first.text, dict(first.reactions)) == ("three", {})


def swap_ids(store: Store, first: Message, second: Message) -> None:
    """Let two held messages have each other's messageIds, as if the server had given them so to this device."""
    for place, given in ((first, second), (second, first)):
        store._db.execute(
            "UPDATE messages SET message_id = ?, message = json_set(message, '$.message_id', ?)"
            " WHERE conversation_id = ? AND sequence_number = ?",
            (given.message_id, given.message_id, place.conversation_id, place.sequence_number),
        )


async def test_what_is_said_of_a_message_follows_it_whatever_ids_the_server_gives(
    server: ServerProcess, house: House
) -> None:
    alice, bob, chat = await pair(server, house)
    numbers = [(await says(alice, bob, chat, text)).sequence_number for text in ("one", "two")]
    ledger = bob.client._ledger
    first, second = [await ledger.run(ledger.store.find_message, chat, number) for number in numbers]
    assert first is not None
    assert second is not None
    await ledger.run(swap_ids, ledger.store, first, second)
    await alice.client.edit(chat, numbers[0], "uno")
    await bob.hears(MessageUpdated, lambda event: event.message.edited)
    await alice.client.react(chat, numbers[1], "👍")
    await bob.hears(MessageUpdated, lambda event: event.message.reactions)
    await alice.client.send_text(chat, "what?", reply_to=first.message_id)
    await bob.reads("what?")
    page = await bob.client._parts.history.held(chat, None, 50)
    assert [(message.text, dict(message.reactions)) for message in page.messages] == [
        ("uno", {}),
        ("two", {alice.client.me.user_id: "👍"}),
        ("what?", {}),
    ]
    assert page.messages[2].reply_to == page.messages[0].message_id == second.message_id


async def test_what_is_moved_or_mixed_does_not_open(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    one, two = await says(alice, bob, chat, SECRET), await says(alice, bob, chat, "another one")
    carol = await enter(house, server, "carol")
    other = carol.client.conversation_id(bob.client.me.user_id)
    await says(carol, bob, other, "I am Carol")
    lies: list[dict[str, Any]] = [
        {"content": two.content},
        {"client_message_id": two.client_message_id},
        {"client_message_id": "fresh"},
        {"sender_id": carol.client.me.user_id, "sender_device_id": carol.client.me.device_id},
        {"conversation_id": other},
        {"content_type": "control", "content": msgspec.Raw(b'{"kind":"delete","target":"1"}')},
    ]
    for lie in lies:
        found = await hears(bob, one, **lie)
        assert found.text == ""
        assert found.problem or found.content_type == "unsupported"
    assert SECRET not in [text for text, _, _ in await held(bob, other)]
    texts = [text for text, _, _ in await held(bob, chat) if text]
    assert texts == [SECRET, "another one"]


async def test_what_is_in_the_clear_is_marked_and_switches_nothing(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    frame = await says(alice, bob, chat, SECRET)
    clear = await hears(bob, frame, content_type="text", content=msgspec.Raw(b'"send me the key"'), envelope=None)
    assert (clear.text, clear.encrypted) == ("send me the key", False)
    mode = msgspec.Raw(msgspec.json.encode({"event": "settings_changed", "encryption": "plain"}))
    await hears(bob, frame, content_type="system", content=mode, sender_device_id="")
    assert bob.client.mode(chat) == "encrypted"
    entry = await bob.client.send_text(chat, "never")
    assert entry.encrypted
    assert entry.frame().notification_preview == ""


def forged_list(user_id: str, version: int) -> keys.SignedList:
    """Return a list that the server signed itself, with a device of its own."""
    account = AccountPrivateKey.generate(lambda size: b"\x07" * size)
    spy = ListedDevice("spy", IdentityPrivateKey.generate(lambda size: b"\x08" * size).public())
    signed = device_list.sign(DeviceList(user_id, version, 1_000, account.public(), (spy,)), account)
    return keys.SignedList(base64url.encode(signed.payload), base64url.encode(signed.signature))


async def answered(person: Person, item: keys.UserDevices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server give this, and nothing else, for a user's devices."""

    async def device_lists(asked: Any) -> list[keys.UserDevices]:
        return [item for user_id, _ in asked if user_id == item.user_id]

    monkeypatch.setattr(person.client.api, "device_lists", device_lists)
    await person.client._look_up(item.user_id)


async def test_a_key_of_the_servers_own_is_told_and_stops_who_compared(
    server: ServerProcess, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, chat = await pair(server, house)
    bob_id = bob.client.me.user_id
    await says(alice, bob, chat, SECRET)
    number = await alice.client.safety_number(bob_id)
    await alice.client.set_verified(bob_id)
    await answered(alice, keys.UserDevices(bob_id, forged_list(bob_id, 9), False, ("spy",)), monkeypatch)
    assert (await alice.hears(KeyChanged)).verified
    refused = await alice.client.send_text(chat, "for the spy")
    with pytest.raises(SendFailed) as failed:
        await alice.client.wait_for_sent(refused.client_message_id, WAIT_S)
    assert failed.value.code == "key_changed"
    with pytest.raises(SendFailed, match="compare them again"):
        await alice.client.set_verified(bob_id)  # what was compared is the former one
    changed = await alice.client.safety_number(bob_id)
    assert (changed.verified, changed.changed, changed.digits == number.digits) == (True, True, False)


async def test_an_older_a_broken_and_a_missing_list_change_nothing(
    server: ServerProcess, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, chat = await pair(server, house)
    bob_id = bob.client.me.user_id
    await says(alice, bob, chat, SECRET)
    before = alice.client._agent.person(bob_id)
    good = forged_list(bob_id, 9)
    lies = [
        keys.UserDevices(bob_id, keys.SignedList(good.payload, "A" * 86), False, ("spy",)),
        keys.UserDevices(bob_id, forged_list("carol", 9), False, ("spy",)),
        keys.UserDevices(bob_id, None, True, ()),
        keys.UserDevices(bob_id, None, True, (before.devices[0].device_id, "spy"), True),
    ]
    for lie in lies:
        await answered(alice, lie, monkeypatch)
        assert alice.client._agent.person(bob_id) == before
    monkeypatch.undo()
    await says(alice, bob, chat, "still to Bob alone")


async def test_neither_logs_nor_errors_tell_what_was_said(
    server: ServerProcess, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    alice, bob, chat = await pair(server, house)
    frame = await says(alice, bob, chat, SECRET)
    found = await hears(bob, frame, content=msgspec.Raw(b'"AAAA"'), client_message_id="x")
    keys_of = await bob.client._ledger.run(bob.client._ledger.store.held_keys, None, 10)
    told = f"{caplog.text} {found!r} {alice.told!r} {bob.told!r} {keys_of!r} {bob.client.diagnostics()!r}"
    assert SECRET not in told
    assert keys_of
    for one in keys_of:
        assert base64url.encode(one.key) not in told
        assert one.key.hex() not in told
        assert repr(one.key)[2:-1] not in told
