"""People talk end-to-end encrypted through the SDK, over a real server, which sees nothing of it."""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from cooee.client import (
    Client,
    DeviceLinked,
    EncryptionChanged,
    KeyChanged,
    LinkNeeded,
    Message,
    MessageDeleted,
    MessageUpdated,
    SendFailed,
    SetupProgress,
    restore_backup,
)
from cooee.protocol.frames import MessageFrame
from tests.integration.harness import ServerProcess
from tests.integration.people import PASSWORD, WAIT_S, House, Person, new_user


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path, encryption="on") as opened:
        yield opened


async def test_a_text_is_encrypted_end_to_end(server: ServerProcess, house: House) -> None:
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    alice = await house.enter(server.url, alice_id)
    bob = await house.enter(server.url, bob_id)
    await alice.client.linked(WAIT_S)
    await bob.client.linked(WAIT_S)
    sent = await alice.client.send_text(bob_id, "for your eyes only")
    await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
    got = await bob.reads("for your eyes only")
    assert (got.encrypted, got.sender_id, got.problem) == (True, alice_id, "")
    page = await alice.client.api.history(sent.conversation_id)
    [raw] = page.messages
    frame = msgspec.json.decode(raw, type=MessageFrame)
    assert frame.content_type == "encrypted"
    assert b"eyes" not in bytes(raw)
    answer = await bob.client.send_text(alice_id, "mine are open")
    assert (await alice.reads("mine are open")).encrypted
    await bob.client.wait_for_delivered(answer.client_message_id, WAIT_S)
    [one, two] = (await alice.client.history(sent.conversation_id)).messages
    assert [one.text, two.text] == ["for your eyes only", "mine are open"]


async def enter(house: House, url: str, user: str, device: str = "") -> Person:
    """Open an encrypting client that is online, and linked if it is the first of its account."""
    person = await house.enter(url, user, device)
    if not device:
        await person.client.linked(WAIT_S)
    return person


async def pair(server: ServerProcess, house: House) -> tuple[Person, Person, str]:
    """Return two people with an encrypting client each, and their chat."""
    alice_id, bob_id = await new_user(server.url, "alice"), await new_user(server.url, "bob")
    alice, bob = await enter(house, server.url, alice_id), await enter(house, server.url, bob_id)
    return alice, bob, alice.client.conversation_id(bob_id)


async def link(old: Person, new: Person) -> None:
    """Let ``old`` link ``new``, a device of the same account."""
    code = await new.client.link_code()
    await old.client.link(code.text)
    await new.client.linked(WAIT_S)


