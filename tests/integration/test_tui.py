"""`cooee chat` against the real server: two people before their screens, and everything that happens between them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from cooee.cli.tui.memory import recall
from cooee.client import Client
from tests.integration.harness import ServerProcess
from tests.integration.people import PASSWORD, new_user
from tests.integration.seats import WAIT_S, Seat, seat, seat_of

NewServer = Callable[..., ServerProcess]
PHONE = (58, 26)


class Cafe(AsyncExitStack):
    """Where people sit: one folder for their stores, all closed in the end."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    async def sits(self, url: str, user: str, device: str = "", size: tuple[int, int] = (110, 34)) -> Seat:
        """Open somebody's screen and wait until it is online."""
        one = await self.enter_async_context(self.at(url, user, device, size))
        await one.online()
        return one

    def at(
        self, url: str, user: str, device: str = "", size: tuple[int, int] = (110, 34)
    ) -> AbstractAsyncContextManager[Seat]:
        """Return somebody's screen, to be opened."""
        return seat(url, self.folder / f"{user}{device}", user, PASSWORD, size=size)

    async def without_screen(self, url: str, user: str) -> Client:
        """Open somebody's client alone."""
        client = Client(url, store=self.folder / f"{user}-sdk", user=user, password=PASSWORD)
        await self.enter_async_context(client)
        await client.online(WAIT_S)
        return client


@pytest.fixture
async def cafe(tmp_path: Path) -> AsyncIterator[Cafe]:
    async with Cafe(tmp_path) as opened:
        yield opened


async def pair(server: ServerProcess) -> tuple[str, str]:
    """Register Alice and Bob, each a contact of the other."""
    return await new_user(server.url, "alice"), await new_user(server.url, "bob")


async def exchange(client: Client, to: str, *texts: str) -> None:
    """Send texts, each after the other has its number."""
    for text in texts:
        entry = await client.send_text(to, text)
        await client.wait_for_sent(entry.client_message_id, WAIT_S)


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
    from textual.events import Paste  # noqa: PLC0415

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


# --- conversations ----------------------------------------------------------------------------------------------------


