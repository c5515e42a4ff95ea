"""What is thrown away after 30 days, and what is kept longer for who lacks it (PROTOCOL.md §4, §6)."""

import pytest

from tests.integration.conditions import CLOCK
from tests.integration.conftest import NewScene, NewServer
from tests.integration.peers import Http
from tests.integration.scene import Person, Scene, dm, numbers

DAY_MS = 24 * 3600 * 1000
PROGRAM = ("-m", "tests.integration.conditions")
SETTINGS = {"STORE_SWEEP_AFTER_S": "0", "STORE_SWEEP_INTERVAL_S": "0.1", "STORE_UNDELIVERED_DAYS": "60"}


async def days_later(scene: Scene, days: float) -> None:
    """Start the server again, so many days after the beginning of the test."""
    (scene.server.folder / CLOCK).write_text(str(round(days * DAY_MS)))
    await scene.restart()


async def first_number(scene: Scene, person: Person, chat: str, expected: int, device: Http | None = None) -> None:
    """Wait until the history begins with ``expected``."""

    async def begins() -> bool:
        return bool((await person.conversation(chat, device))["firstSequenceNumber"] == expected)

    await scene.until(begins)


@pytest.fixture
async def aged(new_scene: NewScene, new_server: NewServer) -> Scene:
    """A scene on a server whose clock the test sets."""
    return new_scene(new_server(program=PROGRAM, **SETTINGS))


async def test_what_everybody_has_goes_after_thirty_days(aged: Scene) -> None:
    alice, bob = await aged.people("alice", "bob")
    chat = dm(alice, bob)
    a, b = await alice.ready(), await bob.ready()
    for n in range(3):
        await a.say(chat, f"old {n}", clientMessageId=f"old{n}")
    await b.messages(3)
    await b.ask("received", conversationId=chat, sequenceNumber=3)
    await days_later(aged, 20)
    a = await alice.ready()
    await a.say(chat, "newer")
    assert numbers(await alice.history(chat)) == [1, 2, 3, 4]
    await days_later(aged, 30.5)
    await first_number(aged, alice, chat, 4)
    a, b = await alice.connect(), await bob.connect()
    page = await a.ask("fetch", conversationId=chat, after=0)
    assert (numbers(page["messages"]), page["coveredFrom"], page["coveredThrough"]) == ([4], 1, 4)
    assert page["complete"]
    assert numbers(await b.messages(1)) == [4]
    assert (await a.say(chat, "old 2", clientMessageId="old2"))["sequenceNumber"] == 3, "found again for 31 days"
    assert (await a.say(chat, "newest"))["sequenceNumber"] == 5, "no number is given twice"
    assert (await bob.conversation(chat))["unread"] == 2, "what is gone is not unread"


async def test_who_lacks_a_message_still_gets_it_and_later_is_told_that_it_is_gone(aged: Scene) -> None:
    alice, bob = await aged.people("alice", "bob")
    chat = dm(alice, bob)
    away = await bob.log_in()
    a, b = await alice.ready(), await bob.ready()
    for n in range(3):
        await a.say(chat, f"old {n}")
    await b.messages(3)
    await b.ask("received", conversationId=chat, sequenceNumber=3)
    await days_later(aged, 30.5)
    second = await bob.connect(away)
    assert numbers(await second.messages(3)) == [1, 2, 3]
    await second.ask("received", conversationId=chat, sequenceNumber=1)
    await first_number(aged, alice, chat, 2)
    a = await alice.ready()
    await a.say(chat, "newer")
    await days_later(aged, 60.5)
    await first_number(aged, alice, chat, 4)
    second = await bob.ready(away)
    (skipped,) = second.take("skipped")
    assert skipped == {
        "type": "skipped",
        "conversationId": chat,
        "from": 2,
        "through": 3,
        "reason": "retention",
    }
    assert numbers(second.take("message")) == [4]
    receipt = await second.ask("received", conversationId=chat, sequenceNumber=4)
    assert receipt["sequenceNumber"] == 4