def names(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def has_read(person: Person, chat: str, text: str) -> None:
    """Wait until a text of the history can be read."""
    async with asyncio.timeout(WAIT_S):
        while text not in [found.text for found in (await person.client.history(chat)).messages]:  # noqa: ASYNC110  # its key comes when it comes
            await asyncio.sleep(0.1)


async def test_a_group_talks_and_who_left_reads_no_more(server: ServerProcess, house: House) -> None:
    alice, bob, _ = await pair(server, house)
    carol = await enter(house, server.url, await new_user(server.url, "carol"))
    bob_id, carol_id = bob.client.me.user_id, carol.client.me.user_id
    chat = (await alice.client.api.create_group("Friends", [bob_id, carol_id])).conversation_id
    for speaker in (alice, bob, carol):
        text = f"from {speaker.client.me.user_id}"
        await speaker.client.send_text(chat, text)
        for listener in (alice, bob, carol):
            if listener is not speaker:
                got = await listener.reads(text)
                assert (got.encrypted, got.problem) == (True, "")
    await alice.client.api.remove_member(chat, carol_id)
    sent = await alice.client.send_text(chat, "without carol")
    await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
    assert (await bob.reads("without carol")).encrypted
    dave = await enter(house, server.url, await new_user(server.url, "dave"))
    await alice.client.api.add_members(chat, [dave.client.me.user_id])
    await bob.client.send_text(chat, "welcome, dave")
    assert (await dave.reads("welcome, dave")).encrypted
    assert (await alice.reads("welcome, dave")).encrypted
    assert not any(message.text in {"without carol", "welcome, dave"} for message in carol.messages(chat))


async def test_a_linked_device_reads_and_writes_and_has_the_history(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    first = await bob.client.send_text(alice.client.me.user_id, "before the laptop")
    await alice.reads("before the laptop")
    await bob.client.wait_for_sent(first.client_message_id, WAIT_S)
    laptop = await enter(house, server.url, alice.client.me.user_id, "-laptop")
    await laptop.hears(LinkNeeded)
    assert laptop.client.standing == "unlinked"
    refused = await laptop.client.send_text(chat, "too early")
    with pytest.raises(SendFailed) as failed:
        await laptop.client.wait_for_sent(refused.client_message_id, WAIT_S)
    assert failed.value.code == "not_linked"
    await link(alice, laptop)
    await alice.hears(DeviceLinked, lambda event: event.device_id == laptop.client.me.device_id)
    await laptop.client.send_text(chat, "from the laptop")
    assert (await bob.reads("from the laptop")).sender_device_id == laptop.client.me.device_id
    assert (await alice.reads("from the laptop")).encrypted
    await bob.client.send_text(alice.client.me.user_id, "to both")
    assert (await laptop.reads("to both")).encrypted
    assert (await alice.reads("to both")).encrypted
    await laptop.hears(SetupProgress, lambda event: not event.conversation_id and event.done == event.total)
    await has_read(laptop, chat, "before the laptop")
    linked = {one.device.device_id for one in await alice.client.devices() if one.linked}
    assert linked == {alice.client.me.device_id, laptop.client.me.device_id}
    await alice.client.revoke_device(laptop.client.me.device_id)
    await bob.client.send_text(alice.client.me.user_id, "not for the laptop")
    assert (await alice.reads("not for the laptop")).encrypted
    assert laptop.client.connection.state == "stopped"


async def test_what_is_said_of_messages_reaches_everybody(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    sent = await alice.client.send_text(chat, "helo")
    number = (await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)).sequence_number
    await bob.reads("helo")
    await bob.client.react(chat, number, "👍")
    told = await alice.hears(MessageUpdated, lambda event: event.message.reactions)
    assert told.message.reactions == {bob.client.me.user_id: "👍"}
    await alice.client.edit(chat, number, "hello")
    changed = await bob.hears(MessageUpdated, lambda event: event.message.edited)
    assert (changed.message.text, changed.message.reactions) == ("hello", {bob.client.me.user_id: "👍"})
    with pytest.raises(SendFailed, match="only its sender"):
        await bob.client.edit(chat, number, "mine now")
    await bob.client.react(chat, number, "")
    await alice.hears(MessageUpdated, lambda event: event.message.edited and not event.message.reactions)
    page = await bob.client.history(chat)
    assert [(message.text, message.edited) for message in page.messages] == [("hello", True)]
    view = await bob.view(chat)
    assert view.last is not None
    assert (view.unread, view.last.text) == (1, "hello")
    await alice.client.delete_message(chat, number)
    await bob.hears(MessageDeleted, lambda event: event.sequence_number == number)
    assert [message.deleted for message in (await bob.client.history(chat)).messages if not message.event] == [True]


async def test_messages_disappear_after_they_are_read(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    await alice.client.set_timer(chat, 1_500)
    await bob.hears(Message, lambda message: message.control == "timer")
    sent = await bob.client.send_text(alice.client.me.user_id, "gone soon")
    number = (await bob.client.wait_for_sent(sent.client_message_id, WAIT_S)).sequence_number
    got = await alice.reads("gone soon")
    assert (got.expires_in, got.expires_at) == (1_500, 0)
    await alice.client.mark_read(chat)
    for person in (alice, bob):
        await person.hears(MessageDeleted, lambda event: event.sequence_number == number)
        assert not await person.client.search("gone soon")


async def test_a_conversation_is_in_the_clear_for_who_says_so_and_others_are_told(
    server: ServerProcess, house: House
) -> None:
    alice, bob, chat = await pair(server, house)
    await alice.client.send_text(chat, "secret")
    await bob.reads("secret")
    await bob.client.set_mode(chat, "plain")
    told = await alice.hears(EncryptionChanged)
    assert (told.conversation_id, told.mode, told.by) == (chat, "plain", bob.client.me.user_id)
    assert (alice.client.mode(chat), bob.client.mode(chat)) == ("encrypted", "plain")
    assert (await alice.view(chat)).told_plain
    await alice.client.send_text(chat, "still secret")
    assert (await bob.reads("still secret")).encrypted
    await alice.client.set_mode(chat, "plain")
    await alice.client.send_text(chat, "in the clear")
    assert not (await bob.reads("in the clear")).encrypted
    with pytest.raises(SendFailed, match="encrypted conversations only"):
        await alice.client.react(chat, 1, "👍")
    await alice.client.set_mode(chat, "encrypted")
    await bob.hears(EncryptionChanged, lambda event: event.mode == "encrypted")
    await bob.client.send_text(chat, "secret again")
    assert (await alice.reads("secret again")).encrypted


async def test_texts_and_files_answer_what_is_plain_and_what_is_encrypted(
    server: ServerProcess, house: House, tmp_path: Path
) -> None:
    alice, bob, chat = await pair(server, house)
    await alice.client.set_mode(chat, "plain")
    await alice.client.send_text(chat, "in the clear")
    plain = await bob.reads("in the clear")
    await alice.client.set_mode(chat, "encrypted")
    await bob.client.send_text(chat, "why?", reply_to=plain.message_id)
    why = await alice.reads("why?")
    assert (why.encrypted, why.reply_to) == (True, plain.message_id)
    (tmp_path / "why.txt").write_text("because")
    sent = await alice.client.send_file(chat, tmp_path / "why.txt", caption="so", reply_to=why.message_id)
    answer = await bob.reads("so")
    assert (answer.encrypted, answer.reply_to) == (True, why.message_id)
    await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
    for person in (alice, bob):
        [*_, first, second] = (await person.client.history(chat)).messages
        assert (first.reply_to, second.reply_to) == (plain.message_id, why.message_id)


async def test_files_are_encrypted_and_come_out_the_same(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob, chat = await pair(server, house)
    content = random.Random(5).randbytes(1_300_000)
    (tmp_path / "data.bin").write_bytes(content)
    picture = tmp_path / "red.png"
    Image.new("RGB", (640, 320), "red").save(picture)
    await alice.client.send_file(chat, tmp_path / "data.bin", caption="the numbers")
    await alice.client.send_file(chat, picture)
    got = await bob.reads("the numbers")
    assert got.media is not None
    assert (got.media.size, got.media.filename, got.media.encrypted) == (len(content), "data.bin", True)
    link = await bob.client.download(got, tmp_path / "out.bin")
    assert ((tmp_path / "out.bin").read_bytes(), link.size) == (content, len(content))
    raw = await bob.client.api.media(got.media.media_key)
    assert (raw.encrypted, raw.content_type, raw.filename) == (True, "application/octet-stream", "")
    assert raw.size > len(content)
    seen = await bob.hears(Message, lambda message: message.content_type == "image")
    assert seen.media is not None
    assert (seen.media.width, seen.media.height, seen.media.thumbnail) == (640, 320, True)
    assert seen.media.blurhash
    await bob.client.download(seen, tmp_path / "small.jpg", thumbnail=True)
    with Image.open(tmp_path / "small.jpg") as small:
        assert small.size == (256, 128)
    await bob.client.download(seen, tmp_path / "same.png")
    assert (tmp_path / "same.png").read_bytes() == picture.read_bytes()
    assert names(tmp_path / alice.client.me.user_id / "uploads") == []
    assert not [name for name in names(tmp_path) if name.startswith(".")]


async def test_a_safety_number_is_the_same_on_both_sides(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    hers = await alice.client.safety_number(bob.client.me.user_id)
    his = await bob.client.safety_number(alice.client.me.user_id)
    assert hers.digits == his.digits
    assert hers.matches(his.qr)
    await alice.client.set_verified(bob.client.me.user_id)
    assert (await alice.client.safety_number(bob.client.me.user_id)).verified
    phone = await enter(house, server.url, bob.client.me.user_id, "-phone")
    await phone.hears(LinkNeeded)
    with pytest.raises(SendFailed, match="password"):
        await phone.client.start_anew("wrong")
    await phone.client.start_anew(PASSWORD)
    await bob.hears(LinkNeeded)
    sent = await alice.client.send_text(chat, "is it you?")
    with pytest.raises(SendFailed) as failed:
        await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
    assert failed.value.code == "key_changed"
    assert (await alice.hears(KeyChanged)).verified
    await alice.client.accept_key(bob.client.me.user_id)
    await alice.client.retry(sent.client_message_id)
    assert (await phone.reads("is it you?")).encrypted


async def test_a_restored_backup_goes_on(server: ServerProcess, house: House, tmp_path: Path) -> None:
    alice, bob, chat = await pair(server, house)
    await bob.client.send_text(alice.client.me.user_id, "remember this")
    await alice.reads("remember this")
    await alice.client.backup(tmp_path / "copy", "four words are enough")
    await alice.client.send_text(chat, "after the backup")
    await bob.reads("after the backup")
    await house.leave(alice)
    account = await restore_backup(
        tmp_path / "copy", "four words are enough", tmp_path / f"{alice.client.me.user_id}-new"
    )
    assert account.user_id == alice.client.me.user_id
    again = await enter(house, server.url, account.user_id, "-new")
    assert again.client.me == account.me
    assert [message.text for message in await again.client.search("remember")] == ["remember this"]
    await bob.client.send_text(account.user_id, "are you there?")
    assert (await again.reads("are you there?")).encrypted
    await again.client.send_text(chat, "yes")
    assert (await bob.reads("yes")).encrypted


async def test_a_new_device_of_the_other_side_gets_what_was_under_way(server: ServerProcess, house: House) -> None:
    """What was sealed for other devices than there are is refused by the server, and sealed again."""
    alice, bob, chat = await pair(server, house)
    await alice.client.send_text(chat, "hello")
    await bob.reads("hello")
    laptop = await enter(house, server.url, bob.client.me.user_id, "-laptop")
    await link(bob, laptop)
    sent = await alice.client.send_text(chat, "to all of yours")
    await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
    for person in (bob, laptop):
        assert (await person.reads("to all of yours")).problem == ""
    group = (await alice.client.api.create_group("Three", [bob.client.me.user_id])).conversation_id
    await alice.client.send_text(group, "in the group")
    await laptop.reads("in the group")
    phone = await enter(house, server.url, bob.client.me.user_id, "-phone")
    await link(laptop, phone)
    await alice.client.send_text(group, "on the phone, too")
    for person in (bob, laptop, phone):
        assert (await person.reads("on the phone, too")).problem == ""


async def test_who_had_no_device_yet_reads_what_was_sent_before(server: ServerProcess, house: House) -> None:
    alice = await enter(house, server.url, await new_user(server.url, "alice"))
    bob_id = await new_user(server.url, "bob")
    sent = await alice.client.send_text(bob_id, "welcome")
    await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
    bob = await enter(house, server.url, bob_id)
    await has_read(bob, sent.conversation_id, "welcome")
    assert (await bob.reads("welcome")).encrypted


async def test_a_linked_device_knows_how_conversations_are_set(server: ServerProcess, house: House) -> None:
    alice, bob, chat = await pair(server, house)
    await alice.client.set_timer(chat, 60_000)
    await bob.hears(Message, lambda message: message.control == "timer")
    await alice.client.send_text(chat, "for a minute")
    assert (await bob.reads("for a minute")).expires_in == 60_000
    laptop = await enter(house, server.url, alice.client.me.user_id, "-laptop")
    await link(alice, laptop)
    async with asyncio.timeout(WAIT_S):
        while laptop.client._ledger.state.conversations[chat].timer != 60_000:  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(0.05)


async def test_bots_are_written_to_in_the_clear_alone(server: ServerProcess, house: House) -> None:
    alice = await enter(house, server.url, await new_user(server.url, "alice"))
    bot_id = f"bot{secrets.token_hex(4)}"
    await alice.client.api.create_bot(bot_id)
    token = (await alice.client.api.create_bot_token(bot_id, "test")).token
    async with Client(server.url, store=alice.client.folder.parent / "bot", token=token) as robot:
        await robot.online(WAIT_S)
        refused = await alice.client.send_text(bot_id, "psst")
        with pytest.raises(SendFailed) as failed:
            await alice.client.wait_for_sent(refused.client_message_id, WAIT_S)
        assert failed.value.code == "not_encrypted"
        chat = refused.conversation_id
        await alice.client.set_mode(chat, "plain")
        sent = await alice.client.send_text(bot_id, "hello, robot")
        await alice.client.wait_for_sent(sent.client_message_id, WAIT_S)
        await robot.send_text(alice.client.me.user_id, "beep")
        assert not (await alice.reads("beep")).encrypted
