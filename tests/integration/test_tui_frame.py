"""`cooee chat` against the real server: the list, groups and their administration, long histories, keys and sizes."""

import pytest

from tests.integration.cafe import Cafe, exchange, pair
from tests.integration.harness import ServerProcess
from tests.integration.people import new_user
from tests.integration.seats import PHONE, seat_of

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
    down = ["down"] * (8 + members.index(bob_id))
    await administers(*down, "enter", sees="Make an admin")
    await alice.press("down", "enter")
    await alice.sees(f"made {bob_id} admin")
    await administers(*["down"] * 10, "enter", sees="Remove ")
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
    async with cafe.at(server.url, alice_id) as earlier:  # so that there is a device to encrypt for
        await earlier.online()
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


async def test_without_colour_words_say_what_colour_says(
    server: ServerProcess, cafe: Cafe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.without_screen(server.url, bob_id)
    await alice.opens(bob_id)
    await alice.says("hello")
    await alice.until(lambda: alice.ticks("hello") == "delivered", "the second tick")
    await bob.mark_read(alice.app.session.chat)
    await alice.sees("✓✓ read")


async def test_what_is_typed_right_after_enter_is_the_next_message(server: ServerProcess, cafe: Cafe) -> None:
    alice_id, bob_id = await pair(server)
    carol_id = await new_user(server.url, "carol")
    alice = await cafe.sits(server.url, alice_id)
    await alice.opens(carol_id)
    await alice.opens(bob_id)
    texts = [f"message {number}" for number in range(10)]
    for text in texts:
        await alice.press(*(character if character != " " else "space" for character in text), "enter")
    await alice.press(*"to-bob", "enter", "alt+up", "alt+down")
    await alice.until(lambda: not alice.app.book.queued, "all to be sent")
    found = await alice.client.history(alice.client.conversation_id(bob_id))
    assert [message.text for message in found.messages] == [*texts, "to-bob"]


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
