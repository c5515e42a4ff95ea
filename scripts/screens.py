"""Draw the main screens of `cooee chat` as SVG, with real conversations on a real server that runs meanwhile.

Usage: scripts/screens FOLDER
"""

import asyncio
import secrets
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from cooee.client import Client, register
from tests.integration.harness import ServerProcess
from tests.integration.seats import Seat, seat_of

PEOPLE = {"alice": "Alice Adler", "bob": "Bob Brandt", "carol": "Carol", "dora": "Dora Dünn", "emil": "Emil"}
WIDE, USUAL, PHONE = (140, 42), (110, 34), (60, 30)
HOSTILE = "evil \x1b[2J\x1b[31mred\x07 \u202egnp.exe\u202c Z\u0301\u0301\u0301\u0301\u0301\u0301\u0301algo"


async def main(folder: Path) -> None:
    """Draw all screens."""
    with tempfile.TemporaryDirectory() as work, ServerProcess(Path(work) / "server") as server:
        async with AsyncExitStack() as house:
            people = {}
            for user, name in PEOPLE.items():
                password = secrets.token_urlsafe()
                await register(server.url, user, password, display_name=name)
                client = Client(server.url, store=Path(work) / user, user=user, password=password)
                people[user] = await house.enter_async_context(client)
                await client.online(10)
            await talk(*people.values())
            for theme in ("dark", "light"):
                await draw(people["alice"], people["bob"], theme, folder)
            await draw_sizes(people["alice"], folder)
            await draw_offline(people["alice"], server, folder)


async def say(who: Client, to: str, *texts: str) -> None:
    """Send texts, each after the other has its number."""
    for text in texts:
        entry = await who.send_text(to, text)
        await who.wait_for_sent(entry.client_message_id, 10)


async def talk(alice: Client, bob: Client, carol: Client, dora: Client, emil: Client) -> None:
    """Let everybody say something."""
    await alice.api.add_contact("bob")
    await bob.api.add_contact("alice")
    await say(bob, "alice", "Hi Alice! Are you coming to the choir tonight?", "Rehearsal starts at half past seven.")
    await say(alice, "bob", "Yes, I'll be there. I can bring the new scores, they arrived this morning.")
    await say(
        bob,
        "alice",
        "Great! Could you print a second copy of the Bach for Carol? Hers fell into the lake, and the library "
        "will not lend her another one before she has paid for the first: https://library.example/scores/bwv-227",
    )
    await say(alice, "bob", "Of course 🙂", "Anything else?")
    await bob.mark_read("dm:alice:bob")
    history = await bob.history("dm:alice:bob")
    await bob.send_text("alice", "No, that is all. 谢谢! שלום  مرحبا", reply_to=history.messages[-1].message_id)
    await alice.mark_read("dm:alice:bob")
    group = await alice.api.create_group("Choir", ["bob", "carol", "dora"])
    chat = group.conversation_id
    await say(alice, chat, "Welcome, everybody.")
    await say(carol, chat, "Thank you!", "Who has the key to the hall?")
    await say(dora, chat, "@bob has it, as always.")
    await say(bob, chat, "I do. I will open at seven.")
    await say(emil, "alice", "See you on Sunday?")
    await say(dora, "alice", HOSTILE, "x" * 10_000, "👨‍👩‍👧 ❤️ 👍🏽 🇩🇪 family, heart, thumb, flag")
    await alice.set_flags(chat, pinned=True)
    await alice.set_flags("dm:alice:emil", muted_until=-1)
    await alice.send_text("carol", "Are you all right?")


async def draw(alice: Client, bob: Client, theme: str, folder: Path) -> None:
    """Draw everything that Alice sees in a theme."""
    async with seat_of(alice, WIDE, theme) as seat:
        await seat.sees("Choir")
        await save(seat, folder, f"{theme}-start")
        await seat.opens("bob")
        await seat.types("And now")
        await bob.typing("dm:alice:bob")
        await seat.sees("typing")
        await save(seat, folder, f"{theme}-chat")
        with seat.here():
            seat.app.right.write("")
        await seat.opens("dora")
        await seat.sees("evil")
        await save(seat, folder, f"{theme}-hostile")
        await seat.opens("choir")
        await seat.sees("open at seven")
        await save(seat, folder, f"{theme}-group")
        windows = {"f1": "Keys and signs", "ctrl+k": "Jump", "ctrl+n": "Notes to self", "ctrl+o": "Rename"}
        for key, text in windows.items():
            await seat.press(key)
            await seat.sees(text)
            await save(seat, folder, f"{theme}-{key}")
            await seat.press("escape")
        await seat.press("ctrl+f", "ctrl+a", *"bach")
        await seat.sees("1 message")
        await save(seat, folder, f"{theme}-ctrl+f")


async def draw_sizes(alice: Client, folder: Path) -> None:
    """Draw the list and a chat in other sizes."""
    for size, name in ((USUAL, "usual"), (PHONE, "phone")):
        async with seat_of(alice, size, "dark") as seat:
            await seat.sees("Choir")
            await save(seat, folder, f"{name}-list")
            await seat.opens("bob")
            await seat.sees("No, that is all")
            await seat.press("up", "r")
            await save(seat, folder, f"{name}-chat")


async def draw_offline(alice: Client, server: ServerProcess, folder: Path) -> None:
    """Draw what stands there without a server, and a message that was refused."""
    async with seat_of(alice, USUAL, "dark") as seat:
        await seat.opens("emil")
        await alice.api.block("emil")
        await seat.says("Yes, at noon")
        await seat.sees("send again")
        await save(seat, folder, "failed")
        server.kill9()
        await seat.sees("Offline")
        await seat.opens("bob")
        await seat.says("Still here?")
        await seat.sees("queued: 1")
        await save(seat, folder, "offline")


async def save(seat: Seat, folder: Path, name: str) -> None:
    """Write the screen."""
    await seat.pause(0.1)
    with seat.here():
        picture = seat.app.export_screenshot(title="cooee chat")
    await asyncio.to_thread((folder / f"{name}.svg").write_text, picture, "utf-8")
    print(name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
