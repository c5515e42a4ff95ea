"""`cooee chat` against the real server: two people before their screens, and everything that happens between them."""

import asyncio
from collections.abc import Callable

from textual.events import Paste

from cooee.cli.tui.memory import recall
from tests.integration.cafe import Cafe, exchange, pair
from tests.integration.harness import ServerProcess
from tests.integration.people import PASSWORD, new_user
from tests.integration.seats import PHONE

NewServer = Callable[..., ServerProcess]


# --- two people -------------------------------------------------------------------------------------------------------


async def test_two_people_chat_and_the_ticks_turn_blue(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, bob_id)
    await alice.opens(bob_id)
    await alice.says("hello there")
    await alice.until(lambda: alice.ticks("hello there") == "delivered", "the second tick")
    await bob.sees("hello there")
    assert "1 unread" in bob.screen

    await bob.press("enter")
    await bob.until(lambda: bob.app.right.composer.has_focus, "the chat")
    await alice.until(lambda: alice.ticks("hello there") == "read", "the blue ticks")
    await bob.until(lambda: bob.app.book.unread(0) == 0, "nothing to be unread")
    await bob.types("o")
    await alice.sees("typing…")
    await bob.types("h, hello")
    await bob.press("enter")
    await alice.until(lambda: alice.bubble("oh, hello"), "the answer")
    await bob.until(lambda: bob.ticks("oh, hello") == "read", "the blue ticks")
    assert alice.texts == bob.texts == ["hello there", "oh, hello"]


