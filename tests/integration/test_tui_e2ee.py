"""`cooee chat`, end-to-end encrypted: linking, safety numbers, reactions, edits, and what is marked."""

import re

from tests.integration.cafe import Cafe, exchange, pair
from tests.integration.harness import ServerProcess
from tests.integration.seats import Seat


async def chatting(server: ServerProcess, cafe: Cafe) -> tuple[Seat, Seat]:
    """Two people before their screens, in their chat, who have said something."""
    alice_id, bob_id = await pair(server)
    alice, bob = await cafe.sits(server.url, alice_id), await cafe.sits(server.url, bob_id)
    await alice.opens(bob_id)
    await bob.opens(alice_id)
    await alice.says("helo")
    await bob.until(lambda: bob.bubble("helo"), "the message")
    return alice, bob


async def test_a_message_is_reacted_to_and_edited(server: ServerProcess, cafe: Cafe) -> None:
    alice, bob = await chatting(server, cafe)
    bob_id = bob.client.me.user_id
    await bob.press("up", "a")
    await bob.sees("take yours back")
    await bob.press("enter")
    await alice.sees(f"👍 {bob_id}")
    await alice.press("up", "e")
    await alice.sees("Edit: helo")
    await alice.press("backspace", "backspace", "l", "l", "o", "enter")
    await bob.until(lambda: bob.bubble("hello"), "the edited text")
    await bob.sees("edited")
    await bob.sees(f"👍 {bob_id}")
    assert [bubble.marks for bubble in bob.bubbles] == ["edited"]
    await bob.press("up", "e")
    await bob.sees("Only your own messages can be edited.")
    await alice.press("up", "e")
    await alice.sees("Edit: hello")
    await alice.press("escape")
    await alice.sees_no("Edit: hello")
    assert alice.app.right.written == ""


async def test_the_safety_number_is_compared(server: ServerProcess, cafe: Cafe) -> None:
    alice, bob = await chatting(server, cafe)
    number = await bob.client.safety_number(alice.client.me.user_id)
    await alice.press("ctrl+o")
    await alice.sees("Compare the safety number")
    await alice.press("down", "down", "enter")
    await alice.sees("Safety number with")
    await alice.sees(number.digits[:5])
    await alice.sees("They are the same: note it")
    await alice.press("enter")
    await alice.sees("is verified")
    assert (await alice.client.safety_number(bob.client.me.user_id)).verified


async def test_a_chat_is_marked_while_it_is_in_the_clear(server: ServerProcess, cafe: Cafe) -> None:
    alice, bob = await chatting(server, cafe)
    assert "not encrypted" not in alice.screen
    chat = alice.app.session.chat
    await alice.client.set_mode(chat, "plain")
    await bob.sees("writes in the clear from here on")
    await bob.client.set_mode(chat, "plain")
    await bob.until(lambda: bob.app.book.view(chat).plain, "the mode")
    await bob.says("in the clear")
    await alice.until(lambda: alice.bubble("in the clear"), "the message")
    assert [bubble.marks for bubble in alice.bubbles] == ["", "not encrypted"]
    await alice.press("ctrl+o")
    await alice.sees("Encrypt end to end again")
    await alice.press("down", "down", "down", "enter")
    await alice.sees("Encrypt end to end again?")
    await alice.press("down", "enter")
    await bob.sees("end-to-end encrypted again")


async def test_messages_disappear_when_that_is_set(server: ServerProcess, cafe: Cafe) -> None:
    alice, bob = await chatting(server, cafe)
    await alice.press("ctrl+o")
    await alice.sees("Let messages disappear")
    await alice.press("down", "down", "down", "enter")
    await alice.sees("1 day after they are read")
    await alice.press("down", "down", "enter")
    await bob.sees("lets messages disappear 1 day after they are read")
    await bob.sees("messages disappear after 1 day")
    await alice.says("gone tomorrow")
    await bob.sees("gone tomorrow")
    await bob.sees("disappears")


async def test_a_second_screen_is_linked_by_the_first(server: ServerProcess, cafe: Cafe) -> None:
    alice, bob = await chatting(server, cafe)
    second = await cafe.sits(server.url, alice.client.me.user_id, "-second")
    await second.sees("This device is not linked")
    await second.press("ctrl+l")
    await second.sees("cooee devices link")
    code = "".join(re.findall(r"[A-Z2-7-]{20,}", second.screen))
    await alice.press("ctrl+l")
    await alice.sees("Link another device")
    await alice.types(code.lower())
    await alice.press("enter")
    await alice.sees("It is the device before me")
    await alice.press("down", "enter")
    await second.sees_no("This device is not linked")
    await second.sees_no("cooee devices link")
    await exchange(bob.client, alice.client.me.user_id, "to both")
    await second.sees("to both")
    await second.opens(bob.client.me.user_id)
    await second.until(lambda: second.bubble("helo"), "what was said before")


async def test_a_changed_key_stands_in_the_chat_and_stops_what_was_compared(server: ServerProcess, cafe: Cafe) -> None:
    alice, bob = await chatting(server, cafe)
    alice_id = alice.client.me.user_id
    await bob.client.set_verified(alice_id)
    again = await cafe.without_screen(server.url, alice_id)
    await again.start_anew("correct horse battery")
    await exchange(again, bob.client.me.user_id, "it is me")
    await bob.until(lambda: bob.bubble("it is me"), "the message")
    await bob.sees("key has changed")
    await bob.says("is it?")
    await bob.sees("Not sent: the key has changed")
    await bob.press("ctrl+o")
    await bob.sees("Compare the safety number")
    await bob.press("down", "down", "enter")
    await bob.sees("Go on with the new key")
    await bob.press("down", "enter")
    await bob.sees_no("somebody stands between")
    await bob.says("welcome back")
    await bob.until(lambda: bob.ticks("welcome back") in {"sent", "delivered"}, "it to be sent")