async def test_conversations_are_pinned_muted_archived_and_read(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    carol_id = await new_user(server.url, "carol")
    alice = await cafe.sits(server.url, alice_id)
    for user in (bob_id, carol_id):
        await exchange(await cafe.without_screen(server.url, user), alice_id, f"from {user}")
    bob, carol = alice.client.conversation_id(bob_id), alice.client.conversation_id(carol_id)
    await alice.until(lambda: alice.app.book.listed() == [carol, bob], "both")
    await alice.sees("2 unread")
    await alice.press("end", "p")
    await alice.until(lambda: alice.app.book.listed() == [bob, carol], "bob on top")
    await alice.sees("◆")
    await alice.press("r")
    await alice.sees("1 unread")
    await alice.press("end", "m")
    await alice.sees("For 8 hours")
    await alice.press("end", "enter")
    await alice.sees("⊘")
    await alice.sees_no("1 unread")
    assert alice.app.book.view(carol).muted_until == -1
    await alice.press("a")
    await alice.until(lambda: alice.app.book.listed() == [bob], "carol put away")
    await alice.sees("1 archived")
    await alice.press("z")
    await alice.sees(f"from {carol_id}")
    await alice.press("a")
    await alice.sees("Nothing is archived.")
    await alice.press("z")
    await alice.until(lambda: alice.app.book.listed() == [bob, carol], "carol back")


async def test_a_group_is_founded_and_administered(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    carol_id, dora_id = await new_user(server.url, "carol"), await new_user(server.url, "dora")
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, bob_id)
    await alice.press("ctrl+n")
    await alice.sees("New group")
    await alice.press("down", "enter")
    await alice.sees("its name")
    await alice.types("Choir")
    await alice.press("enter")
    await alice.types(f"{bob_id}, {carol_id}")
    await alice.press("enter")
    await alice.sees("created the group Choir")
    await alice.says("welcome")
    await bob.sees(f"{alice_id}: welcome")
    chat = alice.app.session.chat

    async def administers(*keys: str, sees: str) -> None:
        await alice.press("ctrl+o")
        await alice.sees("you are its owner")
        await alice.press(*keys)
        await alice.sees(sees)

    await administers("enter", sees="bob, carol")
    await alice.types(dora_id)
    await alice.press("enter")
    await alice.sees(f"added {dora_id}")
    await administers("down", "down", "down", "enter", sees="Rename the group")
    await alice.types(" of us")
    await alice.press("enter")
    await bob.sees("Choir of us")
    await administers("down", "enter", sees="Invitation: ")
    token = alice.app.clipboard
    await alice.press("escape")
    assert len(token) > 16

    group = await alice.client.api.group(chat)
    assert {member.user_id for member in group.members} == {alice_id, bob_id, carol_id, dora_id}
    members = sorted([bob_id, carol_id, dora_id])
    down = ["down"] * (6 + members.index(bob_id))
    await administers(*down, "enter", sees="Make an admin")
    await alice.press("down", "enter")
    await alice.sees(f"made {bob_id} admin")
    await administers(*["down"] * 8, "enter", sees="Remove ")
    await alice.press("end", "enter")
    await alice.sees("removed ")


async def test_a_group_is_joined_by_an_invitation_and_left(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, erna_id = await new_user(server.url, "alice"), await new_user(server.url, "erna")
    alice, erna = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, erna_id)
    group = await alice.client.api.create_group("Choir")
    token = (await alice.client.api.create_invite(group.conversation_id)).token
    await alice.opens("choir")
    await erna.press("ctrl+n")
    await erna.sees("Join a group")
    await erna.press("down", "down", "enter")
    await erna.sees("the invitation's code")
    await erna.types(token)
    await erna.press("enter")
    await erna.sees("joined by an invitation")
    await erna.press("ctrl+o")
    await erna.sees("you are a member")
    await erna.press("enter")
    await erna.sees("Leave the group?")
    await erna.press("down", "enter")
    await erna.sees("no longer in this group")
    await alice.sees(f"{erna_id} left")


async def test_ticks_of_a_group_turn_blue_when_all_have_read(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    carol_id = await new_user(server.url, "carol")
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, bob_id)
    carol = await cafe.without_screen(server.url, carol_id)
    group = await alice.client.api.create_group("Team", [bob_id, carol_id])
    await alice.opens("team")
    await alice.says(f"hello @{bob_id}")
    text = f"hello @{bob_id}"
    await alice.until(lambda: alice.ticks(text) == "delivered", "the second tick")
    await bob.opens("team")
    await bob.until(lambda: bob.bubble(text), "the message")
    await carol.mark_read(group.conversation_id)
    await alice.until(lambda: alice.ticks(text) == "read", "the blue ticks")
    found = await bob.client.history(group.conversation_id)
    assert found.messages[-1].mentions == (bob_id,)


async def test_presence_and_last_seen_are_told_to_those_who_may_know(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.without_screen(server.url, bob_id)
    await alice.opens(bob_id)
    await alice.press("ctrl+o")
    await alice.sees("Add to your contacts")
    await alice.press("escape")
    assert "online" not in alice.screen
    await bob.api.add_contact(alice_id)
    await alice.says("hello")
    await alice.sees("● online")
    await alice.press("ctrl+o")
    await alice.sees("Block: no messages")
    await alice.press("down", "enter")
    await alice.sees(f"{bob_id} is blocked.")


# --- history, search, sizes -------------------------------------------------------------------------------------------


async def test_a_long_history_is_loaded_by_pages_and_searched(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    bob = await cafe.without_screen(server.url, bob_id)
    keys = [(await bob.send_text(alice_id, f"message {number}")).client_message_id for number in range(1, 401)]
    await bob.wait_for_sent(keys[-1], 60)
    chat = bob.conversation_id(alice_id)
    await bob.api.history(chat)
    alice = await cafe.sits(server.url, alice_id)
    await alice.until(lambda: alice.app.book.view(chat).position == 400, "all of them")
    await alice.client.mark_read(chat)
    await alice.opens(bob_id)
    await alice.until(lambda: alice.app.book.view(chat).unread == 0, "them to be read")
    await alice.opens(bob_id)
    await alice.until(lambda: alice.bubble("message 400"), "the newest")
    timeline = alice.app.session.timeline
    assert timeline is not None
    assert len(timeline.messages) <= 200
    alice.app.right.messages.focus()

    def at_top() -> bool:
        with alice.here():
            alice.app.right.messages.action_beginning()
        return alice.bubble("message 1") is not None

    await alice.until(at_top, "the oldest")
    assert [bubble.number for bubble in alice.bubbles] == list(range(1, 401))
    await alice.opens(bob_id)
    await alice.press("ctrl+f")
    await alice.types("message 33")
    await alice.sees("11 messages")
    await alice.press("ctrl+a")
    await alice.sees("Search in all chats")
    await alice.press(*["down"] * 10, "enter")
    await alice.until(lambda: alice.app.right.messages.selected == "33", "the message")
    await alice.sees("message 33 ")
    await alice.sees("newest · End")
    await exchange(bob, alice_id, "and one more")
    await alice.press("end")
    await alice.sees("and one more")
    assert alice.app.right.messages.following


async def test_reading_does_not_move_while_messages_arrive(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    bob = await cafe.without_screen(server.url, bob_id)
    await exchange(bob, alice_id, *(f"message {number}" for number in range(1, 81)))
    alice = await cafe.sits(server.url, alice_id)
    await alice.opens(bob_id)
    alice.app.right.messages.focus()
    await alice.press("end", "pageup", "pageup")
    before = alice.app.right.messages.scroll_offset.y
    assert 0 < before < alice.app.right.messages.max_scroll_y
    lines = alice.screen.splitlines()[3:30]
    await exchange(bob, alice_id, "new one", "new two")
    await alice.sees("2 new messages · End")
    assert [line[40:100] for line in alice.screen.splitlines()[3:30]] == [line[40:100] for line in lines]
    await alice.press("end")
    await alice.sees("new two")
    await alice.sees_no("· End")


async def test_a_narrow_screen_shows_one_pane_after_the_other(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    bob = await cafe.without_screen(server.url, bob_id)
    await exchange(bob, alice_id, "hello")
    alice = await cafe.sits(server.url, alice_id, size=PHONE)
    await alice.sees("hello")
    assert not alice.app.right.display or not alice.app.right.size.width
    await alice.click(10, 2)
    await alice.sees("Write a message")
    assert not alice.app.left.size.width
    await alice.press("escape")
    await alice.sees_no("Write a message")
    assert alice.app.left.rows.has_focus
    await alice.resize(140, 40)
    await alice.sees("Choose a chat")


async def test_every_key_of_the_frame_does_what_the_help_says(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    bob = await cafe.without_screen(server.url, bob_id)
    carol_id = await new_user(server.url, "carol")
    await exchange(bob, alice_id, "hello")
    await exchange(await cafe.without_screen(server.url, carol_id), alice_id, "hello too")
    alice = await cafe.sits(server.url, alice_id)
    await alice.sees("hello too")
    await alice.press("question_mark")
    await alice.sees("Keys and signs")
    await alice.press("f1")
    await alice.sees_no("Keys and signs")
    await alice.press("alt+down")
    await alice.until(lambda: carol_id in alice.app.session.chat, "the first chat")
    await alice.press("alt+down")
    await alice.until(lambda: bob_id in alice.app.session.chat, "the second chat")
    await alice.press("alt+up")
    await alice.until(lambda: carol_id in alice.app.session.chat, "the first chat again")
    for pane in (alice.app.left.rows, alice.app.right.messages, alice.app.right.composer):
        await alice.press("f6")
        assert pane.has_focus
    await alice.press("f2")
    assert alice.app.theme == "cooee-light"
    await alice.press("f2")
    assert alice.app.theme == "cooee-dark"
    await alice.press("up", "escape")
    assert alice.app.right.composer.has_focus
    await alice.press("escape")
    assert alice.app.left.rows.has_focus
    await alice.press("ctrl+n", "end", "enter")
    await alice.sees("Notes to self")
    await alice.says("do not forget")
    await alice.until(lambda: alice.ticks("do not forget") == "read", "the ticks of a note")


async def test_a_chat_is_opened_by_its_name_on_the_command_line(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    client = await cafe.without_screen(server.url, alice_id)
    group = await client.api.create_group("The Team", [bob_id])
    await exchange(client, group.conversation_id, "welcome")  # its number comes behind the group's beginning
    async with seat_of(client, chat="the team", theme="light") as alice:
        await alice.sees("created the group The Team")
        assert alice.app.theme == "cooee-light"
    async with seat_of(client, chat=bob_id) as alice:
        await alice.sees("Nothing was said here yet")