async def test_only_what_was_on_the_screen_is_read(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice = await cafe.without_screen(server.url, alice_id)
    await exchange(alice, bob_id, *(f"line {number}\nand more of it" for number in range(1, 61)))
    chat = alice.conversation_id(bob_id)
    bob = await cafe.sits(server.url, bob_id)
    await bob.sees(alice_id)
    view = bob.app.book.view(chat)
    assert (view.unread, view.read) == (60, 0)

    await bob.press("enter")
    await bob.sees("60 unread messages")
    await bob.until(lambda: bob.app.book.view(chat).read > 0, "the first to be read")
    await bob.sees("line 1")
    first = bob.app.book.view(chat)
    assert 0 < first.read < 20
    assert f"line {first.read + 2}" not in bob.screen

    bob.app.right.messages.focus()
    await bob.press("pagedown")
    await bob.until(lambda: bob.app.book.view(chat).read > first.read, "more to be read")
    assert bob.app.book.view(chat).read < 60
    await bob.press("end")
    await bob.until(lambda: bob.app.book.view(chat).unread == 0, "all to be read")


async def test_under_a_window_and_out_of_focus_nothing_is_read(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice = await cafe.without_screen(server.url, alice_id)
    await exchange(alice, bob_id, "one")
    chat = alice.conversation_id(bob_id)
    bob = await cafe.sits(server.url, bob_id)
    await bob.opens(alice_id)
    await bob.until(lambda: bob.app.book.view(chat).unread == 0, "the first to be read")
    await bob.press("f1")
    await bob.sees("Keys and signs")
    await exchange(alice, bob_id, "two")
    await bob.until(lambda: bob.bubble("two"), "the message")
    await bob.pause(0.2)
    assert bob.app.book.view(chat).unread == 1
    await bob.press("escape")
    await bob.until(lambda: bob.app.book.view(chat).unread == 0, "it to be read")
    bob.app.app_focus = False
    await exchange(alice, bob_id, "three")
    await bob.until(lambda: bob.bubble("three"), "the message")
    await bob.pause(0.2)
    assert bob.app.book.view(chat).unread == 1


async def test_a_second_device_follows(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    desk, phone = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, alice_id, "-phone", PHONE)
    bob = await cafe.without_screen(server.url, bob_id)
    await phone.sees("not linked")
    await desk.client.link((await phone.client.link_code()).text)
    await phone.sees_no("not linked")
    await desk.opens(bob_id)
    await desk.says("from the desk")
    await phone.sees("from the desk")
    await exchange(bob, alice_id, "to both")
    await desk.until(lambda: desk.ticks("from the desk") == "delivered", "the second tick")
    await phone.sees("to both")
    await desk.until(lambda: not desk.app.book.view(desk.app.session.chat).unread, "it to be read")
    await phone.until(lambda: not phone.app.book.unread(0), "the same on the phone")


# --- without a server -------------------------------------------------------------------------------------------------


async def test_a_server_that_is_killed_loses_nothing_and_doubles_nothing(new_server: NewServer, cafe: Cafe) -> None:
    server = new_server()
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, bob_id)
    await alice.opens(bob_id)
    await alice.says("before")
    await bob.opens(alice_id)
    await bob.until(lambda: bob.bubble("before"), "the first")

    await asyncio.to_thread(server.kill9)
    await alice.sees("Offline")
    await bob.sees("Offline")
    for text in ("one", "two", "three"):
        await alice.says(text)
    await alice.sees("queued: 3")
    assert [alice.ticks(text) for text in ("one", "two", "three")] == ["pending"] * 3
    await bob.says("from the other side")

    await asyncio.to_thread(server.start)
    await alice.online()
    await bob.until(lambda: bob.bubble("three"), "what was written meanwhile")
    await alice.until(lambda: alice.ticks("three") == "read", "the blue ticks")
    await alice.until(lambda: alice.bubble("from the other side"), "the other side")
    await alice.until(lambda: len(alice.bubbles) == 5 and all(one.number for one in alice.bubbles), "all numbers")
    await bob.until(lambda: len(bob.bubbles) == 5 and all(one.number for one in bob.bubbles), "all numbers")
    assert [one.number for one in alice.bubbles] == [1, 2, 3, 4, 5]
    assert alice.texts == bob.texts
    assert [text for text in bob.texts if text != "from the other side"] == ["before", "one", "two", "three"]
    await alice.sees_no("Offline")


async def test_what_was_written_offline_survives_the_program(new_server: NewServer, cafe: Cafe) -> None:
    server = new_server()
    alice_id, bob_id = await pair(server)
    async with cafe.at(server.url, alice_id) as alice:
        await alice.online()
        await alice.opens(bob_id)
        await alice.says("hello")
        await alice.until(lambda: alice.ticks("hello") == "sent", "the first tick")
    await asyncio.to_thread(server.kill9)
    async with cafe.at(server.url, alice_id) as alice:  # the store is enough: no server, no password
        await alice.sees("hello")
        await alice.sees("Offline")
        await alice.opens(bob_id)
        assert alice.texts == ["hello"]
        await alice.says("written offline")
        await alice.types("half a thought")
        await alice.press("ctrl+q")
    await asyncio.to_thread(server.start)
    alice = await cafe.sits(server.url, alice_id)
    await alice.opens(bob_id)
    await alice.until(lambda: alice.ticks("written offline") == "sent", "it to go out")
    assert alice.app.right.written == "half a thought"
    bob = await cafe.sits(server.url, bob_id)
    await bob.opens(alice_id)
    await bob.until(lambda: bob.texts == ["hello", "written offline"], "both, once")


async def test_a_revoked_device_is_told_to_log_in_and_keeps_what_it_has(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice = await cafe.sits(server.url, alice_id)
    await alice.opens(bob_id)
    await alice.says("hello")
    other = await cafe.without_screen(server.url, alice_id)
    await other.api.change_password(PASSWORD, "another horse battery")
    await alice.sees("Not connected")
    await alice.sees("log in again")
    assert alice.texts == ["hello"]


# --- messages ---------------------------------------------------------------------------------------------------------


async def test_a_message_is_answered_deleted_and_looked_at(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.without_screen(server.url, bob_id)
    await exchange(bob, alice_id, "a question", "another one")
    await alice.opens(bob_id)
    await alice.until(lambda: len(alice.bubbles) == 2, "the messages")
    await alice.press("up", "up", "r")
    await alice.sees(f"Reply to {bob_id}: a question")
    await alice.press("escape")
    await alice.sees_no("Reply to")
    await alice.press("up", "up", "r")
    await alice.says("an answer")
    await alice.sees_no("Reply to")
    answer = alice.bubble("an answer")
    assert answer is not None
    assert answer.quote == (bob_id, "a question")

    await alice.press("up", "enter")
    await alice.sees("You, today at")
    await alice.press("escape")
    await alice.press("d")
    await alice.sees("Delete this message for everyone?")
    await alice.press("down", "enter")
    await alice.sees("This message was deleted")
    assert alice.texts == ["a question", "another one", "This message was deleted"]
    await alice.press("up", "c")
    await alice.sees("Copied.")
    assert alice.app.clipboard == "another one"


async def test_a_refused_message_says_why_and_is_sent_again(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.without_screen(server.url, bob_id)
    await bob.api.block(alice_id)
    await alice.opens(bob_id)
    await alice.says("are you there?")
    await alice.sees("[ send again ]")
    assert "Not sent" in alice.screen
    await bob.api.unblock(alice_id)
    row = next(at for at, line in enumerate(alice.screen.splitlines()) if "[ send again ]" in line)
    column = alice.screen.splitlines()[row].index("[ send again ]")
    await alice.click(column + 3, row)
    await alice.until(lambda: alice.ticks("are you there?") == "delivered", "the second tick")
    assert alice.texts == ["are you there?"]

    await bob.api.block(alice_id)
    await alice.press("escape")
    await alice.says("and now?")
    await alice.sees("[ discard ]")
    await alice.press("up", "x")
    await alice.until(lambda: alice.texts == ["are you there?"], "the end of it")
    assert not await alice.client.outbox()


async def test_hostile_text_does_no_harm(server: ServerProcess, cafe: Cafe) -> None:
    alice_id = await new_user(server.url, "alice")
    mallory_id = await new_user(server.url, "mallory")
    mallory, alice = await cafe.without_screen(server.url, mallory_id), await cafe.sits(server.url, alice_id)
    texts = [
        "\x1b[2J\x1b[31mred\x07",
        "\u202egnp.exe",
        "x" * 10_000,
        "[b]markup[/b] [@click=app.quit]quit[/]",
        "e" + "\u0301" * 900,
    ]
    await exchange(mallory, alice_id, *texts)
    await alice.opens(mallory_id)
    await alice.until(lambda: len(alice.bubbles) == len(texts), "all of it")
    alice.app.right.messages.focus()
    await alice.press("home")
    await alice.sees("\\x1b[2J\\x1b[31mred\\x07")
    await alice.sees("\\u202egnp.exe")
    await alice.press("end")
    await alice.sees("[b]markup[/b] [@click=app.quit]quit[/]")
    await alice.press("up", "enter")
    await alice.sees("Message")
    await alice.press("escape", "ctrl+f")
    await alice.types("red")
    await alice.sees("1 message")
    assert not {"\x1b", "\x07", "\u202e"} & set(alice.screen)


async def test_writing_has_lines_and_pasting_sends_nothing(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice = await cafe.sits(server.url, alice_id)
    await alice.opens(bob_id)
    await alice.press("enter")
    assert alice.bubbles == []
    await alice.types("one\ntwo")
    alice.app.right.composer.post_message(Paste("\r\nthree\x1b[31m\r\n" * 20))
    await alice.until(lambda: "three" in alice.app.right.written, "what was pasted")
    await alice.pause(0.1)
    assert "\x1b" not in alice.app.right.written
    assert alice.app.right.composer.size.height == 8
    assert alice.bubbles == []
    await alice.press("enter")
    await alice.until(lambda: len(alice.bubbles) == 1, "it to be sent")
    assert alice.bubbles[0].content.startswith("one\ntwo\nthree\\x1b[31m")
    await alice.until(lambda: alice.app.right.composer.size.height == 1, "the line to be small again")


async def test_drafts_are_kept_for_each_chat(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    carol_id = await new_user(server.url, "carol")
    alice = await cafe.sits(server.url, alice_id)
    await alice.opens(bob_id)
    await alice.types("to bob")
    await alice.opens(carol_id)
    assert alice.app.right.written == ""
    await alice.sees("Draft: to bob")
    await alice.types("to carol")
    await alice.opens(bob_id)
    assert alice.app.right.written == "to bob"
    await alice.sees("Draft: to carol")
    alice.app.save()
    chats = {alice.client.conversation_id(bob_id): "to bob", alice.client.conversation_id(carol_id): "to carol"}
    assert recall(cafe.folder / alice_id).drafts == chats
